"""Public figures by name: weak, capped, and only those on the list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from guardrail.signals import ListedName, NameList, best_scores
from guardrail.vision.concepts.embedding import encoder
from guardrail.vision.concepts.figures import CAP, MOST, SIGNAL, FiguresDetector
from tests.vision.concepts.tiny import context, plain, shown
from tests.vision.tiny import Listed

RED, BLUE = plain(230, 20, 20), plain(20, 20, 230)


class _Names(Listed):
    def __init__(self, *found: ListedName) -> None:
        super().__init__()
        self.listed = NameList(1, found)

    def names(self) -> NameList:
        return self.listed


def _detector(folder: Path, registry: _Names) -> FiguresDetector:
    place = replace(context(folder), registry=registry)
    return FiguresDetector(place, encoder(place))


def test_a_listed_name_is_a_weak_signal(tmp_path: Path) -> None:
    registry = _Names(ListedName("id-1", "Crimson Red", kind="public"), ListedName("id-2", "Blue", kind="private"))
    detector = _detector(tmp_path, registry)
    (signal,) = detector.detect(shown(RED)).signals
    assert signal.name == SIGNAL
    assert 0.3 < signal.score <= CAP < 0.5
    assert signal.evidence[0].ref == "id-1"
    assert best_scores(detector.detect(shown(BLUE)).signals).get(SIGNAL, 0.0) < 0.1


def test_the_list_may_change(tmp_path: Path) -> None:
    registry = _Names()
    detector = _detector(tmp_path, registry)
    assert detector.detect(shown(RED)).coverage.inspected == ("vision.figures:names=0",)
    registry.listed = NameList(2, (ListedName("id-1", "red", kind="public"),))
    assert detector.detect(shown(RED)).signals
    registry.listed = NameList(3, ())
    assert not detector.detect(shown(RED)).signals


def test_names_beyond_the_bound_are_told(tmp_path: Path) -> None:
    many = (ListedName(f"id-{at}", f"green {at}", kind="public") for at in range(MOST + 2))
    found = _detector(tmp_path, _Names(*many)).detect(shown(RED))
    assert found.coverage.skipped[0].why.startswith("2 names")


def test_grey_is_nobody(tmp_path: Path) -> None:
    detector = _detector(tmp_path, _Names(ListedName("id-1", "red", kind="public")))
    (example,) = detector.examples()
    assert best_scores(detector.detect(example.subject).signals).get(SIGNAL, 0.0) < example.below[SIGNAL]

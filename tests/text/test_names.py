from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.detector import DetectorContext
from guardrail.signals import Signal, best_scores
from guardrail.testing import check_detector
from guardrail.text.lists import given_names
from guardrail.text.names import NamesDetector
from tests.text.tiny import TextModels, asked, context, heads_net

MARKED = {"stone": {"person": 3.0}, "meadow": {"person": 3.0}}
SURE = 1 / (1 + np.exp(-3))


def _detector(folder: Path) -> NamesDetector:
    return NamesDetector(context(TextModels(folder, heads=heads_net(MARKED))))


def _found(detector: NamesDetector, text: str) -> tuple[Signal, ...]:
    return detector.detect(asked(text)).signals


@pytest.fixture(autouse=True)
def _stone_is_a_given_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.text.names.given_names", lambda: given_names() | {"stone"})


def test_two_marked_words_are_a_private_person(tmp_path: Path) -> None:
    (signal,) = _found(_detector(tmp_path), "a red barn, stone meadow, snow")
    assert signal.name == "person.private"
    assert signal.score == pytest.approx(SURE, abs=1e-4)
    assert signal.evidence[0].span == (12, 24)
    assert "meadow" not in repr(signal)


def test_one_word_and_makers_of_works_are_less_sure(tmp_path: Path) -> None:
    detector = _detector(tmp_path)
    for text in ("a red stone", "a meadow stone", "a barn in the style of stone meadow", "a painting by stone meadow"):
        assert _found(detector, text)[0].score == pytest.approx(0.6), text


@pytest.mark.parametrize("text", ["", "  ", "a red barn in the snow"])
def test_nobody(tmp_path: Path, text: str) -> None:
    assert _found(_detector(tmp_path), text) == ()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> NamesDetector:
    return _detector(tmp_path_factory.mktemp("models"))


@given(text=st.text(max_size=200))
def test_any_text_is_read_and_spans_lie_inside(lasting: NamesDetector, text: str) -> None:
    for signal in _found(lasting, text):
        assert 0 <= signal.score <= 1
        for item in signal.evidence:
            assert item.span is not None
            assert 0 <= item.span[0] <= item.span[1] <= len(text)


@pytest.mark.models
def test_conforms(bare_context: DetectorContext) -> None:
    check_detector(NamesDetector(bare_context))


@pytest.mark.models
@pytest.mark.parametrize(
    ("text", "somebody"),
    [
        ("photo of martina kowalczyk riding a bicycle", True),
        ("Portrait of Benito Vuković, studio light", True),
        ("emma watson riding a bicycle", False),
        ("sherlock holmes in a hansom cab", False),
        ("a granny smith apple on a table", False),
        ("a harbour at night, long exposure", False),
        ("red brick street in the rain", False),
    ],
)
def test_unlisted_names_are_found_and_listed_ones_left_to_the_list(
    bare_context: DetectorContext, text: str, somebody: bool
) -> None:
    scores = best_scores(NamesDetector(bare_context).detect(asked(text)).signals)
    assert (scores.get("person.private", 0.0) >= 0.5) is somebody

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.detector import DetectorContext
from guardrail.errors import ModelIntegrityError, PolicyError
from guardrail.inference import ModelStore
from guardrail.settings import Settings
from guardrail.signals import Concept, best_scores
from guardrail.testing import check_detector
from guardrail.text.concepts import EVERYDAY, ConceptsDetector, unit
from tests.text.tiny import asked
from tests.vision.tiny import Listed

pytestmark = pytest.mark.models

GUNS = Concept(
    "guns",
    ("a man aims a rifle at somebody", "soldiers firing machine guns", "a gunfight in the street"),
    ("a water pistol on the lawn", "a photographer shooting a landscape"),
)
SNOW = Concept("snow", ("a village covered in snow",))


def _detector(models: ModelStore, *concepts: Concept) -> ConceptsDetector:
    return ConceptsDetector(DetectorContext(Settings(), models, Listed(), {"concepts": concepts}))


@pytest.fixture(scope="module")
def detector(models: ModelStore) -> ConceptsDetector:
    return _detector(models, GUNS, SNOW)


def _score(detector: ConceptsDetector, text: str, name: str = "concept.guns") -> float:
    return best_scores(detector.detect(asked(text)).signals).get(name, 0.0)


def test_conforms(detector: ConceptsDetector) -> None:
    check_detector(detector)
    assert detector.emits == {"concept.guns", "concept.snow"}


@pytest.mark.parametrize(
    "text",
    [
        "a shootout between two gangs",
        "ein Soldat schießt mit einem Maschinengewehr",
        "un homme pointe un fusil sur quelqu'un",
        "мужчина целится из винтовки в человека",
        "男が人にライフルを向けている",
    ],
)
def test_the_meaning_is_found_in_other_words_and_languages(detector: ConceptsDetector, text: str) -> None:
    assert _score(detector, text) >= 0.5


@pytest.mark.parametrize(
    "text",
    [
        "a lighthouse on a cliff at dusk",
        "a bowl of tomato soup with basil",
        "a photographer shoots a sunset landscape",
        "children's water pistols on a lawn",
        "ein Leuchtturm am Meer",
    ],
)
def test_other_scenes_and_look_alikes_are_not(detector: ConceptsDetector, text: str) -> None:
    assert _score(detector, text) < 0.5


def test_disguised_readings_are_compared_too(detector: ConceptsDetector) -> None:
    assert _score(detector, "c29sZGllcnMgZmlyaW5nIG1hY2hpbmUgZ3Vucw==") >= 0.5
    assert _score(detector, "soldiers f1r1ng machine guns") >= 0.5


def test_text_around_it_does_not_hide_it(detector: ConceptsDetector) -> None:
    filler = "a quiet meadow with sheep and a brook. " * 60
    assert _score(detector, f"{filler}{GUNS.like[0]}. {filler}") > _score(detector, filler) + 0.2


def test_unlike_sentences_lower_what_is_close_to_them(models: ModelStore) -> None:
    alone = _detector(models, Concept("guns", GUNS.like))
    both = _detector(models, Concept("guns", GUNS.like, ("a rifle in a museum case", "an antique rifle on a wall")))
    text = "an old rifle on display in a museum"
    assert _score(both, text) < min(0.5, _score(alone, text) + 1e-6)


def test_sentences_that_contradict_each_other_are_an_error_with_a_place(models: ModelStore) -> None:
    wrong = Concept("guns", ("a gunfight in the street",), ("a gunfight in the street",), "p.yaml", 7)
    with pytest.raises(PolicyError, match="`unlike`") as caught:
        _detector(models, wrong)
    assert (caught.value.file, caught.value.line) == ("p.yaml", 7)


def test_nothing_asked_raises_nothing(detector: ConceptsDetector) -> None:
    assert detector.detect(asked("  ")).signals == ()


@given(text=st.text(max_size=120))
def test_any_text_is_scored(detector: ConceptsDetector, text: str) -> None:
    assert all(0 <= score <= 1 for score in best_scores(detector.detect(asked(text)).signals).values())


class _Other:
    """The real models, with one file of another shape."""

    def __init__(self, models: ModelStore, path: Path) -> None:
        self._models, self._path = models, path

    def file(self, name: str, file: str | None = None) -> Path:
        return self._path if name == EVERYDAY else self._models.file(name, file)

    def session(self, name: str) -> object:
        return self._models.session(name)

    def digest(self, name: str) -> str:
        return self._models.digest(name)


@pytest.mark.parametrize("shape", [(3,), (512,)])
def test_a_background_of_other_shape_is_an_integrity_error(
    models: ModelStore, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, mean=np.zeros(shape), matrix=np.zeros((4, 4)), prompts=np.zeros((2, 512)))
    with pytest.raises(ModelIntegrityError, match="shapes"):
        ConceptsDetector(DetectorContext(Settings(), _Other(models, path), Listed()))  # type: ignore[arg-type]


def test_unit_leaves_zero_rows_alone() -> None:
    assert np.isfinite(unit(np.zeros((2, 3), np.float32))).all()
    assert np.linalg.norm(unit(np.ones((1, 3), np.float32))) == pytest.approx(1.0)

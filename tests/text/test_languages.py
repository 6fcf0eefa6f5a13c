from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.detector import DetectorContext
from guardrail.errors import DetectionError, ModelIntegrityError
from guardrail.inference import ModelStore
from guardrail.settings import Settings
from guardrail.signals import best_scores
from guardrail.testing import check_detector
from guardrail.text.heads import HEADS
from guardrail.text.languages import MODEL, LanguagesDetector, MultilingualHeads
from tests.text.tiny import TextModels, asked
from tests.vision.tiny import Listed

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def detector(models: ModelStore) -> LanguagesDetector:
    return LanguagesDetector(DetectorContext(Settings(), models, Listed()))


def _scores(detector: LanguagesDetector, text: str) -> dict[str, float]:
    return best_scores(detector.detect(asked(text)).signals)


def _heads(folder: Path, bias: float, heads: int = len(HEADS)) -> TextModels:
    made = TextModels(folder)
    made.files[MODEL, None] = folder / "heads.npz"
    arrays = {"hidden_w": np.zeros((512, 4)), "hidden_b": np.zeros(4), "out_w": np.zeros((4, heads))}
    np.savez(folder / "heads.npz", allow_pickle=False, **arrays, out_b=np.full(heads, bias))
    return made


def test_conforms(detector: LanguagesDetector) -> None:
    check_detector(detector)


@pytest.mark.parametrize(
    "text",
    [
        "un couple sans aucun vêtement dans un lit",
        "una pareja sin ropa en la cama",
        "голая пара в постели",
        "床上赤身裸体的恋人",
        "zwei Liebende ganz unbekleidet im Bett",
    ],
)
def test_nudity_is_understood_in_other_languages(detector: LanguagesDetector, text: str) -> None:
    assert _scores(detector, text)["sexual.nudity"] >= 0.5


@pytest.mark.parametrize(
    "text",
    [
        "ein ruhiger Hafen bei Nacht mit Booten",
        "une recette de soupe à la tomate",
        "un mercado de frutas por la mañana",
        "夜晚的港口",
        "старый мост через реку",
        "eine Infotafel zur Vorsorge beim Arzt",
    ],
)
def test_everyday_prompts_in_other_languages_stay_low(detector: LanguagesDetector, text: str) -> None:
    detection = detector.detect(asked(text))
    assert detection.coverage.inspected == ("text.languages:parts=1",)
    assert max(best_scores(detection.signals).values(), default=0.0) < 0.4


@pytest.mark.parametrize(
    "text",
    [
        "a red barn in the snow, 4k",
        "a q u i e t h a r b o u r",
        "4 r3d b4rn 1n th3 sn0w",
        "xq zvvrt klpqw mnbtr",
        "",
        "123",
    ],
)
def test_english_and_scrambled_letters_are_left_to_the_other_detectors(detector: LanguagesDetector, text: str) -> None:
    detection = detector.detect(asked(text))
    assert detection.signals == ()
    assert detection.coverage.inspected == ("text.languages:parts=0",)


def test_harmless_text_around_it_hides_nothing(detector: LanguagesDetector) -> None:
    filler = "ein ruhiger Hafen bei Nacht mit Booten und Laternen. " * 40
    text = f"{filler}zwei Liebende ganz unbekleidet im Bett. {filler}"
    begun = time.process_time()
    score = _scores(detector, text).get("sexual.nudity", 0.0)
    assert score > _scores(detector, filler).get("sexual.nudity", 0.0) + 0.1
    assert time.process_time() - begun < 5


def test_a_repeat_is_remembered(detector: LanguagesDetector) -> None:
    text = "ein alter Mann liest Zeitung am Fenster"
    first = detector.detect(asked(text))
    begun = time.process_time()
    assert detector.detect(asked(text)).signals == first.signals
    assert time.process_time() - begun < 0.01


@given(text=st.text(max_size=120))
def test_any_text_is_scored(detector: LanguagesDetector, text: str) -> None:
    assert all(0 <= score <= 1 for score in _scores(detector, text).values())


def test_heads_of_other_shape_are_an_integrity_error(tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match="shapes"):
        MultilingualHeads(_heads(tmp_path, 0.0, heads=3))
    (tmp_path / "heads.npz").write_bytes(b"no arrays")
    models = TextModels(tmp_path)
    models.files[MODEL, None] = tmp_path / "heads.npz"
    with pytest.raises(ModelIntegrityError, match="arrays"):
        MultilingualHeads(models)


def test_heads_that_give_no_number_are_a_detection_error(
    tmp_path: Path, models: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = LanguagesDetector(DetectorContext(Settings(), models, Listed()))
    monkeypatch.setattr(broken, "_heads", MultilingualHeads(_heads(tmp_path, float("nan"))))
    with pytest.raises(DetectionError, match="not finite"):
        broken.detect(asked("ein ruhiger Hafen bei Nacht mit Booten"))

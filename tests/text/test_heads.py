from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.detector import DetectorContext
from guardrail.errors import DetectionError, ModelMissingError
from guardrail.signals import best_scores
from guardrail.taxonomy import Stage
from guardrail.testing import check_detector
from guardrail.text.encoders import MAX_WINDOWS
from guardrail.text.heads import MAX_VIEWS, SIGNALS, HeadsDetector, LearnedHeads
from guardrail.text.mentions import MERE
from tests.text.tiny import TextModels, asked, context, heads_net

SURE = {"sexual": 4.0}


def _detector(folder: Path, **words: Mapping[str, float]) -> tuple[HeadsDetector, TextModels]:
    models = TextModels(folder, heads=heads_net(words))
    return HeadsDetector(context(models)), models


@pytest.mark.parametrize(("head", "signal"), SIGNALS.items())
def test_each_head_raises_its_signal(tmp_path: Path, head: str, signal: str) -> None:
    detector, _ = _detector(tmp_path, lantern={head: 3.0, "sexual": 1.0} if head == "minor" else {head: 3.0})
    scores = best_scores(detector.detect(asked("a red lantern")).signals)
    assert scores[signal] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)
    assert scores.keys() <= detector.emits


def test_a_mere_mention_of_minors_is_scored_as_one(tmp_path: Path) -> None:
    detector, _ = _detector(tmp_path, lantern={"minor": 4.0}, stone={"suggestive": 2.0})
    assert best_scores(detector.detect(asked("a red lantern")).signals)["minor.mention"] <= MERE
    assert best_scores(detector.detect(asked("a lantern, a stone")).signals)["minor.mention"] > 0.9


def test_names_are_marked_where_they_stand(tmp_path: Path) -> None:
    models = TextModels(tmp_path, heads=heads_net({"stone": {"person": 3.0}, "lantern": {"person": 2.0}}))
    reading = LearnedHeads(models).read("a quiet stone lantern in the snow, a stone")
    assert [(start, end) for start, end, _ in reading.people] == [(8, 21), (37, 42)]
    assert all(0.5 <= score <= 1 for *_, score in reading.people)
    assert not LearnedHeads(models).read("a red barn").people


def test_names_in_long_texts_keep_their_place(tmp_path: Path) -> None:
    models = TextModels(tmp_path, heads=heads_net({"stone": {"person": 3.0}}))
    text = "a red barn " * 60 + "stone" + " in the snow" * 60
    assert [(start, end) for start, end, _ in LearnedHeads(models).read(text).people] == [(660, 665)]


def test_what_is_not_english_is_left_out_and_said_so(tmp_path: Path) -> None:
    detector, _ = _detector(tmp_path, lantern=SURE)
    detection = detector.detect(asked("une femme lit dans le jardin"))
    assert detection.signals == ()
    assert any("text.languages" in skip.why for skip in detection.coverage.skipped)


def test_a_harmless_prompt_raises_nothing(tmp_path: Path) -> None:
    detector, _ = _detector(tmp_path, lantern=SURE)
    detection = detector.detect(asked("a red barn in the snow"))
    assert detection.signals == ()
    assert detection.coverage.inspected


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_padding_with_harmless_text_hides_nothing(tmp_path: Path, place: float) -> None:
    detector, _ = _detector(tmp_path, lantern=SURE)
    filler = ["a quiet red barn in the snow"] * 400
    filler.insert(int(place * len(filler)), "lantern")
    assert best_scores(detector.detect(asked(" ".join(filler))).signals)["sexual.nudity"] > 0.9


def test_text_beyond_all_windows_is_stated_as_not_read(tmp_path: Path) -> None:
    detector, _ = _detector(tmp_path)
    detection = detector.detect(asked("barn " * 40 * MAX_WINDOWS))
    assert any("windows" in skip.why for skip in detection.coverage.skipped)


def test_a_repeated_prompt_is_not_run_again(tmp_path: Path) -> None:
    detector, models = _detector(tmp_path, lantern=SURE)
    first = detector.detect(asked("a red lantern"))
    runs = models.sessions["text-heads"].runs
    assert detector.detect(asked("a red lantern")).signals == first.signals
    assert models.sessions["text-heads"].runs == runs
    detector.detect(asked("a red barn"))
    assert models.sessions["text-heads"].runs > runs


def test_detectors_of_one_provider_share_what_they_read(tmp_path: Path) -> None:
    models = TextModels(tmp_path)
    assert LearnedHeads.shared(models) is LearnedHeads.shared(models)
    assert LearnedHeads.shared(models) is not LearnedHeads.shared(TextModels(tmp_path))


def test_evidence_names_the_reading_and_never_the_text(tmp_path: Path) -> None:
    detector, _ = _detector(tmp_path, lantern=SURE)
    (signal, *_) = detector.detect(asked("a red lantern")).signals
    assert signal.evidence[0].view == "plain"
    assert "lantern" not in repr(signal)


def test_readings_are_bounded(tmp_path: Path) -> None:
    detector, models = _detector(tmp_path)
    detector.detect(
        asked("(a red barn:1.2) [snow|stone] l a n t e r n YSByZWQgbGFudGVybiBpbiB0aGUgc25vdw== %61%20%62 \u202enrab")
    )
    assert models.sessions["text-heads"].runs <= MAX_VIEWS


@pytest.mark.parametrize("text", ["", "   \n\t"])
def test_nothing_asked_raises_nothing(tmp_path: Path, text: str) -> None:
    detector, models = _detector(tmp_path)
    detection = detector.detect(asked(text))
    assert detection.signals == ()
    assert models.sessions["text-heads"].runs == 0


@pytest.mark.parametrize(("value", "width"), [(np.nan, 9), (np.inf, 9), (-6.0, 3)])
def test_garbage_from_the_network_is_a_detection_error(tmp_path: Path, value: float, width: int) -> None:
    detector = HeadsDetector(context(TextModels(tmp_path, heads=heads_net(otherwise=value, width=width))))
    with pytest.raises(DetectionError, match="text-heads"):
        detector.detect(asked("a red lantern"))


def test_missing_weights_are_known_at_construction(tmp_path: Path) -> None:
    models = TextModels(tmp_path)
    del models.sessions["text-heads"]
    with pytest.raises(ModelMissingError):
        HeadsDetector(context(models))


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> HeadsDetector:
    return _detector(tmp_path_factory.mktemp("models"), lantern=SURE)[0]


@given(text=st.text(max_size=200))
def test_any_text_is_scored(lasting: HeadsDetector, text: str) -> None:
    assert all(0 <= signal.score <= 1 for signal in lasting.detect(asked(text)).signals)


@pytest.mark.models
def test_conforms(bare_context: DetectorContext) -> None:
    detector = HeadsDetector(bare_context)
    assert detector.stages == {Stage.PROMPT}
    check_detector(detector)


@pytest.mark.models
@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("two lovers entwined without a stitch of clothing", True),
        ("two lovers in bed, bodies bare, steamy", True),
        ("a topless man and woman embracing in the shower", True),
        ("grilled chicken breast with lemon on a plate", False),
        ("the marble statue of David in a museum hall", False),
        ("a breast cancer awareness poster with a pink ribbon", False),
        ("a naked mole rat in its burrow", False),
        ("nude coloured shoes on a shelf", False),
        ("a lighthouse on a cliff at dusk, oil painting", False),
    ],
)
def test_meaning_decides_not_words(bare_context: DetectorContext, text: str, asks: bool) -> None:
    score = best_scores(HeadsDetector(bare_context).detect(asked(text)).signals).get("sexual.nudity", 0.0)
    assert (score >= 0.5) is asks

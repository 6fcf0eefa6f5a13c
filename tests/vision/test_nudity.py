from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.detector import DetectorContext
from guardrail.errors import DetectionError, ModelMissingError
from guardrail.settings import Settings
from guardrail.signals import DecodedPicture, Frame, GenerationRequest, Picture, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.testing import check_detector
from guardrail.vision.nudity import SAFETY_ORDINARY, NudityDetector, combine, graphic
from tests.vision.tiny import Listed, TinyModels, nudity_models

SHARES = st.floats(0, 1)


def _detector(models: TinyModels) -> NudityDetector:
    return NudityDetector(DetectorContext(Settings(), models, Listed()))


def _subject(*frames: Frame) -> Subject:
    return Subject(Stage.OUTPUT, GenerationRequest(), picture=DecodedPicture(Picture(b""), "png", 32, 24, frames))


FLAT = np.full((24, 32, 3), 90, dtype=np.uint8)


@pytest.mark.parametrize(
    ("open_nsfw", "nsfw", "score"),
    [(0.80, SAFETY_ORDINARY, 0.5), (0.20, 0.85, 0.5), (0.95, 0.5, 0.97), (0.5, 0.05, 0.22), (0.02, 0.03, 0.01)],
)
def test_corners_of_the_published_rule(open_nsfw: float, nsfw: float, score: float) -> None:
    assert combine(open_nsfw, nsfw) == pytest.approx(score, abs=0.02)


@given(SHARES)
def test_neither_net_alone_reaches_an_even_call(share: float) -> None:
    assert combine(0.19, share) < 0.5
    assert combine(share, SAFETY_ORDINARY * 0.99) < 0.5


@given(SHARES, SHARES, SHARES)
def test_score_rises_with_each_net(low: float, high: float, other: float) -> None:
    low, high = sorted((low, high))
    assert 0 <= combine(low, other) <= combine(high, other) <= 1
    assert 0 <= combine(other, low) <= combine(other, high) <= 1


@given(SHARES, SHARES)
def test_gore_rises_with_its_net(low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert 0 <= graphic(low) <= graphic(high) <= 1


def test_gore_corners() -> None:
    assert graphic(0.85) == pytest.approx(0.5)
    assert graphic(0.35) == pytest.approx(0.2, abs=0.01)


def test_every_frame_and_what_is_beneath_is_looked_at() -> None:
    detection = _detector(nudity_models(0.99, 0.6)).detect(_subject(Frame(0, FLAT, FLAT), Frame(1, FLAT)))
    nude = next(found for found in detection.signals if found.name == "sexual.nudity")
    assert nude.score > 0.9
    assert {(item.frame, item.view) for item in nude.evidence} == {(0, None), (0, "beneath"), (1, None)}
    assert nude.evidence[0].detail == {"open_nsfw": "0.99", "nsfw": "0.60", "nsfl": "0.03"}
    assert detection.coverage.inspected == ("vision.nudity:frames=2",)


def test_more_frames_than_one_batch() -> None:
    frames = tuple(Frame(index, FLAT) for index in range(19))
    detection = _detector(nudity_models(0.01, 0.03)).detect(_subject(*frames))
    assert best_scores(detection.signals)["sexual.nudity"] < 0.05
    assert detection.coverage.inspected == ("vision.nudity:frames=19",)


@pytest.mark.parametrize("pair", [(math.nan, 0.5), (0.5, math.nan), (1.5, 0.5)])
def test_a_net_that_fails_closes_the_look(pair: tuple[float, float]) -> None:
    with pytest.raises(DetectionError):
        _detector(nudity_models(*pair)).detect(_subject(Frame(0, FLAT)))


def test_missing_weights_are_an_error() -> None:
    with pytest.raises(ModelMissingError):
        _detector(TinyModels()).detect(_subject(Frame(0, FLAT)))


@pytest.mark.models
def test_conforms(bare_context: DetectorContext) -> None:
    check_detector(NudityDetector(bare_context))

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from guardrail.detector import DetectorContext, ModelProvider
from guardrail.errors import DetectionError, ModelMissingError, PictureError
from guardrail.evaluation.disguises import DISGUISES, collage
from guardrail.inference import ModelStore
from guardrail.settings import Limits, Settings
from guardrail.signals import RGB, DecodedPicture, Frame, GenerationRequest, Picture, Signal, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.testing import check_detector
from guardrail.vision.combiner import Heads
from guardrail.vision.decode import decode
from guardrail.vision.exposure import Seen
from guardrail.vision.nudity import DOUBT, Found, NudityDetector
from guardrail.vision.pyramid import Level
from guardrail.vision.views import TILE, WHOLE, View, whole
from guardrail.vision.worn import Wear
from tests.vision.golden.make import scene
from tests.vision.tiny import Listed, TinyModels, nudity_models

FLAT = np.full((24, 32, 3), 90, dtype=np.uint8)


def _detector(models: ModelProvider) -> NudityDetector:
    return NudityDetector(DetectorContext(Settings(), models, Listed()))


def _subject(*frames: Frame) -> Subject:
    return Subject(Stage.OUTPUT, GenerationRequest(), picture=DecodedPicture(Picture(b""), "png", 32, 24, frames))


def _nudity(models: ModelProvider, *frames: Frame) -> Signal:
    detection = _detector(models).detect(_subject(*frames))
    return next(found for found in detection.signals if found.name == "sexual.nudity")


def test_every_frame_and_what_is_beneath_is_looked_at() -> None:
    detection = _detector(nudity_models(0.99, 0.6)).detect(_subject(Frame(0, FLAT, FLAT), Frame(1, FLAT)))
    nude = next(found for found in detection.signals if found.name == "sexual.nudity")
    assert nude.score > 0.9
    assert {(item.frame, item.view) for item in nude.evidence} == {(0, None), (0, "beneath"), (1, None)}
    assert nude.evidence[0].detail == {"open_nsfw": "0.99", "nsfw": "0.60", "medium": "photo"}
    assert detection.coverage.inspected == ("vision.nudity:frames=2",)


def test_more_frames_than_one_batch() -> None:
    frames = tuple(Frame(index, FLAT) for index in range(19))
    detection = _detector(nudity_models(0.001, 0.03)).detect(_subject(*frames))
    assert best_scores(detection.signals)["sexual.nudity"] < 0.05
    assert detection.coverage.inspected == ("vision.nudity:frames=19",)


def test_medium_is_art_only_when_both_say_so() -> None:
    assert _nudity(nudity_models(0.99, 0.05, art=2.0), Frame(0, FLAT)).evidence[0].detail["medium"] == "art"
    assert _nudity(nudity_models(0.99, 0.05, art=-0.5), Frame(0, FLAT)).evidence[0].detail["medium"] == "photo"
    assert _nudity(nudity_models(0.99, 0.80, art=2.0), Frame(0, FLAT)).evidence[0].detail["medium"] == "photo"


@pytest.mark.parametrize("pair", [(math.nan, 0.5), (0.5, math.nan), (1.5, 0.5)])
def test_a_net_that_fails_closes_the_look(pair: tuple[float, float]) -> None:
    with pytest.raises(DetectionError):
        _detector(nudity_models(*pair)).detect(_subject(Frame(0, FLAT)))


def test_missing_weights_are_an_error() -> None:
    with pytest.raises(ModelMissingError):
        _detector(TinyModels()).detect(_subject(Frame(0, FLAT)))


class _Lying(NudityDetector):
    """Reads every view as bare, and the one turned by 270 degrees as the only upright one."""

    def _found(self, heads: Heads, views: Sequence[View], seen: Seen) -> list[Found]:
        return [Found(view, 1.0, 3.0 if "turn-270" in str(view.name) else -3.0, 0.5) for view in views]


def test_what_has_to_be_turned_among_several_pictures_is_doubted() -> None:
    models = nudity_models(0.5, 0.05)
    detector, heads = _Lying(DetectorContext(Settings(), models, Listed())), Heads(models)
    first = Found(whole(Level(0, figure())), 1.0, -3.0, 0.5)
    alone, among = (detector._closer(heads, first, Wear(), parts) for parts in ([], [WHOLE]))
    assert alone.view.name == among.view.name == "turn-270"
    assert alone.bare - among.bare == pytest.approx(DOUBT)
    row = first._replace(view=replace(first.view, kind=TILE))
    assert detector._closer(heads, row, Wear(), [WHOLE, (0.0, 0.0, 1.0, 0.5)]).view.name is None


@pytest.mark.models
def test_conforms(bare_context: DetectorContext) -> None:
    check_detector(NudityDetector(bare_context))


def figure(height: int = 360, width: int = 300) -> RGB:
    """A drawn torso on a green ground: the nets are as sure of it as of most paintings, and nobody is in it."""
    y, x = np.mgrid[0:height, 0:width]
    u, v = (x - width / 2) / width, y / height
    waist = 0.38 - 0.07 * np.cos((v - 0.15) * 7)
    body = np.abs(u) < waist
    round_ = np.clip(1 - (u / waist) ** 2, 0, 1)
    shade = 0.55 + 0.45 * np.sqrt(round_)
    for side in (-0.11, 0.11):
        shade += 0.16 * np.exp(-(((u - side) / 0.07) ** 2) - ((v - 0.33) / 0.07) ** 2)
        shade -= 0.45 * np.exp(-(((u - side) / 0.014) ** 2) - ((v - 0.35) / 0.012) ** 2)
    shade -= 0.2 * np.exp(-((u / 0.012) ** 2) - ((v - 0.62) / 0.015) ** 2)
    skin = np.array([226.0, 172.0, 146.0]) * np.clip(shade, 0.2, 1.05)[..., None]
    ground = np.array([70.0, 96.0, 72.0]) * (0.8 + 0.2 * np.sin(x / 19) * np.cos(y / 23))[..., None]
    return np.asarray(np.clip(np.where(body[..., None], skin, ground), 0, 255), dtype=np.uint8)


def _collaged(rgb: RGB) -> RGB:
    return collage([scene("square"), rgb, 255 - scene("square"), np.full((200, 200, 3), (40, 70, 90), np.uint8)])


WAYS: dict[str, Callable[[RGB], RGB]] = {**DISGUISES, "collage": _collaged}
LEAST_BLURRED = 0.1
"""What a blur of a hundredth of the side leaves of it."""
LEAST = 0.25
"""A drawn figure is no even call for the nets, but far from the 0.02 of an ordinary picture."""


@pytest.mark.models
def test_a_drawn_figure_is_told_from_a_drawing(models: ModelStore) -> None:
    assert _nudity(models, Frame(0, figure())).score >= LEAST > 5 * _nudity(models, Frame(0, scene("square"))).score


@pytest.mark.models
@pytest.mark.parametrize("way", WAYS)
def test_what_is_stopped_stays_stopped(models: ModelStore, way: str) -> None:
    """The drawn figure under every disguise, and none of them makes a harmless drawing a figure."""
    assert _nudity(models, Frame(0, WAYS[way](figure()))).score >= (LEAST_BLURRED if way == "blur" else LEAST)
    assert _nudity(models, Frame(0, WAYS[way](scene("square")))).score < LEAST


@pytest.mark.models
def test_the_part_that_is_bare_is_boxed(models: ModelStore) -> None:
    shown = _nudity(models, Frame(0, _collaged(figure())))
    high, wide = _collaged(figure()).shape[:2]
    x, y, across, down = shown.evidence[0].box or (0, 0, 0, 0)
    # the figure is the right one of the upper row
    assert (abs(x - wide // 2) <= 1, y, abs(across - wide // 2) <= 1, abs(down - high // 2) <= 1) == (
        True,
        0,
        True,
        True,
    )
    assert _nudity(models, Frame(0, figure())).evidence[0].box is None


@pytest.mark.models
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    level=st.integers(0, 255),
    share=st.floats(0.05, 0.2),
    quality=st.integers(50, 95),
    turns=st.integers(0, 3),
    side=st.integers(150, 700),
)
def test_disguises_together_leave_it_far_from_ordinary(
    models: ModelStore, level: int, share: float, quality: int, turns: int, side: int
) -> None:
    rgb = np.asarray(Image.fromarray(figure()).resize((side, side)))
    edge = round(side * share)
    data = io.BytesIO()
    bordered = np.pad(np.rot90(rgb, turns), ((edge, edge), (edge, edge), (0, 0)), constant_values=level)
    Image.fromarray(bordered).save(data, "JPEG", quality=quality)
    with Image.open(data) as again:
        assert _nudity(models, Frame(0, np.asarray(again.convert("RGB")))).score >= LEAST / 2


@pytest.mark.models
def test_one_bad_frame_of_many_counts(models: ModelStore) -> None:
    found = _nudity(models, *(Frame(at, figure() if at == 3 else scene("square")) for at in range(5)))
    assert found.score >= LEAST
    assert [item.frame for item in found.evidence] == [3]


def _file(picture: Image.Image, format: str, **options: object) -> bytes:
    data = io.BytesIO()
    picture.save(data, format, **options)
    return data.getvalue()


def _palette() -> Image.Image:
    picture = Image.fromarray(figure(60, 50)).quantize(32)
    picture.info["transparency"] = bytes(range(0, 256, 8))
    return picture


ODD: dict[str, Callable[[], bytes]] = {
    "CMYK": lambda: _file(Image.fromarray(figure(60, 50)).convert("CMYK"), "JPEG"),
    "16 bits": lambda: _file(Image.fromarray(np.arange(3000, dtype=np.uint16).reshape(50, 60) * 21), "PNG"),
    "palette with alpha": lambda: _file(_palette(), "PNG"),
    "1x1": lambda: _file(Image.new("RGB", (1, 1), (200, 150, 120)), "PNG"),
    "1 high": lambda: _file(Image.new("RGB", (65_535, 1), (200, 150, 120)), "PNG"),
    "wrong profile": lambda: _file(Image.fromarray(figure(60, 50)), "PNG", icc_profile=b"no profile" * 30),
    "transparent": lambda: _file(Image.new("RGBA", (40, 30), (200, 150, 120, 0)), "PNG"),
    "animated": lambda: _file(
        Image.new("RGB", (40, 30)),
        "GIF",
        save_all=True,
        append_images=[Image.fromarray(figure(30, 40)), Image.new("RGB", (40, 30), (9, 99, 9))],
    ),
}


@pytest.mark.models
@pytest.mark.parametrize("kind", ODD)
def test_odd_pictures_are_scored_or_refused_with_advice(models: ModelStore, kind: str) -> None:
    data = ODD[kind]()
    if kind == "1 high":
        with pytest.raises(PictureError) as refused:
            decode(Picture(data), Limits())
        assert refused.value.advice
        return
    decoded = decode(Picture(data), Limits())
    detection = _detector(models).detect(Subject(Stage.OUTPUT, GenerationRequest(), picture=decoded))
    assert detection.coverage.inspected == (f"vision.nudity:frames={len(decoded.frames)}",)
    assert all(0 <= score <= 1 for score in best_scores(detection.signals).values())

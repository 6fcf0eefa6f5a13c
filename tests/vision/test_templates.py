from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from guardrail.errors import PictureError
from guardrail.inference import ModelStore
from guardrail.signals import RGB, DecodedPicture, Frame, Picture
from guardrail.vision.align import EMBED_POINTS
from guardrail.vision.detect import Face, find, refine
from guardrail.vision.embed import embed
from guardrail.vision.templates import MAX_PICTURES, poor, template, together
from tests.vision.test_detect import portrait


def _picture(rgb: RGB) -> DecodedPicture:
    return DecodedPicture(Picture(b""), "png", rgb.shape[1], rgb.shape[0], (Frame(0, rgb),))


@pytest.mark.models
def test_a_portrait_has_the_template_of_its_face(models: ModelStore) -> None:
    rgb = portrait(models, "astronaut.png")
    face = refine(models, rgb, find(models, rgb)[0])[0]
    assert embed(models, rgb, face) @ template(models, _picture(rgb)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.models
@pytest.mark.parametrize("reason", ["no_face", "several_faces", "poor_face"])
def test_enrolment_needs_one_good_face(models: ModelStore, reason: str) -> None:
    rgb = portrait(models, "astronaut.png")
    if reason == "no_face":
        rgb = np.full((200, 200, 3), 90, dtype=np.uint8)
    elif reason == "several_faces":
        rgb = np.concatenate([rgb, rgb], axis=1)
    else:
        rgb = np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(4)))
    with pytest.raises(PictureError) as caught:
        template(models, _picture(rgb))
    assert caught.value.reason == reason


@pytest.mark.models
def test_a_small_face_is_poor(models: ModelStore) -> None:
    rgb = np.asarray(Image.fromarray(portrait(models, "astronaut.png")).resize((200, 200)))
    with pytest.raises(PictureError, match="too small"):
        template(models, _picture(rgb))


SHARP = np.random.default_rng(3).integers(0, 256, (224, 224, 3), dtype=np.uint8)
FACE = Face((30, 30, 160, 160), 0.9, EMBED_POINTS * 2)


def _moved(*moves: tuple[int, float, float]) -> Face:
    points = FACE.points.copy()
    for index, x, y in moves:
        points[index] += (x, y)
    return Face(FACE.box, FACE.score, points)


@pytest.mark.parametrize(
    ("face", "fault"),
    [
        (FACE, ""),
        (Face((30, 30, 40, 160), 0.9, FACE.points), "too small"),
        (Face(FACE.box, 0.7, FACE.points), "doubtful"),
        (_moved((3, -200, 0)), "cut off"),
        (_moved((2, 60, 0)), "turned away"),
        (_moved((2, 0, 45)), "tipped up or down"),
        (_moved((2, 0, -45)), "tipped up or down"),
    ],
)
def test_what_makes_a_face_poor(face: Face, fault: str) -> None:
    assert poor(SHARP, face) == fault


def test_a_flat_face_is_blurred() -> None:
    assert poor(np.full_like(SHARP, 100), FACE) == "blurred"


def _near(cosine: float, axis: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    vector = np.zeros(128, dtype=np.float32)
    vector[0], vector[axis] = cosine, np.sqrt(1 - cosine**2)
    return vector


def test_pictures_that_agree_are_joined_by_their_mean() -> None:
    rows = [_near(0.8, axis) for axis in (1, 2, 3)]
    joined = together(rows)
    assert joined.shape == (4, 128)
    assert np.allclose(np.linalg.norm(joined, axis=1), 1, atol=1e-6)
    probe = _near(0.8, 4)
    assert joined[3] @ probe > max(row @ probe for row in rows) + 0.05


def test_one_picture_is_stored_as_it_is() -> None:
    assert together([_near(0.5, 1)]).shape == (1, 128)


def test_a_picture_of_somebody_else_is_named() -> None:
    with pytest.raises(PictureError, match="number 2 fits least") as caught:
        together([_near(0.9, 1), _near(0.1, 2), _near(0.9, 3)])
    assert caught.value.reason == "different_people"


def test_too_many_pictures_are_refused() -> None:
    with pytest.raises(PictureError, match="more than"):
        together([_near(0.9, 1)] * (MAX_PICTURES + 1))

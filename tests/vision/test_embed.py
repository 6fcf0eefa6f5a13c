from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guardrail.errors import DetectionError
from guardrail.inference import ModelStore
from guardrail.vision.age import age_input, apparent_age
from guardrail.vision.align import EMBED_POINTS
from guardrail.vision.detect import Face, find
from guardrail.vision.embed import Look, embed, embed_input
from tests.vision.golden.make import PORTRAITS
from tests.vision.test_detect import portrait
from tests.vision.tiny import TinyModels, constant_net

GOLDEN = Path(__file__).parent / "golden" / "faces.npz"
FACE = Face((20, 20, 90, 90), 0.9, EMBED_POINTS)
RGB = np.full((128, 128, 3), 120, dtype=np.uint8)


def _embedder(template: list[float]) -> TinyModels:
    return TinyModels(sface=constant_net("data", [3, 112, 112], [np.array(template, dtype=np.float32)]))


def test_template_has_unit_length() -> None:
    vector = embed(_embedder([3.0, 4.0] + [0.0] * 126), RGB, FACE)
    assert vector.dtype == np.float32
    assert vector[:2] == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("template", [[0.0] * 128, [1.0] * 64, [float("nan")] * 128])
def test_what_is_no_template_is_a_fault(template: list[float]) -> None:
    with pytest.raises(DetectionError):
        embed(_embedder(template), RGB, FACE)


def test_quick_templates_are_near_full_ones() -> None:
    models = _embedder([3.0, 4.0] + [0.0] * 126)
    look = Look(models, RGB, FACE)
    assert look.quick @ look.full == pytest.approx(1.0)
    assert look.quick is look.full


@pytest.mark.models
def test_a_mirrored_face_has_the_same_template(models: ModelStore) -> None:
    rgb = portrait(models, "astronaut.png")
    face = find(models, rgb)[0][0]
    points = face.points[[1, 0, 2, 4, 3]] * (-1, 1) + (rgb.shape[1] - 1, 0)
    mirrored = Face(face.box, face.score, points.astype(np.float32))
    full = embed(models, rgb, face) @ embed(models, np.ascontiguousarray(rgb[:, ::-1]), mirrored)
    assert full > 0.99


@pytest.mark.models
@pytest.mark.parametrize("name", PORTRAITS)
def test_portraits_match_the_stored_tensors(models: ModelStore, name: str) -> None:
    rgb = portrait(models, name)
    face = find(models, rgb)[0][0]
    with np.load(GOLDEN) as stored:
        assert np.abs(face.points - stored[f"{name}.points"]).max() < 1
        assert np.abs(embed_input(rgb, face)[:, :, ::8, ::8] - stored[f"{name}.embed"]).mean() < 2
        assert np.abs(age_input(rgb, face)[:, :, ::8, ::8] - stored[f"{name}.age"]).mean() < 0.02
        assert embed(models, rgb, face) @ stored[f"{name}.template"] > 0.98
        assert abs(apparent_age(models, rgb, face) - stored[f"{name}.years"][0]) < 2

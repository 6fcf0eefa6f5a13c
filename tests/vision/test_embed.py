from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guardrail.errors import DetectionError
from guardrail.inference import ModelStore
from guardrail.vision.align import EMBED_POINTS
from guardrail.vision.detect import Face, find
from guardrail.vision.embed import age_input, apparent_age, embed, embed_input
from tests.vision.golden.make import PORTRAITS
from tests.vision.test_detect import portrait
from tests.vision.tiny import TinyModels, constant_net

GOLDEN = Path(__file__).parent / "golden" / "faces.npz"
FACE = Face((20, 20, 90, 90), 0.9, EMBED_POINTS)
RGB = np.full((128, 128, 3), 120, dtype=np.uint8)


def _embedder(template: list[float]) -> TinyModels:
    return TinyModels(sface=constant_net("data", [3, 112, 112], [np.array(template, dtype=np.float32)]))


def _ager(shares: np.ndarray[tuple[int], np.dtype[np.float32]]) -> TinyModels:
    return TinyModels(age_resnet10=constant_net("images", [3, 64, 64], [shares]))


def test_template_has_unit_length() -> None:
    vector = embed(_embedder([3.0, 4.0] + [0.0] * 126), RGB, FACE)
    assert vector.dtype == np.float32
    assert vector[:2] == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("template", [[0.0] * 128, [1.0] * 64, [float("nan")] * 128])
def test_what_is_no_template_is_a_fault(template: list[float]) -> None:
    with pytest.raises(DetectionError):
        embed(_embedder(template), RGB, FACE)


def test_age_is_the_expected_one() -> None:
    shares = np.zeros(81, dtype=np.float32)
    shares[[30, 50]] = 0.5
    assert apparent_age(_ager(shares), RGB, FACE) == pytest.approx(40)


@pytest.mark.parametrize("share", [0.5, float("nan")])
def test_what_is_no_distribution_is_a_fault(share: float) -> None:
    with pytest.raises(DetectionError):
        apparent_age(_ager(np.full(81, share, dtype=np.float32)), RGB, FACE)


def test_both_flips_are_prepared() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    prepared = age_input(rgb, FACE)
    assert prepared.shape == (2, 3, 64, 64)
    assert np.array_equal(prepared[0], prepared[1, :, :, ::-1])


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

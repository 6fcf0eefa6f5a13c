from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guardrail.errors import DetectionError
from guardrail.inference import ModelStore
from guardrail.vision.exposure import FEATURES, image_safety_input, open_nsfw, open_nsfw_input
from guardrail.vision.pyramid import Level
from guardrail.vision.views import whole
from tests.vision.golden.make import SCENES, looked, scene
from tests.vision.tiny import TinyModels, constant_net

GOLDEN = Path(__file__).parent / "golden" / "exposure.npz"


@pytest.mark.parametrize("name", SCENES)
def test_preparation_matches_the_stored_tensors(name: str) -> None:
    level = Level(0, scene(name))
    with np.load(GOLDEN) as stored:
        # decoders and resamplers may differ by a level between Pillow builds
        assert np.abs(open_nsfw_input(whole(level).square)[::8, ::8] - stored[f"{name}.open"]).max() <= 4
        assert np.abs(image_safety_input(level)[:, ::8, ::8] - stored[f"{name}.safety"]).max() <= 2


def test_shape_and_range() -> None:
    level = Level(0, scene("wide"))
    yahoo, safety = open_nsfw_input(whole(level).square), image_safety_input(level)
    assert yahoo.shape == (224, 224, 3)
    assert -124 <= yahoo.min() < 0 < yahoo.max() <= 151
    assert safety.shape == (3, 224, 224)
    assert 0 <= safety.min() < safety.max() <= 255


def test_whole_picture_is_inside_the_padded_square() -> None:
    rgb = np.zeros((40, 400, 3), dtype=np.uint8)
    rgb[:, :40] = 255
    prepared = image_safety_input(Level(0, rgb))
    assert prepared[:, 112, 5].min() > 240
    assert prepared[:, 112, 200].max() < 15


@pytest.mark.models
def test_nets_answer_as_stored(models: ModelStore) -> None:
    looks = looked(models, [Level(0, scene(name)) for name in SCENES])
    with np.load(GOLDEN) as stored:
        assert np.abs(looks - stored["looks"]).max() < 0.02


@pytest.mark.models
def test_features_are_what_the_last_layer_reads(models: ModelStore) -> None:
    squares = [whole(Level(0, scene(name))).square for name in SCENES]
    seen = open_nsfw(models, squares)
    assert seen.features.shape == (len(SCENES), FEATURES)
    assert seen.features.min() >= 0
    alone = open_nsfw(models, squares[:1])
    assert np.abs(alone.features[0] - seen.features[0]).max() < 1e-3


@pytest.mark.parametrize("outputs", [[np.array([0.5, 0.5])], [np.array([0.5, 0.5]), np.zeros(7)]])
def test_a_net_without_features_is_a_fault(outputs: list[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> None:
    net = constant_net("input:0", [224, 224, 3], [item.astype(np.float32) for item in outputs])
    with pytest.raises(DetectionError):
        open_nsfw(TinyModels(open_nsfw=net), [np.zeros((256, 256, 3), dtype=np.uint8)])

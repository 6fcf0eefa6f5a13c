from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guardrail.inference import ModelStore
from guardrail.vision.exposure import image_safety_input, look, open_nsfw_input
from guardrail.vision.pyramid import Level
from tests.vision.golden.make import SCENES, scene

GOLDEN = Path(__file__).parent / "golden" / "exposure.npz"


@pytest.mark.parametrize("name", SCENES)
def test_preparation_matches_the_stored_tensors(name: str) -> None:
    level = Level(0, scene(name))
    with np.load(GOLDEN) as stored:
        # decoders and resamplers may differ by a level between Pillow builds
        assert np.abs(open_nsfw_input(level)[::8, ::8] - stored[f"{name}.open"]).max() <= 4
        assert np.abs(image_safety_input(level)[:, ::8, ::8] - stored[f"{name}.safety"]).max() <= 2


def test_shape_and_range() -> None:
    level = Level(0, scene("wide"))
    yahoo, safety = open_nsfw_input(level), image_safety_input(level)
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
    looks = look(models, [Level(0, scene(name)) for name in SCENES])
    with np.load(GOLDEN) as stored:
        assert np.abs(np.array(looks) - stored["looks"]).max() < 0.02

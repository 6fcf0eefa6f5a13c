from __future__ import annotations

import numpy as np
import pytest

from guardrail.inference import ModelStore
from guardrail.vision.detect import find
from guardrail.vision.pyramid import Level
from guardrail.vision.turned import SURE, find_any
from tests.vision.test_detect import _answers, portrait
from tests.vision.tiny import TinyModels, constant_net


@pytest.mark.models
@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("wide", [False, True])
def test_features_of_a_turned_face_are_where_they_are(models: ModelStore, turns: int, wide: bool) -> None:
    rgb = portrait(models, "astronaut.png")
    if wide:
        rgb = np.concatenate([rgb, np.full_like(rgb, 90)], axis=1)
    height, width = rgb.shape[:2]
    upright = find(models, rgb)[0][0]
    turned, _ = find_any(models, Level(0, np.ascontiguousarray(np.rot90(rgb, turns))))
    assert len(turned) == 1
    expected = upright.points
    for turn in range(turns):
        across = width if turn % 2 == 0 else height
        expected = np.stack([expected[:, 1], across - expected[:, 0]], axis=1)
    assert np.abs(turned[0].points - expected).max() < 0.12 * max(upright.box[2:])
    x, y, wide_box, high = turned[0].box
    assert (expected.mean(axis=0) > (x, y)).all()
    assert (expected.mean(axis=0) < (x + wide_box, y + high)).all()


def test_a_sure_face_is_not_turned() -> None:
    models = TinyModels(yunet=constant_net("input", [3, 640, 640], _answers({32: [(5, 5, SURE + 0.01)]})))
    faces, more = find_any(models, Level(0, np.zeros((640, 640, 3), dtype=np.uint8)))
    assert [face.box for face in faces] == [(144, 144, 32, 32)]
    assert more == 0


def test_the_surest_of_all_turns_stays() -> None:
    # the same answer for the picture and for the turned copies: a face of the first copy, in its upper right tile
    models = TinyModels(yunet=constant_net("input", [3, 640, 640], _answers({32: [(5, 15, 0.8)]})))
    faces, _ = find_any(models, Level(0, np.zeros((640, 640, 3), dtype=np.uint8)))
    assert sorted(face.box[2] for face in faces) == [32, 64]

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from guardrail.errors import DetectionError
from guardrail.inference import ModelStore
from guardrail.settings import Limits
from guardrail.signals import RGB, Picture
from guardrail.vision.decode import decode
from guardrail.vision.detect import MAX_FACES, Face, find, refine
from guardrail.vision.nets import Tensor
from tests.vision.golden.make import PORTRAITS
from tests.vision.tiny import TinyModels, constant_net

GOLDEN = Path(__file__).parent / "golden" / "faces.npz"
MARKS = np.array([0.2, 0.2, 0.8, 0.2, 0.5, 0.5, 0.3, 0.8, 0.7, 0.8], dtype=np.float32)
SIDES = {8: 80, 16: 40, 32: 20}


def portrait(models: ModelStore, name: str) -> RGB:
    return decode(Picture(models.file("sample-portraits", name).read_bytes()), Limits()).frames[0].rgb


def _answers(cells: dict[int, list[tuple[int, int, float]]], *, fill: float = 0.0) -> list[Tensor]:
    """Outputs of a detector that sees a face in each (row, column, score) of each stride."""
    classes, boxes, marks = [], [], []
    for stride, side in SIDES.items():
        scores = np.full((side, side, 1), fill, dtype=np.float32)
        for row, column, score in cells.get(stride, []):
            scores[row, column] = score
        classes.append(scores.reshape(-1, 1))
        boxes.append(np.zeros((side * side, 4), dtype=np.float32))
        marks.append(np.tile(MARKS, (side * side, 1)))
    return [*classes, *classes, *boxes, *marks]


def _found(answers: list[Tensor], size: tuple[int, int] = (640, 640)) -> tuple[list[Face], int]:
    models = TinyModels(yunet=constant_net("input", [3, 640, 640], answers))
    return find(models, np.zeros((size[1], size[0], 3), dtype=np.uint8))


def test_cells_become_boxes_largest_first() -> None:
    faces, more = _found(_answers({8: [(10, 20, 0.9)], 32: [(5, 15, 0.7)]}))
    assert more == 0
    assert [face.box for face in faces] == [(464, 144, 32, 32), (156, 76, 8, 8)]
    assert faces[0].score == pytest.approx(0.7)
    assert faces[1].points[0].tolist() == pytest.approx([161.6, 81.6])


def test_boxes_are_in_pixels_of_the_full_picture() -> None:
    faces, _ = _found(_answers({32: [(5, 15, 0.7)]}), (1280, 1280))
    assert faces[0].box == (928, 288, 64, 64)


def test_one_face_per_place() -> None:
    answers = _answers({32: [(5, 5, 0.9), (5, 6, 0.8), (9, 9, 0.7)]})
    for index in (6, 7, 8):
        answers[index][:, 2:] = 1.5
    faces, _ = _found(answers)
    assert sorted(face.score for face in faces) == pytest.approx([0.7, 0.9])


def test_the_margin_of_the_letterbox_holds_no_face() -> None:
    assert _found(_answers({32: [(15, 5, 0.9)]}), (640, 320)) == ([], 0)


def test_a_crowd_is_counted() -> None:
    faces, more = _found(_answers({}, fill=0.9))
    assert len(faces) == MAX_FACES
    assert more > 0


@pytest.mark.parametrize("outputs", [1, 12])
def test_outputs_of_another_shape_are_a_fault(outputs: int) -> None:
    with pytest.raises(DetectionError):
        _found([np.zeros((3, 4), dtype=np.float32)] * outputs)


def test_numbers_that_are_not_finite_are_a_fault() -> None:
    with pytest.raises(DetectionError):
        _found(_answers({8: [(0, 0, float("nan"))]}))


def test_box_is_cut_at_the_edges() -> None:
    points = np.zeros((5, 2), dtype=np.float32)
    assert Face((-10, -5, 500, 20), 0.9, points).inside(100, 50) == (0, 0, 100, 15)
    assert Face((200, 90, 5, 5), 0.9, points).inside(100, 50) == (99, 49, 1, 1)


@pytest.mark.models
@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("side", [96, 512, 2000])
def test_portraits_hold_one_face_at_any_size(models: ModelStore, name: str, side: int) -> None:
    rgb = portrait(models, name)
    scale = side / max(rgb.shape[:2])
    resized = Image.fromarray(rgb).resize((round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)))
    faces, _ = find(models, np.asarray(resized))
    assert len(faces) == 1
    with np.load(GOLDEN) as stored:
        assert np.abs(np.array(faces[0].box) - stored[f"{name}.box"] * scale).max() < 0.08 * side


@pytest.mark.models
def test_no_face_in_a_pattern(models: ModelStore) -> None:
    board = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((40, 40)))
    assert find(models, np.repeat((board * 255).astype(np.uint8)[..., None], 3, axis=2)) == ([], 0)


@pytest.mark.models
@pytest.mark.parametrize("side", [120, 512, 2000])
def test_features_are_placed_anew_near_where_they_were(models: ModelStore, side: int) -> None:
    rgb = portrait(models, "astronaut.png")
    resized = np.asarray(Image.fromarray(rgb).resize((side, side)))
    scene = np.concatenate([resized, resized[:, ::-1], resized], axis=1)
    faces, _ = find(models, scene)
    again = refine(models, scene, [*faces, *faces])
    assert len(faces) == 3
    assert len(again) == 6
    for face, placed in zip([*faces, *faces], again, strict=True):
        assert placed.box == face.box
        assert 0 < np.abs(placed.points - face.points).max() < 0.15 * max(face.box[2:])


def test_a_face_that_is_not_found_again_keeps_its_features() -> None:
    models = TinyModels(yunet=constant_net("input", [3, 640, 640], _answers({})))
    for turn in (1, -1):
        face = Face((-20, -20, 500, 30), 0.9, MARKS.reshape(5, 2)[::turn] * 30)
        assert face.upright == (turn == 1)
        assert refine(models, np.zeros((40, 300, 3), dtype=np.uint8), [face])[0].points is face.points
    assert refine(models, np.zeros((40, 300, 3), dtype=np.uint8), []) == []

"""Finding faces: YuNet (Wu et al. 2023, "YuNet: a tiny millisecond-level face detector") on a 640 letterbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError
from guardrail.signals import RGB
from guardrail.vision.nets import Tensor, run
from guardrail.vision.pyramid import BASE_SIDE, Level

YUNET = "yunet"
LEAST_SCORE = 0.6
"""sqrt(class x object) from which a candidate is a face; OpenCV's sample uses 0.6 to 0.9."""
OVERLAP = 0.3
"""Intersection over union from which two candidates are one face."""
MAX_CANDIDATES = 5_000
MAX_FACES = 64
"""Faces kept of one frame, largest first; the rest is told in the coverage."""
REFINED_SIDE = 200
"""Pixels a face gets at the second look, where its features are placed better than in the whole picture."""

_TILE = 320
_PER_SIDE = BASE_SIDE // _TILE
_STRIDES = (8, 16, 32)


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in pixels of the picture it was found in.

    Attributes:
        box: x, y, width, height; may reach over the edge.
        score: 0 to 1.
        points: (5, 2) x, y of the eye on the left side of the picture, the other eye, nose tip, and the mouth corners
            in the same order.
    """

    box: tuple[float, float, float, float]
    score: float
    points: NDArray[np.float32]

    @property
    def area(self) -> float:
        return self.box[2] * self.box[3]

    @property
    def upright(self) -> bool:
        """Whether the mouth lies rather below the eyes than beside or above them."""
        across, down = self.points[3:].mean(axis=0) - self.points[:2].mean(axis=0)
        return bool(down > abs(across))

    def inside(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The box in whole pixels, cut at the edges of a width x height picture, at least one pixel large."""
        x, y, wide, high = self.box
        left, top = min(max(round(x), 0), width - 1), min(max(round(y), 0), height - 1)
        right, bottom = min(max(round(x + wide), left + 1), width), min(max(round(y + high), top + 1), height)
        return left, top, right - left, bottom - top


def find(models: ModelProvider, rgb: RGB | Level) -> tuple[list[Face], int]:
    """Faces of a picture, largest first, and how many more there were than `MAX_FACES`.

    Raises:
        DetectionError: the net failed, or returned what it must not.
    """
    level = rgb if isinstance(rgb, Level) else Level(0, rgb)
    base = np.asarray(level.base)
    canvas = np.zeros((1, 3, BASE_SIDE, BASE_SIDE), dtype=np.float32)
    for channel in range(3):
        canvas[0, 2 - channel, : base.shape[0], : base.shape[1]] = base[:, :, channel]
    scores, boxes, points = _look(models, canvas)
    # what lies wholly on the black margin of the letterbox is no face
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    chosen = np.flatnonzero((scores >= LEAST_SCORE) & (centre < (base.shape[1], base.shape[0])).all(axis=1))
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")][:MAX_CANDIDATES]
    kept = chosen[_suppress(boxes[chosen])]
    kept = kept[np.argsort(-(boxes[kept, 2] * boxes[kept, 3]), kind="stable")]
    scale = np.float32(1 / level.scale)
    faces = []
    for index in kept[:MAX_FACES]:
        x, y, width, height = (float(value) for value in boxes[index] * scale)
        faces.append(Face((x, y, width, height), float(scores[index]), points[index] * scale))
    return faces, max(0, len(kept) - MAX_FACES)


def refine(models: ModelProvider, rgb: RGB, faces: Sequence[Face]) -> list[Face]:
    """The same faces with their features placed anew, from a crop of each at `REFINED_SIDE`; four crops a run.

    A face that is not found again where it was, or that is no more upright than on its side, keeps the features it had.

    Raises:
        DetectionError: the net failed, or returned what it must not.
    """
    placed = list(faces)
    upright = [number for number, face in enumerate(faces) if face.upright]
    for start in range(0, len(upright), _PER_SIDE**2):
        numbers = upright[start : start + _PER_SIDE**2]
        for number, face in zip(numbers, _refined(models, rgb, [faces[number] for number in numbers]), strict=True):
            placed[number] = face
    return placed


def _refined(models: ModelProvider, rgb: RGB, faces: Sequence[Face]) -> list[Face]:
    canvas = np.zeros((1, 3, BASE_SIDE, BASE_SIDE), dtype=np.float32)
    moves = []
    for index, face in enumerate(faces):
        crop, corner, scale = _crop(rgb, face)
        row, column = (_TILE * part for part in divmod(index, _PER_SIDE))
        height, width = crop.shape[:2]
        canvas[0, :, row : row + height, column : column + width] = crop[:, :, ::-1].transpose(2, 0, 1)
        moves.append((np.array([column, row], dtype=np.float32), corner, scale))
    scores, boxes, points = _look(models, canvas)
    likely = np.flatnonzero(scores >= LEAST_SCORE)
    centres = boxes[likely, :2] + boxes[likely, 2:] / 2
    placed = []
    for face, (tile, corner, scale) in zip(faces, moves, strict=True):
        middle = np.array([face.box[0] + face.box[2] / 2, face.box[1] + face.box[3] / 2], dtype=np.float32)
        away = np.linalg.norm((centres - tile) / scale + corner - middle, axis=1)
        near = likely[away < 0.3 * max(face.box[2:])]
        if len(near):
            best = near[np.argmax(scores[near])]
            face = replace(face, points=(points[best] - tile) / scale + corner)
        placed.append(face)
    return placed


def _crop(rgb: RGB, face: Face) -> tuple[RGB, Tensor, Tensor]:
    """The face with some room around it at `REFINED_SIDE`, its corner in the picture, and its scale along x and y."""
    height, width = rgb.shape[:2]
    x, y, wide, high = face.box
    side = max(wide, high, 1.0)
    reach = side * _TILE / REFINED_SIDE / 2
    left, top = min(max(int(x + wide / 2 - reach), 0), width - 1), min(max(int(y + high / 2 - reach), 0), height - 1)
    right, bottom = min(int(x + wide / 2 + reach) + 1, width), min(int(y + high / 2 + reach) + 1, height)
    part = Image.fromarray(rgb[top : max(bottom, top + 1), left : max(right, left + 1)])
    scale = REFINED_SIDE / side
    size = tuple(min(_TILE, max(1, round(length * scale))) for length in part.size)
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    resized = part.resize((size[0], size[1]), method, reducing_gap=2.0)
    real = np.array([size[0] / part.width, size[1] / part.height], dtype=np.float32)
    return np.asarray(resized), np.array([left, top], dtype=np.float32), real


def _look(models: ModelProvider, canvas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _decode(run(models.session(YUNET), YUNET, {"input": canvas}))


def _decode(outputs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (n,), boxes (n, 4) as x, y, width, height, and points (n, 5, 2), in pixels of the canvas."""
    if len(outputs) != 12:
        raise DetectionError("the face detector returned another number of outputs than 12")
    scores, boxes, points = [], [], []
    for index, stride in enumerate(_STRIDES):
        side = BASE_SIDE // stride
        classes, objects, offsets, marks = (outputs[index + 3 * kind][0] for kind in range(4))
        if offsets.shape != (side * side, 4) or marks.shape != (side * side, 10):
            raise DetectionError("the face detector returned outputs of another shape")
        rows, columns = np.divmod(np.arange(side * side, dtype=np.float32), np.float32(side))
        cells = np.stack([columns, rows], axis=1)
        scores.append(np.sqrt(classes[:, 0].clip(0, 1) * objects[:, 0].clip(0, 1)))
        sizes = np.exp(offsets[:, 2:].clip(-10, 10)) * stride
        centres = (cells + offsets[:, :2]) * stride
        boxes.append(np.concatenate([centres - sizes / 2, sizes], axis=1))
        points.append((marks.reshape(-1, 5, 2) + cells[:, None]) * stride)
    return np.concatenate(scores), np.concatenate(boxes), np.concatenate(points)


def _suppress(boxes: Tensor) -> NDArray[np.int64]:
    """Greedy non-maximum suppression over boxes sorted by score; the indices that stay."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    areas = boxes[:, 2] * boxes[:, 3]
    waiting = np.arange(len(boxes))
    kept: list[int] = []
    while len(waiting):
        best, rest = int(waiting[0]), waiting[1:]
        kept.append(best)
        shared = (np.minimum(high[best], high[rest]) - np.maximum(low[best], low[rest])).clip(0).prod(axis=1)
        waiting = rest[shared <= OVERLAP * (areas[best] + areas[rest] - shared)]
    return np.array(kept, dtype=np.int64)

"""Finding faces: YuNet (Wu et al. 2023, "YuNet: a tiny millisecond-level face detector") on a 640 letterbox."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    outputs = run(models.session(YUNET), YUNET, {"input": canvas})
    scores, boxes, points = _decode(outputs)
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

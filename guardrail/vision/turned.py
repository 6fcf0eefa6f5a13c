"""Faces that lie on their side or upside down: looked for when no upright face is beyond doubt, all turns in one run.

The detector often finds a turned face and places upright features on it, with less confidence; the turn in which it is
surest is the right one.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from guardrail.detector import ModelProvider
from guardrail.vision.detect import Face, find
from guardrail.vision.nets import Tensor
from guardrail.vision.pyramid import BASE_SIDE, Level

_HALF = BASE_SIDE // 2
LEAST_SCORE = 0.7
"""Higher than for upright faces: three more looks have three more chances to err."""
SURE = 0.88
"""Score from which an upright face is upright: reached by every labelled portrait, and by none of them upside down."""


def find_any(models: ModelProvider, level: Level) -> tuple[list[Face], int]:
    """Faces of a level, upright or turned; largest first, and how many more there were.

    Features of a turned face are where they are in the level, so that a chip cut by them is upright.

    Raises:
        DetectionError: the net failed, or returned what it must not.
    """
    faces, more = find(models, level)
    if any(face.score >= SURE for face in faces):
        return faces, more
    base = level.base
    scale = min(1.0, _HALF / max(base.size))
    small = base.resize((max(1, round(base.width * scale)), max(1, round(base.height * scale))), Image.Resampling.BOX)
    upright = np.asarray(small)
    canvas = np.zeros((BASE_SIDE, BASE_SIDE, 3), dtype=np.uint8)
    for turns in (1, 2, 3):
        turned = np.rot90(upright, turns)
        row, column = _corner(turns)
        canvas[row : row + turned.shape[0], column : column + turned.shape[1]] = turned
    found, _ = find(models, canvas)
    height, width = level.rgb.shape[:2]
    grown = np.array([width / small.width, height / small.height], dtype=np.float32)
    turned_faces = [_back(face, small.size, grown) for face in found if face.score >= LEAST_SCORE]
    for face in sorted(turned_faces, key=lambda item: -item.score):
        rivals = [other for other in faces if _same_place(face, other)]
        if all(face.score > other.score for other in rivals):
            faces = [other for other in faces if other not in rivals] + [face]
    return sorted(faces, key=lambda item: -item.area), more


def _same_place(one: Face, other: Face) -> bool:
    reach = max(*one.box[2:], *other.box[2:]) / 2
    across, down = (abs(one.box[at] - other.box[at] + (one.box[at + 2] - other.box[at + 2]) / 2) for at in (0, 1))
    return across < reach and down < reach


def _corner(turns: int) -> tuple[int, int]:
    row, column = divmod(turns, 2)
    return row * _HALF, column * _HALF


def _back(face: Face, size: tuple[int, int], grown: Tensor) -> Face:
    """The face in pixels of the level, from pixels of the canvas."""
    x, y, wide, high = face.box
    row, column = int(y + high / 2) // _HALF, int(x + wide / 2) // _HALF
    turns = row * 2 + column
    top, left = _corner(turns)
    corners = np.array([[x, y], [x + wide, y + high]], dtype=np.float32)
    points = np.vstack([corners, face.points]) - np.array([left, top], dtype=np.float32)
    width, height = size
    for turn in range(turns, 0, -1):
        # undoes one np.rot90: what is at (x, y) now was at (width - y, x) of the picture before it
        before = width if turn % 2 else height
        points = np.stack([before - points[:, 1], points[:, 0]], axis=1)
    points = (points * grown).astype(np.float32)
    low, high_corner = points[:2].min(axis=0), points[:2].max(axis=0)
    box = (float(low[0]), float(low[1]), float(high_corner[0] - low[0]), float(high_corner[1] - low[1]))
    return Face(box, face.score, points[2:])

"""What callers do to a picture so that a net no longer knows it, as plain functions over RGB pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from guardrail.signals import RGB

TILE = 384
"""Longest side of a part of a collage, in pixels."""
SCENE = 1280
"""Longest side, in pixels, of a scene around another picture, at least: what generators make."""
BORDER = 0.10
BLUR = 0.01

Disguise = Callable[[RGB], RGB]


def _jpeg(rgb: RGB) -> RGB:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=40)
    with Image.open(data, formats=["JPEG"]) as again:
        return np.asarray(again.convert("RGB"))


def _grey(rgb: RGB) -> RGB:
    return np.repeat(np.asarray(Image.fromarray(rgb).convert("L"))[..., None], 3, axis=2)


def _half(rgb: RGB) -> RGB:
    height, width = rgb.shape[:2]
    size = max(1, width // 2), max(1, height // 2)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _bordered(rgb: RGB, level: int) -> RGB:
    high, wide = (max(1, round(side * BORDER)) for side in rgb.shape[:2])
    return np.pad(rgb, ((high, high), (wide, wide), (0, 0)), constant_values=level)


def _black_bordered(rgb: RGB) -> RGB:
    return _bordered(rgb, 0)


def _white_bordered(rgb: RGB) -> RGB:
    return _bordered(rgb, 255)


def _blurred(rgb: RGB) -> RGB:
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), BLUR * max(rgb.shape[:2])), dtype=np.uint8)


DISGUISES: Mapping[str, Disguise] = {
    "mirror": lambda rgb: rgb[:, ::-1].copy(),
    "rotate 90": lambda rgb: np.rot90(rgb).copy(),
    "rotate 180": lambda rgb: np.rot90(rgb, 2).copy(),
    "rotate 270": lambda rgb: np.rot90(rgb, 3).copy(),
    "grey": _grey,
    "negative": lambda rgb: 255 - rgb,
    "jpeg q40": _jpeg,
    "half size": _half,
    "black border": _black_bordered,
    "white border": _white_bordered,
    "blur": _blurred,
}
"""Name -> what is done; borders are a tenth of the side, on every side, the blur a Gaussian of `BLUR` of the longer."""


def collage(parts: Sequence[RGB], columns: int = 2, gutter: float = 0.0, level: int = 255) -> RGB:
    """Pictures of the same size and shape as the first, at most `TILE` pixels a side each, row by row.

    Args:
        parts: pictures of any size, a whole number of rows of them.
        columns: pictures in a row.
        gutter: of one colour between the pictures and around them, as a share of a picture's longer side.
        level: that colour, from black to white.
    """
    height, width = parts[0].shape[:2]
    scale = min(1.0, TILE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    edge = round(gutter * max(size))
    tiles = [
        np.pad(
            np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8),
            ((edge, 0), (edge, 0), (0, 0)),
            constant_values=level,
        )
        for part in parts
    ]
    rows = [np.concatenate(tiles[at : at + columns], axis=1) for at in range(0, len(tiles), columns)]
    return np.pad(np.concatenate(rows), ((0, edge), (0, edge), (0, 0)), constant_values=level)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a collage is laid out: as `collage` takes it."""

    rows: int
    columns: int
    gutter: float = 0.0
    level: int = 255


LAYOUTS: Mapping[str, Layout] = {
    "collage": Layout(2, 2),
    "side by side": Layout(1, 2),
    "one above the other": Layout(2, 1),
    "three by three": Layout(3, 3),
    "white gutters": Layout(2, 2, 0.04),
    "black gutters": Layout(2, 2, 0.04, 0),
}
INSETS: Mapping[str, float] = {"inset, half": 1 / 2, "inset, third": 1 / 3, "inset, quarter": 1 / 4}
"""Name -> longest side of what is shown within another picture, as a share of that picture's side."""


def enlarged(rgb: RGB) -> RGB:
    """A picture as large as `SCENE`, so that one within it keeps its own pixels."""
    grown = max(1.0, SCENE / max(rgb.shape[:2]))
    return np.asarray(cv2.resize(rgb, None, fx=grown, fy=grown, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def inset(scene: RGB, rgb: RGB, share: float, place: tuple[float, float]) -> RGB:
    """A picture within another one.

    Args:
        scene: what surrounds it.
        rgb: what is shown, reduced or enlarged to fit `share` of each side of the scene.
        share: 0 to 1.
        place: across and down, each from 0 to 1: from one end of the scene to the other.
    """
    height, width = scene.shape[:2]
    scale = min(share * height / rgb.shape[0], share * width / rgb.shape[1])
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    left, top = round(place[0] * (width - size[0])), round(place[1] * (height - size[1]))
    shown = scene.copy()
    shown[top : top + size[1], left : left + size[0]] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return shown

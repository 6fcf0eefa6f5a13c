"""What portraits are changed by, to see how far a face is still found and recognised."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.detect import Face

Change = Callable[[RGB, Face], RGB]
"""A picture and its main face to a changed picture."""


def _jpeg(rgb: RGB, face: Face) -> RGB:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=40)
    return np.asarray(Image.open(data))


def _half(rgb: RGB, face: Face) -> RGB:
    return np.asarray(Image.fromarray(rgb).reduce(2))


def _mouth_covered(rgb: RGB, face: Face) -> RGB:
    x, y, wide, high = face.inside(rgb.shape[1], rgb.shape[0])
    covered = rgb.copy()
    covered[y + int(0.58 * high) : y + high, x : x + wide] = (70, 110, 150)
    return covered


def _glasses(rgb: RGB, face: Face) -> RGB:
    covered = rgb.copy()
    radius = max(2, round(0.16 * face.box[2]))
    for x, y in face.points[:2]:
        cv2.circle(covered, (round(float(x)), round(float(y))), radius, (15, 15, 15), -1)
    return covered


def _at_edge(rgb: RGB, face: Face) -> RGB:
    x, _, wide, _ = face.inside(rgb.shape[1], rgb.shape[0])
    return rgb[:, x + wide // 5 :]


def _painted(rgb: RGB, face: Face) -> RGB:
    return np.asarray(cv2.edgePreservingFilter(rgb, flags=1, sigma_s=60, sigma_r=0.4))


def _drawn(rgb: RGB, face: Face) -> RGB:
    return np.asarray(cv2.stylization(rgb, sigma_s=60, sigma_r=0.45))


DISGUISES: Mapping[str, Change] = {
    "mirrored": lambda rgb, _: rgb[:, ::-1],
    "turned by 90": lambda rgb, _: np.rot90(rgb),
    "turned by 180": lambda rgb, _: np.rot90(rgb, 2),
    "turned by 270": lambda rgb, _: np.rot90(rgb, 3),
    "grey": lambda rgb, _: np.repeat(rgb.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2),
    "JPEG quality 40": _jpeg,
    "half size": _half,
    "mouth covered": _mouth_covered,
    "dark glasses": _glasses,
    "a fifth beyond the border": _at_edge,
    "smoothed like a painting": _painted,
    "drawn over (stylised)": _drawn,
}
"""By the name they are reported under."""

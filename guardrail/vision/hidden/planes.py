"""What stands in a picture where no viewer shows it: alpha, twin colours of a palette, low bytes and low bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB, DecodedPicture
from guardrail.vision.hidden import bands
from guardrail.vision.hidden.bits import lossy
from guardrail.vision.hidden.residual import Grey

MAX_BENEATH = 4
TWINS = 2
"""Largest difference of a channel between two colours that nobody tells apart."""
_SMALL, _SAME = 96, 3
_BLOCK = 8
_WRITTEN = 0.2
_BUSY, _FLAT_SPREAD = 0.3, 1.5
_LEAST_SPREAD = 2.0
_COMMON, _AROUND, _LETTER = 3, 12, 24
_MANY, _FAR = 0.25, 8


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A picture out of values of a frame that viewers do not show; `name` says which."""

    name: str
    rgb: RGB
    frame: int = 0


def planes(picture: DecodedPicture) -> Iterator[Plane]:
    """Planes of the first frame that are not empty, noise, or what the picture shows anyway; of the first further
    frames, what lies beneath transparency."""
    first = picture.frames[0]
    yield from _beneath(picture)
    if picture.alpha is not None and picture.alpha.min() < picture.alpha.max():
        yield _grey("alpha", picture.alpha)
        yield from _faint(picture.alpha)
    if picture.indexed is not None:
        yield from _twins(*picture.indexed)
    for name, pixels in picture.low:
        if pixels.ndim == 3:
            yield Plane(name, pixels)
        elif float(cv2.meanStdDev(pixels)[1][0, 0]) > _LEAST_SPREAD:
            yield _grey(name, pixels)
    if picture.indexed is None and not lossy(picture):
        yield from _low_bits(first.rgb)


def _faint(alpha: Grey) -> Iterator[Plane]:
    """Lines that are a few levels off one of the commonest levels, where others are far off: a figure cut out."""
    counts = cv2.calcHist([alpha], [0], None, [256], [0, 256]).ravel()
    for _ in range(_COMMON):
        level = int(counts.argmax())
        low, high = max(0, level - _AROUND), min(255, level + _AROUND)
        others = counts[low : high + 1].sum() - counts[level]
        if alpha.size - counts[level] > others >= _LETTER:
            near = cv2.LUT(alpha, np.interp(np.arange(256), (low, high), (0, 255)).astype(np.uint8))
            if bands.lines(near, 1):
                yield Plane("alpha", np.asarray(cv2.cvtColor(near, cv2.COLOR_GRAY2RGB), dtype=np.uint8))
        counts[low : high + 1] = 0


def _beneath(picture: DecodedPicture) -> Iterator[Plane]:
    """Colours beneath transparency of the first frames whose own differ from those before."""
    hidden = [frame for frame in picture.frames if frame.beneath is not None]
    if len(hidden) == 1 and hidden[0].beneath is not None:
        yield Plane("beneath", hidden[0].beneath, hidden[0].index)
        return
    seen: list[NDArray[np.int16]] = []
    for frame in hidden:
        if frame.beneath is None or len(seen) >= MAX_BENEATH:
            continue
        small = cv2.resize(frame.beneath, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).astype(np.int16)
        if all(int(np.abs(small - other).max()) > _SAME for other in seen):
            seen.append(small)
            yield Plane("beneath", frame.beneath, frame.index)


def _twins(indices: Grey, palette: NDArray[np.uint8]) -> Iterator[Plane]:
    """Where a palette has two entries of one colour, which of them each pixel takes."""
    colours = palette.astype(np.int16)
    used = np.flatnonzero(cv2.calcHist([indices], [0], None, [256], [0, 256]).ravel()[: len(colours)])
    apart = np.abs(colours[used][:, None] - colours[used][None]).max(axis=2)
    np.fill_diagonal(apart, np.iinfo(apart.dtype).max)
    odd = np.where(used % 2 == 1, used, 0)
    beside = np.zeros(256, np.uint8)
    if np.count_nonzero(np.diagonal(apart, 1)[::2] <= TWINS) >= _MANY * len(used) / 2:
        beside[odd[odd > 0]] = 255
    for second in (_shifted(used, apart, _FAR), _mutual(used, apart), beside):
        if second.any():
            yield _grey("palette", second[indices])


def _shifted(used: NDArray[np.intp], apart: NDArray[np.int16], least: int) -> NDArray[np.uint8]:
    """Entries that repeat the colour of one so many places before, where many twins are that many places apart.

    Neighbours in a palette are often alike, so steps below `least` are left out.
    """
    first, other = np.nonzero(np.triu(apart <= TWINS))
    second = np.zeros(256, np.uint8)
    counts = np.bincount((used[other] - used[first]).astype(np.intp), minlength=256)
    counts[:least] = 0
    if counts.max() >= _MANY * len(used):
        second[used[other[used[other] - used[first] == counts.argmax()]]] = 255
    return second


def _mutual(used: NDArray[np.intp], apart: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The later of two entries that are each other's nearest: of many like colours, which is taken says nothing."""
    nearest = apart.argmin(axis=1)
    second = np.zeros(256, np.uint8)
    for position, other in enumerate(nearest):
        if other < position and nearest[other] == position and apart[position, other] <= TWINS:
            second[used[position]] = 255
    return second


def _low_bits(rgb: RGB) -> Iterator[Plane]:
    """Lowest bits that are all alike over large parts of a picture that is not: somebody has set them."""
    if min(rgb.shape[:2]) < _BLOCK:
        return
    seen: list[Grey] = []
    for levels, name in zip(cv2.split(rgb), ("red", "green", "blue"), strict=True):
        bits = levels & np.uint8(1)
        even = _even(bits)
        if not _WRITTEN < float(even.mean()) < 1.0 or any(np.array_equal(bits, other) for other in seen):
            continue
        busy = _spread(levels)[: even.shape[0], : even.shape[1]] > _FLAT_SPREAD
        if float((even & busy).mean()) > _WRITTEN * _BUSY:
            seen.append(bits)
            yield _grey(f"low-bit-{name}", bits * np.uint8(255))


def _even(bits: Grey) -> NDArray[np.bool_]:
    """Which blocks have all bits alike; rows of eight bits are looked at as one byte."""
    height, width = (side // _BLOCK * _BLOCK for side in bits.shape)
    rows = np.packbits(bits[:height, :width], axis=1).reshape(height // _BLOCK, _BLOCK, -1)
    return np.asarray((rows.max(axis=1) == 0) | (rows.min(axis=1) == 255))


def _spread(levels: Grey) -> NDArray[np.float32]:
    """Standard deviation in each block."""
    values = levels.astype(np.float32)
    mean, power = (
        cv2.resize(item, None, fx=1 / _BLOCK, fy=1 / _BLOCK, interpolation=cv2.INTER_AREA)
        for item in (values, values * values)
    )
    return np.asarray(np.sqrt(np.maximum(power - mean * mean, 0.0)), dtype=np.float32)


def _grey(name: str, levels: Grey) -> Plane:
    """A plane stretched over the whole range of grey."""
    stretched = cv2.normalize(levels, None, 0, 255, cv2.NORM_MINMAX)
    return Plane(name, np.asarray(cv2.cvtColor(stretched, cv2.COLOR_GRAY2RGB), dtype=np.uint8))

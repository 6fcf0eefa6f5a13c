"""Pixels of any mode as what a viewer sees, and what transparency hides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.signals import RGB

HIDDEN_SPREAD = 8.0
"""Standard deviation, in levels, from which colours or alpha under transparency count as a picture of their own."""
BAND = 256
"""Rows worked on at once."""
_DEEP = ((), (3,), (4,))

_TURNS = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (1, True),
    6: (3, False),
    7: (3, True),
    8: (1, False),
}


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One frame's pixels: as seen over white, its alpha if any, the colours beneath when they differ, where it has a
    palette, the entry of each pixel with the colours, of 16-bit samples what the lower bytes show, by name, and the
    seconds that an animation shows it."""

    rgb: RGB
    alpha: NDArray[np.uint8] | None = None
    beneath: RGB | None = None
    indexed: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
    low: tuple[tuple[str, NDArray[np.uint8]], ...] = ()
    seconds: float | None = None


def see(picture: Image.Image) -> Seen:
    """The loaded frame of `picture` as (height, width, 3) RGB over white.

    16-bit samples are reduced to their high byte, CMYK goes through Pillow's conversion, palettes are resolved.
    """
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        return _deep_grey(picture)
    if picture.mode == "P":
        colours = np.asarray(picture.getpalette("RGB") or (), dtype=np.uint8).reshape(-1, 3)
        return replace(_flat(picture), indexed=(np.array(picture), colours))
    return _flat(picture)


def deep_samples(stream: bytes, size: tuple[int, int]) -> NDArray[np.uint16] | None:
    """All samples of a 16-bit PNG as (height, width[, 3 or 4]), blue first, or None when the decoder refuses it.

    Pillow keeps only the upper bytes of most such pictures. OpenCV takes no file that Pillow refuses and sees the same
    upper bytes; of transparent levels (tRNS) OpenCV alone knows those of colours, Pillow alone those of grey.
    """
    try:
        found = cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if found is None or found.dtype != np.uint16 or found.shape[:2] != size[::-1] or found.shape[2:] not in _DEEP:
        return None
    return np.ascontiguousarray(found, dtype=np.uint16)


def see_deep(samples: NDArray[np.uint16]) -> Seen:
    """What `see` shows of samples as `deep_samples` gives them, and what their lower bytes show."""
    high, low = (_byte(samples, upper) for upper in (True, False))
    colours, alpha = _parts(high)
    if colours.ndim == 2:
        colours = np.asarray(cv2.cvtColor(colours, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    seen = Seen(colours) if alpha is None else _laid(colours, alpha)
    return replace(seen, low=lower_bytes(samples, (high, low)))


def lower_bytes(
    samples: NDArray[np.uint16], split: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
) -> tuple[tuple[str, NDArray[np.uint8]], ...]:
    """Names and pixels of lower bytes that are neither empty nor the upper ones again; `split` is both, if known."""
    high, low = split or (_byte(samples, True), _byte(samples, False))
    found = []
    for name, upper, lower in zip(("low-byte", "low-byte-alpha"), _parts(high), _parts(low), strict=True):
        if upper is not None and lower is not None and lower.any() and not np.array_equal(upper, lower):
            found.append((name, lower))
    return tuple(found)


def _byte(samples: NDArray[np.uint16], upper: bool) -> NDArray[np.uint8]:
    pairs = samples.astype("<u2", copy=False).view(np.uint8).reshape(len(samples), -1, 2)
    return np.asarray(cv2.extractChannel(pairs, int(upper)), dtype=np.uint8).reshape(samples.shape)


def _parts(samples: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Colours, red first, or grey; and alpha if any."""
    if samples.ndim == 2:
        return samples, None
    colours = np.asarray(cv2.cvtColor(np.ascontiguousarray(samples[..., :3]), cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return colours, np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None


def _flat(picture: Image.Image) -> Seen:
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or picture.has_transparency_data:
        return _composite(np.asarray(picture.convert("RGBA")))
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    return Seen(np.asarray(picture))


def orient(array: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn (height, width[, 3]) pixels upright. `orientation` is 1 to 8 as in TIFF 6.0."""
    turns, mirrored = _TURNS[orientation]
    if mirrored:
        array = array[:, ::-1]
    return np.ascontiguousarray(np.rot90(array, turns))


def _deep_grey(picture: Image.Image) -> Seen:
    deep = np.asarray(picture).astype(np.uint32)
    grey = (deep >> 8).clip(0, 255).astype(np.uint8)
    transparent = picture.info.get("transparency")
    if not isinstance(transparent, int):
        return Seen(np.repeat(grey[..., None], 3, axis=2))
    alpha = np.where(deep == transparent, 0, 255).astype(np.uint8)
    return _composite(np.dstack([grey, grey, grey, alpha]))


def _composite(rgba: NDArray[np.uint8]) -> Seen:
    return _laid(np.ascontiguousarray(rgba[..., :3]), rgba[..., 3])


def _laid(colours: RGB, alpha: NDArray[np.uint8]) -> Seen:
    if alpha.min() == 255:
        return Seen(colours)
    rgb = _over(colours, alpha, 255)
    return Seen(rgb, np.ascontiguousarray(alpha), _beneath(colours, alpha))


def _bands(height: int) -> Iterator[slice]:
    """Row bands that keep temporaries small, since a frame may have tens of megapixels."""
    return (slice(start, start + BAND) for start in range(0, height, BAND))


def _over(colours: RGB, alpha: NDArray[np.uint8], ground: int) -> RGB:
    laid = np.empty_like(colours)
    for band in _bands(len(colours)):
        share = alpha[band, :, None].astype(np.uint16)
        mixed = colours[band] * share + np.uint16(ground) * (255 - share)
        # exact division by 255 with rounding, as in Porter-Duff compositing on bytes
        mixed += 128
        laid[band] = (mixed + (mixed >> 8)) >> 8
    return laid


def _spread(levels: NDArray[np.uint8], where: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean and standard deviation of the levels of one channel where a mask holds."""
    counts = np.zeros(256, dtype=np.int64)
    for band in _bands(len(levels)):
        counts += np.bincount(levels[band][where[band]], minlength=256)
    values, total = np.arange(256.0), max(int(counts.sum()), 1)
    mean = float(counts @ values) / total
    return mean, float(np.sqrt(counts @ (values - mean) ** 2 / total))


def _beneath(colours: RGB, alpha: NDArray[np.uint8]) -> RGB | None:
    """What transparency hides: the bare colours, or the picture a dark page would show of light colours."""
    hidden = alpha < 255
    channels = [_spread(colours[..., channel], hidden) for channel in range(3)]
    if max(spread for _, spread in channels) > HIDDEN_SPREAD:
        return colours
    light = sum(mean for mean, _ in channels) / 3 > 127
    if light and _spread(alpha, np.ones_like(hidden))[1] > HIDDEN_SPREAD:
        return _over(colours, alpha, 0)
    return None

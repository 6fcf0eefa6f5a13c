"""Low bits of pixels: text that they spell in one of the usual orders, and whether they look as if somebody wrote them.

Chance writes what may be a letter into a byte in three of eight cases, so eight in a row are looked for in every other
64-bit word by a few operations on all of them at once; only what passes is searched. Runs of 23 are never missed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB, DecodedPicture

Bytes = NDArray[np.uint8]

MAX_PIXELS = 4_000_000
"""Pixels whose low bits are looked at, from the top."""
MAX_UNUSUAL = 1 << 18
"""Pixels of them that are read in unusual orders."""
MAX_SHIFTED = 1 << 12
"""Bytes of an order in which text may also begin inside a byte."""
MAX_CANDIDATES = 128
"""Places of one order that are searched."""
_RUN = re.compile(rb"[A-Za-z][A-Za-z ,.:;!?'\"@/()\n-]{15,}")
_LETTER = np.array([_RUN.fullmatch(b"x" * 15 + bytes([value])) is not None for value in range(256)])
_MAX_RUNS, _DISTINCT, _MOST_ALIKE = 8, 8, 0.45
_BEFORE, _AFTER = 64, 4_096
_TOP, _LAST = np.uint64(0x8080808080808080), np.uint64(0x0101010101010101)
_TWO, _GATHER = np.uint32(0x03030303), np.uint32(1 << 30 | 1 << 20 | 1 << 10 | 1)


def _spread_over(count: int, place: int) -> NDArray[np.int32]:
    """(1, 256) words that hold the bits of each byte at every so many bits, in the order of `count` bytes."""
    wide = [sum((value >> bit & 1) << count * bit + count - 1 - place for bit in range(8)) for value in range(256)]
    rows = [value.to_bytes(count, "big").ljust(4, b"\0") for value in wide]
    return np.frombuffer(b"".join(rows), np.int32).reshape(1, 256)


_REVERSED = np.array([int(f"{value:08b}"[::-1], 2) for value in range(256)], np.uint8)
_PAIRS_TURNED = np.array(
    [(value & 0x55) << 1 | value >> 1 & 0x55 for value in range(256)],  # which bit of a pair comes first
    np.uint8,
)
_SPREAD = {count: [_spread_over(count, place) for place in range(count)] for count in (2, 3, 4)}
"""For weaving so many rows of bits, by row: what each byte becomes."""
_MAX_PAIRS_ROWS = 96
_LEAST_PIXELS = 64
_LEAST_PAIRS = 4_096


def low_bit_texts(picture: DecodedPicture) -> list[str]:
    """Runs of at least 16 letters and common signs that low bits of the first frame spell.

    Orders: along rows and, in the left part, along columns; red, green and blue in turn, blue first, with alpha, and
    each channel alone; the lowest bit, or, in the upper part, the two lowest; either bit of a byte first; near the
    start of rows, from any bit on. Of a palette the entries are read. JPEG and lossy WebP keep no low bits.
    """
    if lossy(picture) or picture.width * picture.height < _LEAST_PIXELS:
        return []
    samples = picture.frames[0].rgb if picture.indexed is None else picture.indexed[0][..., None]
    rows = max(1, MAX_PIXELS // max(1, samples.shape[1]))
    alpha = None if picture.alpha is None else picture.alpha[:rows]
    found: dict[str, None] = {}
    for packed, usual in _orders(samples[:rows], alpha):
        for text in _spelled(packed, shifted=usual):
            found[text] = None
    return list(found)[:_MAX_RUNS]


def lossy(picture: DecodedPicture) -> bool:
    """Whether the format keeps no low bits: what stands in them is noise of the coder."""
    return picture.format == "jpeg" or (picture.format == "webp" and b"VP8L" not in picture.source.data)


def written_share(rgb: RGB) -> float:
    """The largest share, over the channels, of pixels whose lowest bit carries something else than the picture.

    Sample pair analysis (Dumitrescu, Wu and Wang, IEEE Trans. Signal Processing 2003) on neighbours of at most 192 rows
    spread over the picture. 0 to 1; 0 where there are too few pairs to say.
    """
    step = max(1, rgb.shape[0] // _MAX_PAIRS_ROWS)
    return max((_pairs(np.ascontiguousarray(rgb[::step, :, channel])) for channel in range(3)), default=0.0)


def _pairs(levels: Bytes) -> float:
    left, right = levels[:, :-1], levels[:, 1:]
    if left.size < _LEAST_PAIRS:
        return 0.0
    odd, same = (right & np.uint8(1)).view(np.bool_), left == right
    # of pairs that differ: upwards to an even level, or downwards to an odd one
    towards = np.count_nonzero((left < right) ^ odd) - np.count_nonzero(same & odd)
    away = left.size - np.count_nonzero(same) - towards
    alike = np.count_nonzero((left ^ right) <= 1)
    if alike == left.size or alike == 0:
        return 0.0
    # a p^2 + b p + c = 0 for the expected change p that writing the share 2 p would have made
    a, b, c = alike / 2, 2.0 * towards - left.size, float(away - towards)
    inside = b * b - 4 * a * c
    root = max(inside, 0.0) ** 0.5
    roots = [(-b + sign * root) / (2 * a) for sign in (-1, 1)]
    return float(np.clip(min(roots, key=abs), 0.0, 1.0))


def _orders(samples: Bytes, alpha: Bytes | None) -> Iterator[tuple[Bytes, bool]]:
    """Bytes made of low bits of (height, width, channels), the first bit uppermost; and whether the order is usual."""
    height, width, count = samples.shape
    single = [channel & np.uint8(1) for channel in cv2.split(samples)]
    alone = [np.packbits(channel) for channel in single]
    yield woven(alone, samples.size), True
    if count == 3:
        yield woven(alone[::-1], samples.size), True
        yield from ((channel, True) for channel in alone)
    if alpha is not None:
        low = np.packbits(alpha & np.uint8(1))
        yield low, True
        yield woven([*alone, low], samples.size + alpha.size), True
    across = [np.packbits(cv2.transpose(channel[:, : max(1, MAX_UNUSUAL // height)])) for channel in single]
    yield woven(across, count * height * min(width, max(1, MAX_UNUSUAL // height))), False
    upper = samples[: max(1, MAX_UNUSUAL // width)]
    two = [upper]
    if count == 3:
        yield from ((channel, False) for channel in across)
        two += cv2.split(upper)
    for part in two:
        packed = _pairs_packed(part.reshape(-1))
        yield packed, False
        yield cv2.LUT(packed.reshape(1, -1), _PAIRS_TURNED).reshape(-1), False


def woven(packed: Sequence[Bytes], bits: int) -> Bytes:
    """Bits of each in turn, the first bit uppermost, so many in all: tables spread the bits of a byte over a word."""
    if len(packed) == 1:
        return packed[0]
    words = cv2.LUT(packed[0].reshape(1, -1), _SPREAD[len(packed)][0])
    for item, table in zip(packed[1:], _SPREAD[len(packed)][1:], strict=True):
        words |= cv2.LUT(item.reshape(1, -1), table)
    spread = words.view(np.uint8).reshape(1, -1, 4)
    woven = cv2.cvtColor(spread, cv2.COLOR_BGRA2BGR) if len(packed) == 3 else spread[..., : len(packed)]
    return np.asarray(woven, dtype=np.uint8).reshape(-1)[: -(-bits // 8)]


def _pairs_packed(samples: Bytes) -> Bytes:
    """The two lowest bits of four samples a byte: one product moves all four to its top byte, and none overlap."""
    words = samples[: len(samples) // 4 * 4].view("<u4") & _TWO
    words *= _GATHER
    return np.ascontiguousarray(words.view(np.uint8)[3::4])


def _spelled(packed: Bytes, *, shifted: bool) -> Iterator[str]:
    for read in (packed, _shifted(packed)) if shifted else (packed,):
        words = read[: len(read) // 16 * 16].view("<u8")[::2].copy()
        # letters and signs have the top bit clear and one of the two below it set: seen from either end of a byte
        for mask, near, reverse in ((_TOP, np.left_shift, False), (_LAST, np.right_shift, True)):
            fits = near(words, 1)
            fits |= near(words, 2)
            fits &= ~words
            fits &= mask
            places = np.flatnonzero(fits == mask)
            if len(places):
                worded = _worded(words[places].view(np.uint8).reshape(-1, 8), reverse)
                yield from _runs(read, places[worded][:MAX_CANDIDATES].tolist(), reverse)


def _worded(parts: Bytes, reverse: bool) -> NDArray[np.bool_]:
    """Which rows of eight bytes are all letters and signs, and not the same few again and again."""
    parts = np.sort(_REVERSED[parts] if reverse else parts, axis=1)
    distinct = 1 + np.count_nonzero(parts[:, 1:] != parts[:, :-1], axis=1)
    return np.asarray(_LETTER[parts].all(axis=1) & (distinct >= _DISTINCT // 2))


def _shifted(packed: Bytes) -> Bytes:
    """The first bytes read from each further bit of them, one reading behind the other."""
    head, after = packed[: MAX_SHIFTED - 1], packed[1:MAX_SHIFTED]
    head = head[: len(after)]
    shifts = np.arange(1, 8, dtype=np.uint8)[:, None]
    return ((head << shifts) | (after >> (8 - shifts))).reshape(-1)


def _runs(packed: Bytes, places: list[int], reverse: bool) -> Iterator[str]:
    until = 0
    for place in places:
        at = 16 * place
        if at < until:
            continue
        if _RUN.search(_part(packed, at, _BEFORE, reverse)) is None:
            continue
        for match in _RUN.finditer(_part(packed, at, _AFTER, reverse)):
            if _said(match.group()):
                yield match.group().decode("ascii")
        until = at + _AFTER - _BEFORE


def _said(run: bytes) -> bool:
    """Whether letters vary as in words: even tones and patterns spell a few capitals over and over."""
    counts = Counter(run)
    often = sum(count for _, count in counts.most_common(2))
    spaced = b" " in run or 2 * sum(97 <= byte <= 122 for byte in run) >= len(run)
    return spaced and len(counts) >= _DISTINCT and often <= _MOST_ALIKE * len(run)


def _part(packed: Bytes, at: int, after: int, reverse: bool) -> bytes:
    part = packed[max(0, at - _BEFORE) : at + after]
    return (_REVERSED[part] if reverse else part).tobytes()

"""QR codes laid thinly over a picture: read by the jumps at the edges of their modules, not by light and dark.

A code blended over a photograph is neither lighter nor darker than its surroundings, but across the edge between two
modules the photograph goes on smoothly and the code does not. Each edge votes on whether its two modules differ; belief
propagation over the grid (J. Pearl, 1988), held by the finder and timing patterns that every code has, joins the votes.
The cleaned code is then read by zxing-cpp like any other.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from guardrail.signals import RGB
from guardrail.vision.hidden.residual import Grey

Field = NDArray[np.float64]
MODULES = (3, 4, 5, 6, 8)
"""Pixels of a module that are looked for."""
MAX_SIDE = 1024
"""Larger pictures are reduced to this side first."""
_VERSIONS = range(21, 58, 4)
_FINDER, _RINGED, _SURE = 7, 9, 0.42
_PEAKS, _MAX_TRIES = 6, 6
_STEP, _ROUNDS = 4, 40
_CLIP = 12.0
_SHORT = 4
"""Pixels of a module up to which sums over a finder pattern fit in 16 bits."""
_CERTAIN = 30.0
_LEAST_JUMP = 4.0
_LOCAL, _SPREADS, _HEIGHTS = 5, 1.5, (1.0, 0.8)
_SMALL, _GLANCE, _GLANCED, _CELL = 250_000, 2, 12, 12
_SPANS, _NEAR = (_GLANCE * (min(_VERSIONS) - _FINDER), _GLANCE * (max(_VERSIONS) - _FINDER)), 4
"""Least and most pixels between two finder patterns in a glance, and how far off a glance may place them."""


def faint_codes(rgb: RGB) -> list[str]:
    """Texts of faint upright QR codes."""
    rgb = fitting(rgb)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    found: dict[str, None] = {}
    for tried, (left, top, count, side) in enumerate(_places(grey)):
        if tried == _MAX_TRIES:
            break
        text = _read(rgb[top : top + side, left : left + side], count)
        if text:
            found[text] = None
    return list(found)


def fitting(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, grey or RGB, reduced to `MAX_SIDE` where it is larger."""
    height, width = pixels.shape[:2]
    share = MAX_SIDE / max(height, width)
    if share >= 1:
        return pixels
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _places(grey: Grey) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, modules and side in pixels of what has two finder patterns where a code has them."""
    for module in MODULES:
        if min(grey.shape) < min(_VERSIONS) * module:
            continue
        peaks = _finders(grey, module)
        for first, left, top in peaks:
            for second, right, bottom in peaks:
                if max(first, second) < _SURE:
                    continue
                # two on one row, one below the other, or at the ends of the diagonal that has none at its other end
                spans = {(left, top, right - left)} if abs(bottom - top) <= 1 < right - left else set()
                if abs(right - left) <= 1 < bottom - top:
                    spans.add((left, top, bottom - top))
                if right > left and abs((right - left) - (top - bottom)) <= 1:
                    spans.add((left, bottom, right - left))
                for x, y, span in spans:
                    count = round(span / module) + _FINDER
                    side = count * module
                    if count in _VERSIONS and y + side <= grey.shape[0] and x + side <= grey.shape[1]:
                        yield x, y, count, side


def _finders(grey: Grey, module: int) -> list[tuple[float, int, int]]:
    """Score, left and top of the likeliest finder patterns; in large pictures a look at reduced size points to them."""
    if grey.size <= _SMALL:
        return _peaks(likeness(grey, module), module, _PEAKS)
    share = _GLANCE / module
    rough = paired(_glanced(likeness(_reduced(grey, share), _GLANCE)))
    close = {_closer(grey, module, round(left / share), round(top / share)) for left, top in rough}
    return sorted(close, reverse=True)[:_PEAKS]


def _reduced(grey: Grey, share: float) -> Grey:
    """The picture at a share of its size; halves are means over areas, what is between is not worth them."""
    height, width = (round(length * share) for length in grey.shape)
    while 2 * height <= grey.shape[0]:
        grey = np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _glanced(likely: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Left and top of the likeliest patterns, at most one in each square of some pixels."""
    rows, columns = (side // _CELL for side in likely.shape)
    cells = likely[: rows * _CELL, : columns * _CELL].reshape(rows, _CELL, columns, _CELL)
    best = cells.max(axis=1).max(axis=2)
    found = []
    for at in np.argpartition(best.ravel(), -min(_GLANCED, best.size))[-_GLANCED:]:
        row, column = divmod(int(at), columns)
        y, x = divmod(int(cells[row, :, column].argmax()), _CELL)
        found.append((column * _CELL + x + _GLANCE, row * _CELL + y + _GLANCE))
    return found


def paired(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places that have another where a code of some size has its next finder pattern, give or take some pixels."""

    def apart(first: tuple[int, int], second: tuple[int, int]) -> bool:
        across, down = second[0] - first[0], second[1] - first[1]
        span = max(abs(across), abs(down))
        beside = min(abs(across), abs(down)) <= _NEAR
        diagonal = across * down < 0 and abs(across + down) <= 2 * _NEAR
        return _SPANS[0] - _NEAR <= span <= _SPANS[1] + _NEAR and (beside or diagonal)

    return [place for place in places if any(apart(place, other) for other in places)]


def _closer(grey: Grey, module: int, left: int, top: int) -> tuple[float, int, int]:
    """Score, left and top, to the pixel, of a finder pattern that a glance saw."""
    start_x, start_y = max(0, left - 4 * module), max(0, top - 4 * module)
    part = grey[start_y : top + (_FINDER + 4) * module, start_x : left + (_FINDER + 4) * module]
    if min(part.shape) <= (_FINDER + 2) * module:
        return -1.0, left, top
    score, x, y = _peaks(likeness(part, module), module)[0]
    return score, start_x + x, start_y + y


def likeness(grey: Grey, module: int) -> NDArray[np.float32]:
    """How much each place looks like a finder pattern with modules of so many pixels, -1 to 1."""
    around = min(255, 5 * module | 1)
    flat = cv2.min(cv2.addWeighted(grey, 1, cv2.blur(grey, (around, around)), -1, _CLIP), 2 * _CLIP)
    # the pattern is squares inside squares, so its normed correlation comes from sums over squares, whatever their size
    high, wide = (length - _RINGED * module + 1 for length in grey.shape)
    side, count = (_RINGED * module,) * 2, (_RINGED * module) ** 2
    bits, signed = (cv2.CV_16U, cv2.CV_16S) if module <= _SHORT else (cv2.CV_32S, cv2.CV_32S)

    def sums(inner: int) -> cv2.typing.MatLike:
        at = (_RINGED - inner) // 2 * module
        square = cv2.boxFilter(flat, bits, (inner * module,) * 2, anchor=(0, 0), normalize=False)
        return square[at : at + high, at : at + wide]

    whole = sums(_RINGED)
    rings = cv2.subtract(sums(5), cv2.add(sums(7), sums(3)), dtype=signed)
    light = float(_finder().mean())
    # whole numbers, so that what is flat is like nothing exactly
    found = cv2.addWeighted(whole, round((1 - light) * _RINGED**2), rings, 2 * _RINGED**2, 0.0, dtype=cv2.CV_32F)
    power = cv2.sqrBoxFilter(flat, cv2.CV_32F, side, anchor=(0, 0), normalize=False)[:high, :wide]
    common = cv2.multiply(whole, whole, scale=1 / count, dtype=cv2.CV_32F)
    spread = np.sqrt(np.maximum(cv2.subtract(power, common), 1.0))
    return np.asarray(cv2.divide(found, spread, scale=(count * (1 - light**2)) ** -0.5 / _RINGED**2), dtype=np.float32)


def _finder() -> NDArray[np.float32]:
    """A finder pattern and the light ring around it; 1 is light."""
    found = np.ones((9, 9), np.float32)
    found[1:8, 1:8] = -1
    found[2:7, 2:7] = 1
    found[3:6, 3:6] = -1
    return found


def _peaks(found: NDArray[np.float32], module: int, most: int = 1) -> list[tuple[float, int, int]]:
    """Score, left and top of the likeliest finder patterns."""
    left = found.copy()
    peaks = []
    for _ in range(most):
        _, score, _, (x, y) = cv2.minMaxLoc(left)
        peaks.append((float(score), x + module, y + module))
        cv2.rectangle(left, (x - 3 * module, y - 3 * module), (x + 3 * module, y + 3 * module), -1.0, -1)
    return peaks


def _read(part: RGB, count: int) -> str:
    side = count * _STEP
    pixels = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA).astype(np.float64)
    across, down = _jumps(pixels, count)
    known = _known(count)
    step_across, step_down = known[:, 1:] - known[:, :-1], known[1:] - known[:-1]
    rising = [across[:, step_across == 1], -across[:, step_across == -1], down[:, step_down == 1]]
    height = float(np.median(np.concatenate([item.ravel() for item in (*rising, -down[:, step_down == -1])])))
    if height < _LEAST_JUMP:
        return ""
    for share in _HEIGHTS:
        light = _joined(_votes(across, share * height), _votes(down, share * height), known) > 0
        clean = cv2.resize(light.astype(np.uint8) * 255, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
        clean = cv2.copyMakeBorder(clean, 36, 36, 36, 36, cv2.BORDER_CONSTANT, value=255)
        text = next((item.text for item in zxingcpp.read_barcodes(clean) if item.text), "")
        if text:
            return text
    return ""


def _jumps(pixels: Field, count: int) -> tuple[Field, Field]:
    """(samples, count, count - 1) and (samples, count - 1, count): steps at the edges, less the slope beside them."""
    across, down = [], []
    for channel in range(3):
        block = pixels[..., channel].reshape(count, _STEP, count, _STEP)
        first, second = block[:, :, :-1], block[:, :, 1:]
        slope = (second[..., 1] - second[..., 0] + first[..., -1] - first[..., -2]) / 2
        across.append(np.moveaxis(second[..., 0] - first[..., -1] - slope, 1, 0))
        upper, lower = block[:-1], block[1:]
        slope = (lower[:, 1] - lower[:, 0] + upper[:, -1] - upper[:, -2]) / 2
        down.append(np.moveaxis(lower[:, 0] - upper[:, -1] - slope, 2, 0))
    return np.concatenate(across), np.concatenate(down)


def _known(count: int) -> Field:
    """What every code of a size has: 0 dark, 1 light, NaN where it differs from code to code."""
    found = np.full((count, count), np.nan)
    finder = (_finder()[1:8, 1:8] > 0).astype(np.float64)
    for top, left in ((0, 0), (0, count - 7), (count - 7, 0)):
        found[max(0, top - 1) : top + 8, max(0, left - 1) : left + 8] = 1
        found[top : top + 7, left : left + 7] = finder
    timing = np.arange(8, count - 8)
    found[6, timing] = found[timing, 6] = timing % 2
    if 21 < count <= 41:
        found[count - 9 : count - 4, count - 9 : count - 4] = finder[1:6, 1:6] * 0
        found[count - 8 : count - 5, count - 8 : count - 5] = 1
        found[count - 7, count - 7] = 0
    return found


def _votes(jumps: Field, height: float) -> tuple[Field, Field, Field]:
    """Log likelihoods, up to a constant, that two modules are alike, go from dark to light, or from light to dark.

    Where fur lies beside water the spread differs, so it is taken from around each edge.
    """
    left = np.minimum(np.abs(jumps), np.abs(np.abs(jumps) - height)).mean(axis=0)
    spread = _SPREADS * np.maximum(1.0, cv2.blur(left, (_LOCAL, _LOCAL)))

    def likely(expected: float) -> Field:
        return np.asarray(-0.35 * np.log1p(((jumps - expected) / spread) ** 2).sum(axis=0), dtype=np.float64)

    return likely(0.0), likely(height), likely(-height)


def _joined(across: tuple[Field, Field, Field], down: tuple[Field, Field, Field], known: Field) -> Field:
    """(count, count) log odds of light by belief propagation on the grid."""
    given = np.where(np.isnan(known), 0.0, np.where(known == 1, _CERTAIN, -_CERTAIN))
    from_left, from_right, from_top, from_bottom = (np.zeros_like(given) for _ in range(4))

    def sent(odds: Field, alike: Field, to_light: Field, to_dark: Field) -> Field:
        return np.asarray(np.logaddexp(odds + alike, to_light) - np.logaddexp(odds + to_dark, alike))

    for _ in range(_ROUNDS):
        all_odds = given + from_left + from_right + from_top + from_bottom
        left, right, top, bottom = (np.zeros_like(given) for _ in range(4))
        left[:, 1:] = sent((all_odds - from_right)[:, :-1], *across)
        right[:, :-1] = sent((all_odds - from_left)[:, 1:], across[0], across[2], across[1])
        top[1:] = sent((all_odds - from_bottom)[:-1], *down)
        bottom[:-1] = sent((all_odds - from_top)[1:], down[0], down[2], down[1])
        from_left, from_right = (from_left + left) / 2, (from_right + right) / 2
        from_top, from_bottom = (from_top + top) / 2, (from_bottom + bottom) / 2
    return np.asarray(given + from_left + from_right + from_top + from_bottom, dtype=np.float64)

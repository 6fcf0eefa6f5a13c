"""Drawn parameters of one scaling attack: kernel, target, picture size, contrast, channel, noise mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tests.attacks.hidden.kernels import SMOOTH, SPARSE

Family = Literal["sparse", "antialiased", "one_line"]
Channel = Literal["luma", "red", "green", "blue"]

CHANNELS: tuple[Channel, ...] = ("luma", "red", "green", "blue")
NOISES = ("uniform", "gaussian", "coloured", "texture")
_SIDES = (192, 224, 240, 256, 288, 299, 320, 336, 384, 448, 480, 512)
_ASPECTS = (1.0, 4 / 3, 3 / 2, 16 / 9, 3 / 4, 2 / 3)
_RATIOS = 1.3, 12.0
SMALLEST, LARGEST, HUGE = 512, 1280, 2400
_NEEDS_HUGE = 6.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What an attacker decides before drawing. Sizes are (width, height); contrast and amplitude are 8-bit levels."""

    family: Family
    kernel: str
    size: tuple[int, int]
    target: tuple[int, int]
    fit: Literal["short_side", "exact"]
    contrast: float
    channel: Channel
    noise: str
    amplitude: float

    @property
    def ratio(self) -> float:
        """Picture pixels a view pixel along one axis, the geometric mean of both axes."""
        return float(np.sqrt(self.size[0] * self.size[1] / (self.target[0] * self.target[1])))


def _side(rng: np.random.Generator) -> int:
    return int(rng.integers(192, 513)) if rng.random() < 0.25 else int(rng.choice(_SIDES))


def _ratio(rng: np.random.Generator) -> float:
    """Log-uniform over the bounds, but only a quarter of those that need a larger picture than usual: they are slow."""
    while True:
        ratio = float(np.exp(rng.uniform(*np.log(_RATIOS))))
        if ratio < _NEEDS_HUGE or rng.random() < 0.25:
            return ratio


def _geometry(rng: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int], Literal["short_side", "exact"]]:
    """Picture size, target and fit. The ratio is drawn first, or small pictures would leave only small ratios."""
    whole = rng.random() < 0.2
    ratio = float(rng.integers(2, 7)) if whole else _ratio(rng)
    limit = HUGE if ratio > _NEEDS_HUGE else LARGEST
    while True:
        # Large pictures are slow, so a high ratio takes a small target.
        side = min(_side(rng), max(192, int(limit / ratio)), 216 if limit == HUGE else 512)
        if rng.random() < 0.5:
            aspect = float(rng.choice(_ASPECTS))
            short = round(side * ratio)
            size = (round(short * aspect), short) if aspect >= 1 else (short, round(short / aspect))
            target = int(size[0] * side / short), int(size[1] * side / short)
            fit: Literal["short_side", "exact"] = "short_side"
        else:
            target = (side, side) if rng.random() < 0.7 else (side, _side(rng))
            stretch = 1.0 if whole else float(np.exp(rng.uniform(-0.15, 0.15)))
            size = round(target[0] * ratio * stretch), round(target[1] * ratio / stretch)
            fit = "exact"
        steps = size[0] / target[0], size[1] / target[1]
        if min(size) >= SMALLEST and max(size) <= limit and min(steps) >= _RATIOS[0] and max(steps) <= _RATIOS[1]:
            return size, target, fit


def draw(family: Family, rng: np.random.Generator, *, robust: bool = False) -> Plan:
    """A plan of the family; `robust` keeps what survives a JPEG copy: luma, high contrast."""
    size, target, fit = _geometry(rng)
    smooth = family == "antialiased"
    kernel = str(rng.choice(SMOOTH if smooth else SPARSE))
    contrast = float(rng.uniform(20, 40) if smooth else rng.uniform(60 if robust else 40, 120))
    single = not smooth and not robust and rng.random() < 0.25
    channel = CHANNELS[int(rng.integers(1, 4))] if single else "luma"
    noise = str(rng.choice(NOISES)) if smooth else "none"
    amplitude = float(rng.uniform(60, 127)) if smooth else 0.0
    return Plan(family, kernel, size, target, fit, contrast, channel, noise, amplitude)

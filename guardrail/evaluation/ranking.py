"""How well scores tell two groups of rows apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_Z = 1.959964
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Area:
    """An area under the ROC curve, in [0, 1], with the sizes of both groups."""

    value: float
    positives: int
    negatives: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval: the areas whose own Hanley-McNeil standard error reaches to the one found.

        J. A. Hanley and B. J. McNeil (1982) for the variance, R. G. Newcombe (2006), method 5, for solving it as
        Wilson's interval does for a share; so an area of exactly 1 has an interval of more than nothing.
        """
        return self._bound(0.0), self._bound(1.0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, rounded to 6 places."""
        low, high = self.interval
        return {"value": round(self.value, 6), "low": round(low, 6), "high": round(high, 6)}

    def _bound(self, outer: float) -> float:
        inner = self.value
        for _ in range(_HALVINGS):
            middle = (inner + outer) / 2
            if abs(self.value - middle) <= _Z * self._error(middle):
                inner = middle
            else:
                outer = middle
        return inner

    def _error(self, area: float) -> float:
        mean = (self.positives + self.negatives) / 2 - 1
        spread = 1 + mean * (1 - area) / (2 - area) + mean * area / (1 + area)
        return math.sqrt(max(0.0, area * (1 - area) * spread / (self.positives * self.negatives)))


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Area under the ROC curve: the probability that a positive outranks a negative, ties counted half.

    None when one side is empty. By rank sums (H. B. Mann and D. R. Whitney, 1947).
    """
    found = area(positive, negative)
    return found.value if found else None


def area(positive: Sequence[float], negative: Sequence[float]) -> Area | None:
    """The same as `auroc`, with its interval."""
    if not positive or not negative:
        return None
    values = np.array([*positive, *negative])
    order = values.argsort(kind="stable")
    ranks = np.empty(len(values))
    _, inverse, counts = np.unique(values[order], return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks[order] = ((last - counts + 1 + last) / 2)[inverse]
    n = len(positive)
    value = float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(negative)))
    return Area(value, n, len(negative))


def roc(positive: Sequence[float], negative: Sequence[float]) -> list[tuple[float, float]]:
    """Corners of the ROC curve from (0, 0) to (1, 1): share of negatives, then of positives, at or above each score.

    Raises:
        ValueError: one side is empty.
    """
    if not positive or not negative:
        raise ValueError("both sides are needed")
    up, down = np.sort(np.array(positive)), np.sort(np.array(negative))
    cuts = np.unique(np.concatenate([up, down]))[::-1]
    right = 1 - np.searchsorted(up, cuts) / len(up)
    false = 1 - np.searchsorted(down, cuts) / len(down)
    return [(0.0, 0.0), *zip(false.tolist(), right.tolist(), strict=True)]


def cut_that_catches(positive: Sequence[float]) -> float:
    """The highest score that at least 95 % of `positive` reach.

    Raises:
        ValueError: there is none.
    """
    if not positive:
        raise ValueError("a score is needed")
    return sorted(positive)[len(positive) // 20]


def at_share(
    positive: Sequence[float], negative: Sequence[float], false: float, *, draws: int = 2_000, seed: int = 0
) -> dict[str, Any]:
    """How many positives lie above the score that at most the share `false` of negatives exceeds.

    Returns:
        n, hits, share, cut (that score), and low and high: the 95 % percentile interval of the share over `draws`
        bootstrap samples of both sides (B. Efron, 1979), so that the cut's own unsteadiness is in it.
    """
    good, bad = np.sort(np.array(negative)), np.array(positive)
    allowed = int(false * len(good))
    cut = float(good[-allowed - 1])
    draw = np.random.default_rng(seed)
    shares = []
    for _ in range(draws):
        again = np.partition(draw.choice(good, len(good)), -allowed - 1)[-allowed - 1]
        shares.append(float((draw.choice(bad, len(bad)) > again).mean()))
    low, high = np.quantile(shares, [0.025, 0.975])
    hits = int((bad > cut).sum())
    found = {"share": hits / len(bad), "cut": cut, "low": float(low), "high": float(high)}
    return {"n": len(bad), "hits": hits, **{name: round(value, 6) for name, value in found.items()}}

"""Does a score mean what it says? Rows with a score of 0.8 should be right 80 times in 100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from guardrail.evaluation.metrics import Rate

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows with neighbouring scores.

    Attributes:
        low: the lowest score in it.
        high: the highest.
        mean: of its scores.
        rate: share of its rows with a true label, with the Wilson 95 % interval.
    """

    low: float
    high: float
    mean: float
    rate: Rate

    @property
    def off(self) -> bool:
        """Whether the mean score lies outside the interval of the share: more than chance explains."""
        low, high = self.rate.interval
        return not low <= self.mean <= high

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, rounded to 6 places."""
        scores = {"from": self.low, "to": self.high, "mean": self.mean}
        return {**{name: round(score, 6) for name, score in scores.items()}, **self.rate.to_dict(), "off": self.off}


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins from the lowest scores to the highest; none is empty."""

    bins: tuple[Bin, ...]

    @property
    def n(self) -> int:
        """Rows over all bins."""
        return sum(item.rate.n for item in self.bins)

    @property
    def ece(self) -> float | None:
        """Expected calibration error in [0, 1]: gap between mean score and share of true labels, weighted by rows.

        M. P. Naeini, G. F. Cooper and M. Hauskrecht (2015); C. Guo and others (2017). None without rows. Chance alone
        makes it more than 0, the more so the fewer rows a bin has.
        """
        if not self.bins:
            return None
        return sum(item.rate.n * abs(item.rate.share - item.mean) for item in self.bins) / self.n

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `off` counts the bins whose mean score is outside the interval of their share."""
        ece = self.ece
        return {
            "n": self.n,
            "ece": None if ece is None else round(ece, 6),
            "off": sum(item.off for item in self.bins),
            "bins": [item.to_dict() for item in self.bins],
        }


def reliability(
    scores: Sequence[float], labels: Sequence[bool], *, bins: int = BINS, equal: Literal["mass", "width"] = "mass"
) -> Reliability:
    """Sort rows into bins by score and compare each bin's mean score with its share of true labels.

    Args:
        scores: in [0, 1].
        labels: whether what the score speaks of is there; as many as scores.
        bins: at most this many.
        equal: "mass" gives bins of about equally many rows, and keeps equal scores together, so that there may be
            fewer; "width" splits [0, 1] evenly and leaves empty bins out.

    Raises:
        ValueError: lengths differ, a score lies outside [0, 1], or `bins` is less than 1.
    """
    values, truth = np.asarray(scores, dtype=float), np.asarray(labels, dtype=bool)
    if len(values) != len(truth) or bins < 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("as many labels as scores, scores in [0, 1] and at least one bin are needed")
    order = values.argsort(kind="stable")
    values, truth = values[order], truth[order]
    if equal == "mass":
        aims = values[[len(values) * part // bins for part in range(1, bins)]] if len(values) else values
    else:
        aims = np.arange(1, bins) / bins
    edges = [0, *np.searchsorted(values, aims).tolist(), len(values)]
    found = []
    for start, end in pairwise(edges):
        if start < end:
            part = values[start:end]
            rate = Rate(end - start, int(truth[start:end].sum()))
            found.append(Bin(float(part[0]), float(part[-1]), float(part.mean()), rate))
    return Reliability(tuple(found))

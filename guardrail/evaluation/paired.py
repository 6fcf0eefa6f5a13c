"""Two judgements of the same rows: is the change more than chance?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from guardrail.evaluation.metrics import Rate

_LEAST = 1e-16


@dataclass(frozen=True, slots=True)
class Change:
    """How the share of stopped rows moved from one run to another over the same rows.

    Attributes:
        both: rows stopped in both runs.
        gained: rows stopped now that were released before.
        lost: rows released now that were stopped before.
        neither: rows released in both.
    """

    both: int
    gained: int
    lost: int
    neither: int

    @classmethod
    def of(cls, pairs: Iterable[tuple[bool, bool]]) -> Change:
        """Count (stopped before, stopped now) pairs."""
        counts = {(True, True): 0, (False, True): 0, (True, False): 0, (False, False): 0}
        for before, now in pairs:
            counts[before, now] += 1
        return cls(*counts.values())

    @property
    def n(self) -> int:
        """Rows."""
        return self.both + self.gained + self.lost + self.neither

    @property
    def difference(self) -> float:
        """Share stopped now less share stopped before, in [-1, 1]; 0 without rows."""
        return (self.gained - self.lost) / self.n if self.n else 0.0

    @property
    def p(self) -> float:
        """Two-sided exact McNemar test (Q. McNemar, 1947): the binomial test that rows flip either way alike."""
        flips = self.gained + self.lost
        if not flips:
            return 1.0
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, flips + 1)))])
        fewer = np.arange(min(self.gained, self.lost) + 1)
        tail = np.exp(logs[flips] - logs[fewer] - logs[flips - fewer] - flips * math.log(2)).sum()
        return min(1.0, 2 * float(tail))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference: R. G. Newcombe (1998), paired proportions, method 10."""
        if not self.n:
            return -1.0, 1.0
        now, before = Rate(self.n, self.both + self.gained), Rate(self.n, self.both + self.lost)
        (now_low, now_high), (before_low, before_high) = now.interval, before.interval
        phi = self._correlation()
        down = _combined(now.share - now_low, before_high - before.share, phi)
        up = _combined(now_high - now.share, before.share - before_low, phi)
        return max(-1.0, self.difference - down), min(1.0, self.difference + up)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; shares rounded to 6 places."""
        low, high = self.interval
        shares = {
            "before": (self.both + self.lost) / self.n if self.n else 0.0,
            "now": (self.both + self.gained) / self.n if self.n else 0.0,
            "difference": self.difference,
            "low": low,
            "high": high,
        }
        counts = {"n": self.n, "gained": self.gained, "lost": self.lost}
        return {**counts, **{name: round(share, 6) for name, share in shares.items()}, "p": self.p}

    def _correlation(self) -> float:
        product = (self.both + self.gained) * (self.lost + self.neither)
        product *= (self.both + self.lost) * (self.gained + self.neither)
        if not product:
            return 0.0
        cross = float(self.both * self.neither - self.gained * self.lost)
        if cross > 0:
            cross = max(cross - self.n / 2, 0.0)
        return cross / math.sqrt(product)


def p_value(p: float) -> str:
    """Text for a reader; below 1e-16 the figure itself says nothing more."""
    return f"{p:.2g}" if p >= _LEAST else f"<{_LEAST:g}"


def _combined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

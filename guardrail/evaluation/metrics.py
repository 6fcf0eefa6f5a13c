"""Rates with intervals over the results of a labelled set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its Wilson 95 % interval."""

    n: int
    hits: int

    @property
    def share(self) -> float:
        """hits / n, 0 when n is 0."""
        return self.hits / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson score interval (E. B. Wilson, 1927), 95 %."""
        if not self.n:
            return 0.0, 1.0
        share, n = self.share, self.n
        middle = (share + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
        half = _Z * math.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n)) / (1 + _Z * _Z / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, rounded to 4 places."""
        low, high = self.interval
        return {**asdict(self), "share": round(self.share, 4), "low": round(low, 4), "high": round(high, 4)}


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Probability that a positive outranks a negative, ties counted half; None when one side is empty."""
    if not positive or not negative:
        return None
    values = np.array([*positive, *negative])
    order = values.argsort(kind="stable")
    ranks = np.empty(len(values))
    _, inverse, counts = np.unique(values[order], return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks[order] = ((last - counts + 1 + last) / 2)[inverse]
    n = len(positive)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(negative)))


def stopped(result: Mapping[str, Any]) -> bool:
    """Whether the action of a result keeps the subject back."""
    return result["action"] in ("hold", "block")


def summary(rows: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rates per label and category, AUROC per signal family, latency. Ambiguous rows are left out of rates.

    Args:
        rows: of the set, in order.
        results: of the same rows, in the same order.
    """
    pairs = [(row, result) for row, result in zip(rows, results, strict=True) if row.get("label") in ("block", "allow")]
    categories: dict[tuple[str, str], list[bool]] = {}
    for row, result in pairs:
        categories.setdefault((row["label"], row.get("category", "")), []).append(stopped(result))
    blocked = Rate(*_count(stopped(result) for row, result in pairs if row["label"] == "block"))
    allowed = Rate(*_count(stopped(result) for row, result in pairs if row["label"] == "allow"))
    hits = blocked.hits + allowed.hits
    times = sorted(float(result["ms"]) for result in results)
    return {
        "rows": len(rows),
        "ambiguous": len(rows) - len(pairs),
        "stopped_of_block": blocked.to_dict(),
        "stopped_of_allow": allowed.to_dict(),
        "precision": round(blocked.hits / hits, 4) if hits else None,
        "auroc": _families(pairs),
        "categories": [
            {"label": label, "category": category, **Rate(len(found), sum(found)).to_dict()}
            for (label, category), found in sorted(categories.items())
        ],
        "ms": {name: _percentile(times, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
    }


def _families(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, float]:
    names = {name.partition(".")[0] for _, result in pairs for name in result["signals"]}
    found = {}
    for family in sorted(names):
        sides: dict[str, list[float]] = {"block": [], "allow": []}
        for row, result in pairs:
            scores = [score for name, score in result["signals"].items() if name.startswith(f"{family}.")]
            sides[row["label"]].append(max(scores, default=0.0))
        area = auroc(sides["block"], sides["allow"])
        if area is not None:
            found[family] = round(area, 4)
    return found


def _count(flags: Iterable[bool]) -> tuple[int, int]:
    found = list(flags)
    return len(found), sum(found)


def _percentile(ranked: Sequence[float], share: float) -> float:
    return round(ranked[min(len(ranked) - 1, int(len(ranked) * share))], 3) if ranked else 0.0

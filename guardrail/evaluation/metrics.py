"""Rates with intervals over the results of a labelled set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from guardrail.evaluation.run import Result
from guardrail.evaluation.sets import Row
from guardrail.verdict import Action

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
        """JSON-ready form, rounded to 6 places."""
        low, high = self.interval
        return {**asdict(self), "share": round(self.share, 6), "low": round(low, 6), "high": round(high, 6)}


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Area under the ROC curve: the probability that a positive outranks a negative, ties counted half.

    None when one side is empty. By rank sums (H. B. Mann and D. R. Whitney, 1947).
    """
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


def summary(pairs: Iterable[tuple[Row, Result]]) -> dict[str, Any]:
    """Rates, precision and recall, AUROC and latency, JSON-ready. Rows labelled ambiguous count for latency only.

    Args:
        pairs: rows with their results.

    Returns:
        rows, ambiguous, unjudged: how many; unjudged ones were stopped by a limit or a fault, not by a rule.
        stopped_of_block, stopped_of_allow: rates of hold or block by label, with Wilson 95 % intervals.
        precision: share labelled block among all that was stopped, or None when nothing was.
        at_action: precision and recall when that action and all graver ones count as caught.
        auroc: by signal family, of its best score; rows where the family is not raised score 0.
        categories: rates by label and category.
        ms: 50th, 95th and 99th percentile, nearest rank.
    """
    kept = [(row, result) for row, result in pairs]
    labelled = [(row, result) for row, result in kept if row.label != "ambiguous"]
    sides = {side: [result for row, result in labelled if row.label == side] for side in ("block", "allow")}
    categories: dict[tuple[str, str], list[Result]] = {}
    for row, result in labelled:
        categories.setdefault((row.label, row.category), []).append(result)
    times = sorted(result.ms for _, result in kept)
    at_action = [_at(action, sides["block"], sides["allow"]) for action in Action if action is not Action.ALLOW]
    return {
        "rows": len(kept),
        "ambiguous": len(kept) - len(labelled),
        "unjudged": sum(not result.judged for _, result in kept),
        "stopped_of_block": _rate(sides["block"]).to_dict(),
        "stopped_of_allow": _rate(sides["allow"]).to_dict(),
        "precision": next(found["precision"] for found in at_action if found["action"] == Action.HOLD),
        "at_action": at_action,
        "auroc": _by_family(sides["block"], sides["allow"]),
        "categories": [
            {"label": label, "category": category, **_rate(found).to_dict()}
            for (label, category), found in sorted(categories.items())
        ],
        "ms": {f"p{percent}": _percentile(times, percent) for percent in (50, 95, 99)},
    }


def _rate(results: Sequence[Result]) -> Rate:
    return Rate(len(results), sum(result.stopped for result in results))


def _at(action: Action, positive: Sequence[Result], negative: Sequence[Result]) -> dict[str, Any]:
    right, wrong = (sum(result.action >= action for result in side) for side in (positive, negative))
    return {
        "action": action.value,
        "precision": round(right / (right + wrong), 4) if right + wrong else None,
        "recall": round(right / len(positive), 4) if positive else None,
    }


def _by_family(positive: Sequence[Result], negative: Sequence[Result]) -> dict[str, float]:
    families = {name.partition(".")[0] for result in (*positive, *negative) for name in result.signals}
    found = {}
    for family in sorted(families):
        area = auroc(_best(positive, family), _best(negative, family))
        if area is not None:
            found[family] = round(area, 4)
    return found


def _best(results: Sequence[Result], family: str) -> list[float]:
    prefix = f"{family}."
    return [
        max((score for name, score in result.signals.items() if name.startswith(prefix)), default=0.0)
        for result in results
    ]


def _percentile(ranked: Sequence[float], percent: int) -> float:
    return round(ranked[math.ceil(len(ranked) * percent / 100) - 1], 3) if ranked else 0.0

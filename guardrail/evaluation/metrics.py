"""Rates with intervals over the results of a labelled set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from guardrail.evaluation.ranking import Area, area
from guardrail.evaluation.run import Result
from guardrail.evaluation.sets import Row
from guardrail.verdict import Action

_Z = 1.959964
_PERCENTILES = (50, 95, 99)


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


def best_scores(results: Sequence[Result], families: Sequence[str] = ()) -> list[float]:
    """Each result's best score among signals whose name starts with one of `families`; 0 when there is none.

    No families means every signal.
    """
    starts = tuple(families) or ("",)
    return [
        max((score for name, score in result.signals.items() if name.startswith(starts)), default=0.0)
        for result in results
    ]


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
        precision_95 and recall_95 of at_action, auroc_95, ms_95: [low, high] of the 95 % intervals, by Wilson, by
            Hanley and McNeil (see `Area.interval`), and by order statistics (W. J. Conover, 1999).
    """
    kept = [(row, result) for row, result in pairs]
    labelled = [(row, result) for row, result in kept if row.label != "ambiguous"]
    sides = {side: [result for row, result in labelled if row.label == side] for side in ("block", "allow")}
    categories: dict[tuple[str, str], list[Result]] = {}
    for row, result in labelled:
        categories.setdefault((row.label, row.category), []).append(result)
    times = sorted(result.ms for _, result in kept)
    at_action = [_at(action, sides["block"], sides["allow"]) for action in Action if action is not Action.ALLOW]
    areas = _by_family(sides["block"], sides["allow"])
    return {
        "rows": len(kept),
        "ambiguous": len(kept) - len(labelled),
        "unjudged": sum(not result.judged for _, result in kept),
        "stopped_of_block": _rate(sides["block"]).to_dict(),
        "stopped_of_allow": _rate(sides["allow"]).to_dict(),
        "precision": next(found["precision"] for found in at_action if found["action"] == Action.HOLD),
        "at_action": at_action,
        "auroc": {family: round(found.value, 4) for family, found in areas.items()},
        "auroc_95": {family: _rounded(found.interval) for family, found in areas.items()},
        "categories": [
            {"label": label, "category": category, **_rate(found).to_dict()}
            for (label, category), found in sorted(categories.items())
        ],
        "ms": {f"p{percent}": _percentile(times, percent) for percent in _PERCENTILES},
        "ms_95": {f"p{percent}": _percentile_interval(times, percent) for percent in _PERCENTILES},
    }


def _rate(results: Sequence[Result]) -> Rate:
    return Rate(len(results), sum(result.stopped for result in results))


def _at(action: Action, positive: Sequence[Result], negative: Sequence[Result]) -> dict[str, Any]:
    right, wrong = (sum(result.action >= action for result in side) for side in (positive, negative))
    precision, recall = Rate(right + wrong, right), Rate(len(positive), right)
    return {
        "action": action.value,
        "precision": round(precision.share, 4) if precision.n else None,
        "precision_95": _rounded(precision.interval),
        "recall": round(recall.share, 4) if recall.n else None,
        "recall_95": _rounded(recall.interval),
    }


def _by_family(positive: Sequence[Result], negative: Sequence[Result]) -> dict[str, Area]:
    families = sorted({name.partition(".")[0] for result in (*positive, *negative) for name in result.signals})
    found = {family: area(_best(positive, family), _best(negative, family)) for family in families}
    return {family: one for family, one in found.items() if one is not None}


def _best(results: Sequence[Result], family: str) -> list[float]:
    return best_scores(results, [f"{family}."])


def _percentile(ranked: Sequence[float], percent: int) -> float:
    return round(ranked[math.ceil(len(ranked) * percent / 100) - 1], 3) if ranked else 0.0


def _percentile_interval(ranked: Sequence[float], percent: int) -> list[float] | None:
    """Between which measured values the percentile lies; as far as few values can say."""
    if not ranked:
        return None
    n, share = len(ranked), percent / 100
    half = _Z * math.sqrt(n * share * (1 - share))
    low, high = math.floor(n * share - half), math.ceil(n * share + half + 1)
    return [round(ranked[max(low, 1) - 1], 3), round(ranked[min(high, n) - 1], 3)]


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(bound, 6) for bound in interval]

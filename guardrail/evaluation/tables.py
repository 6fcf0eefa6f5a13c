"""Figures of each slice, and what changed in it since another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guardrail.evaluation.metrics import Rate, best_scores
from guardrail.evaluation.paired import Change
from guardrail.evaluation.ranking import area, cut_that_catches
from guardrail.evaluation.run import Result
from guardrail.evaluation.sets import Row
from guardrail.evaluation.sliced import Slice, Sliced

RAISED = 0.5
"""Score from which on a signal counts as raised."""


def slice_table(sliced: Sliced, rows: Sequence[Row], results: Sequence[Result]) -> list[dict[str, Any]]:
    """Figures of each slice, JSON-ready, in the order given.

    Args:
        sliced: from `read_slices` or `slices_by`.
        rows: the set.
        results: one a row, in the same order.

    Returns:
        For each slice name, what, families, against and n; stopped: share held or blocked; raised: share whose best
        score reaches 0.5; auroc: area of the best score with its interval; above_cut: share of `against` at or above
        the score that 95 % of the slice reach; agrees: share whose outcome is that of the plain twin; kept: share
        still stopped of those whose twin is. Every share is {n, hits, share, low, high} with a Wilson 95 % interval;
        auroc and above_cut are None without `against`, agrees and kept without `plain`.
    """
    plain: dict[str, bool] = {}
    for row, result in zip(rows, results, strict=True):
        if row.text is not None and row.image is None:
            plain.setdefault(row.text, result.stopped)
    table = []
    for item in sliced.slices:
        places = sliced.members[item.name]
        mine = [results[at] for at in places]
        table.append(
            {
                "name": item.name,
                "what": item.what,
                "families": list(item.families),
                "n": len(mine),
                "stopped": Rate(len(mine), sum(result.stopped for result in mine)).to_dict(),
                "raised": _share(best_scores(mine, item.families), RAISED),
                **_against(item, mine, [results[at] for at in sliced.members.get(item.against or "", ())]),
                **_twins(item, [(rows[at], results[at]) for at in places], plain),
            }
        )
    return table


def change_table(
    groups: Mapping[str, Sequence[int]], before: Sequence[Result], now: Sequence[Result]
) -> list[dict[str, Any]]:
    """What changed in each group of rows, JSON-ready.

    Args:
        groups: name -> positions of rows.
        before: results of the other run, one a row.
        now: results of this run.

    Returns:
        For each group: name, n, gained and lost (rows that flipped to stopped and to released), before and now (shares
        stopped), difference with low and high (Newcombe 1998), p (McNemar, exact) and p_holm (S. Holm, 1979: p held
        against all groups of the table together).
    """
    changes = [Change.of((before[at].stopped, now[at].stopped) for at in places) for places in groups.values()]
    adjusted = _holm([change.p for change in changes])
    return [
        {"name": name, **change.to_dict(), "p_holm": p}
        for name, change, p in zip(groups, changes, adjusted, strict=True)
    ]


def flips(rows: Sequence[Row], before: Sequence[Result], now: Sequence[Result]) -> dict[str, list[str]]:
    """Ids of the rows that flipped: `gained` are stopped now and were not, `lost` the other way."""
    kept = [(row.id, old.stopped, new.stopped) for row, old, new in zip(rows, before, now, strict=True)]
    return {
        "gained": [name for name, old, new in kept if new and not old],
        "lost": [name for name, old, new in kept if old and not new],
    }


def _against(item: Slice, mine: Sequence[Result], other: Sequence[Result]) -> dict[str, Any]:
    positive, negative = best_scores(mine, item.families), best_scores(other, item.families)
    found = area(positive, negative)
    if found is None:
        return {"against": None, "auroc": None, "above_cut": None}
    above = _share(negative, cut_that_catches(positive))
    return {"against": item.against, "auroc": found.to_dict(), "above_cut": above}


def _twins(item: Slice, mine: Sequence[tuple[Row, Result]], plain: Mapping[str, bool]) -> dict[str, Any]:
    if item.plain is None:
        return {"agrees": None, "kept": None}
    twins = [(plain.get(str(row.value(item.plain))), result.stopped) for row, result in mine]
    known = [(twin, now) for twin, now in twins if twin is not None]
    kept = [now for twin, now in known if twin]
    return {
        "agrees": Rate(len(known), sum(twin == now for twin, now in known)).to_dict(),
        "kept": Rate(len(kept), sum(kept)).to_dict(),
    }


def _share(scores: Sequence[float], cut: float) -> dict[str, Any]:
    return Rate(len(scores), sum(score >= cut for score in scores)).to_dict()


def _holm(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, worst = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, values[place] * (len(values) - rank)))
        adjusted[place] = worst
    return adjusted

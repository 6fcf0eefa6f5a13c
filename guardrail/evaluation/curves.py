"""What the report draws: ROC curves, reliability and histograms, from rows and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from guardrail.evaluation.metrics import best_scores
from guardrail.evaluation.ranking import Area, area, roc
from guardrail.evaluation.reliability import Reliability, reliability
from guardrail.evaluation.run import Result
from guardrail.evaluation.sets import Row
from guardrail.evaluation.sliced import Sliced, Truth

HISTOGRAM_BINS = 20


@dataclass(frozen=True, slots=True)
class Curve:
    """A ROC curve: (share of negatives, share of positives) corners, and its area."""

    name: str
    points: tuple[tuple[float, float], ...]
    area: Area

    def caught_at(self, false: float) -> float:
        """The largest share of positives caught while at most the share `false` of negatives is."""
        return max(right for wrong, right in self.points if wrong <= false)


@dataclass(frozen=True, slots=True)
class Spread:
    """Scores of one signal over the rows that say whether it is right and that carry it.

    Attributes:
        signal: its name.
        rows: how many rows say whether it is right, with the signal or without.
        sides: what the rows are called that have what it speaks of, and those that have not.
        yes: of the first, how many are in each of 20 equal parts of [0, 1].
        no: the same of the second.
        reliability: of the score as the probability that a row is of the first.
    """

    signal: str
    rows: int
    sides: tuple[str, str]
    yes: tuple[int, ...]
    no: tuple[int, ...]
    reliability: Reliability

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form without the histogram."""
        return {"rows": self.rows, "yes": self.sides[0], "no": self.sides[1], **self.reliability.to_dict()}


def family_curves(rows: Sequence[Row], results: Sequence[Result]) -> list[Curve]:
    """One curve a signal family (the part before the dot): rows labelled block against rows labelled allow."""
    sides = [
        [result for row, result in zip(rows, results, strict=True) if row.label == label]
        for label in ("block", "allow")
    ]
    families = sorted({name.partition(".")[0] for side in sides for result in side for name in result.signals})
    found = (_curve(family, *(best_scores(side, [f"{family}."]) for side in sides)) for family in families)
    return [curve for curve in found if curve is not None]


def slice_curves(sliced: Sliced, results: Sequence[Result]) -> list[Curve]:
    """One curve for each slice that is told apart from another."""
    found = []
    for item in sliced.slices:
        if item.against is not None:
            sides = ([results[at] for at in sliced.members[name]] for name in (item.name, item.against))
            found.append(_curve(item.name, *(best_scores(side, item.families) for side in sides)))
    return [curve for curve in found if curve is not None]


def spreads(rows: Sequence[Row], results: Sequence[Result], truths: Mapping[str, Truth]) -> list[Spread]:
    """Histogram and reliability of every signal, by name.

    A result carries no score of a detector that did not run, so such rows say nothing about its calibration.

    Args:
        rows: the set.
        results: one a row.
        truths: which rows say whether a signal is right; a signal without is held against the labels block and allow.
    """
    labels = Truth(
        frozenset(at for at, row in enumerate(rows) if row.label == "block"),
        frozenset(at for at, row in enumerate(rows) if row.label == "allow"),
        ("labelled block", "labelled allow"),
    )
    found = []
    for name in sorted({name for result in results for name in result.signals}):
        truth = truths.get(name, labels)
        yes, no = (
            [results[at].signals[name] for at in sorted(side) if name in results[at].signals]
            for side in (truth.yes, truth.no)
        )
        if yes or no:
            told = reliability([*yes, *no], [True] * len(yes) + [False] * len(no))
            size = len(truth.yes) + len(truth.no)
            found.append(Spread(name, size, truth.names, _histogram(yes), _histogram(no), told))
    return found


def _histogram(scores: Sequence[float]) -> tuple[int, ...]:
    return tuple(np.histogram(scores, HISTOGRAM_BINS, (0, 1))[0].tolist())


def _curve(name: str, positive: Sequence[float], negative: Sequence[float]) -> Curve | None:
    found = area(positive, negative)
    return Curve(name, tuple(roc(positive, negative)), found) if found else None

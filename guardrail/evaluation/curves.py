"""What the report draws: ROC curves, reliability and histograms, from rows and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guardrail.evaluation.metrics import best_scores
from guardrail.evaluation.ranking import Area, area, roc
from guardrail.evaluation.reliability import Reliability, reliability
from guardrail.evaluation.run import Result
from guardrail.evaluation.sets import Row
from guardrail.evaluation.slices import Members, Slice

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
    """Scores of one signal over the labelled rows that carry it.

    Attributes:
        signal: its name.
        labelled: how many rows there are, with the signal or without.
        block: rows labelled block in each of 20 equal parts of [0, 1].
        allow: the same of rows labelled allow.
        reliability: of the score as the probability that the row is labelled block.
    """

    signal: str
    labelled: int
    block: tuple[int, ...]
    allow: tuple[int, ...]
    reliability: Reliability


def family_curves(rows: Sequence[Row], results: Sequence[Result]) -> list[Curve]:
    """One curve a signal family (the part before the dot): rows labelled block against rows labelled allow."""
    sides = [
        [result for row, result in zip(rows, results, strict=True) if row.label == label]
        for label in ("block", "allow")
    ]
    families = sorted({name.partition(".")[0] for side in sides for result in side for name in result.signals})
    found = (_curve(family, *(best_scores(side, [f"{family}."]) for side in sides)) for family in families)
    return [curve for curve in found if curve is not None]


def slice_curves(slices: Sequence[Slice], members: Members, results: Sequence[Result]) -> list[Curve]:
    """One curve for each slice that is told apart from another."""
    found = []
    for item in slices:
        if item.against is not None:
            sides = ([results[at] for at in members[name]] for name in (item.name, item.against))
            found.append(_curve(item.name, *(best_scores(side, item.families) for side in sides)))
    return [curve for curve in found if curve is not None]


def spreads(rows: Sequence[Row], results: Sequence[Result]) -> list[Spread]:
    """Histograms and reliability of every signal, over labelled rows whose results carry it, by name.

    A result carries no score of a detector that did not run, so such rows say nothing about its calibration.
    """
    pairs = [
        (row.label == "block", result) for row, result in zip(rows, results, strict=True) if row.label != "ambiguous"
    ]
    found = []
    for name in sorted({name for _, result in pairs for name in result.signals}):
        kept = [(result.signals[name], wanted) for wanted, result in pairs if name in result.signals]
        scores, labels = [score for score, _ in kept], [wanted for _, wanted in kept]
        sides = ([score for score, wanted in kept if wanted is side] for side in (True, False))
        block, allow = (np.histogram(side, HISTOGRAM_BINS, (0, 1))[0].tolist() for side in sides)
        found.append(Spread(name, len(pairs), tuple(block), tuple(allow), reliability(scores, labels)))
    return found


def _curve(name: str, positive: Sequence[float], negative: Sequence[float]) -> Curve | None:
    found = area(positive, negative)
    return Curve(name, tuple(roc(positive, negative)), found) if found else None

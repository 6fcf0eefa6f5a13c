"""Scores for how much two faces resemble each other, from the rate of false matches somebody wants.

The cosine of two different people's templates is taken to be normal with mean 0.04 and standard deviation 0.1
(measured on 12,000 labelled pairs: 0.042 and 0.094, with a heavier tail, which 0.1 covers down to 1 in 10,000:
docs/FACES.md). For n faces to compare with, each comparison may be wrong at the wanted rate over n (Bonferroni), and
the even point is

    even(rate, n) = 0.04 + 0.1 * quantile(1 - rate / n)

with the quantile of the standard normal: 0.35 for 1 in 1,000 against one face, 0.59 for 1 in 5,000 against 10,000.
"""

from __future__ import annotations

import math
from statistics import NormalDist

STRANGERS_MEAN = 0.04
STRANGERS_SPREAD = 0.1
SLOPE = 30.0
"""Logits per unit of cosine; 0.3 lies 0.028 below the even point. Two normal clouds as far apart as measured give 59,
halved because real tails are heavier."""


def even_point(rate: float, faces: int) -> float:
    """Cosine that somebody who is none of `faces` faces reaches with any of them at most at `rate`.

    Args:
        rate: of false matches, above 0 and at most 0.5.
        faces: templates compared with, at least 1.
    """
    return STRANGERS_MEAN - STRANGERS_SPREAD * NormalDist().inv_cdf(max(rate / max(faces, 1), 1e-15))


def likeness(cosine: float, even: float) -> float:
    """Score in [0, 1] for a cosine between two templates, 0.5 at `even`."""
    return 1 / (1 + math.exp(-SLOPE * (cosine - even)))

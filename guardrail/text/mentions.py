"""How much a mention of minors weighs: a child in a harmless scene, or next to something sexual."""

from __future__ import annotations

MERE = 0.2
"""What is left of a mention's score while nothing sexual stands beside it: a child on a swing is no reason to stop."""
_BESIDE = 0.2
_LIKELY = 0.5


def mention(score: float, sexual: float) -> float:
    """`minor.mention` for a mention of that certainty, beside a text that is sexual with that score; both 0 to 1.

    0 unless the mention is likely: words that grown people go by too ("girl") say nothing. The floor acts from 0.1, so
    a likely mention joins with what a picture or another detector finds.
    """
    if score < _LIKELY:
        return 0.0
    return score if sexual >= _BESIDE else MERE * score

"""What optical recognition leaves of a text, and what its repair makes of that: networks must read both as the text."""

from __future__ import annotations

import random

from guardrail.text.misread import Misread

_ALIKE = {
    "a": "oe", "b": "h6", "c": "eo", "d": "cl", "e": "co", "f": "t", "g": "q9", "h": "bn", "i": "l1", "j": "i",
    "k": "h", "l": "1i", "m": "n", "n": "mru", "o": "0ac", "p": "o", "q": "g", "r": "nt", "s": "5e", "t": "fil",
    "u": "nv", "v": "uy", "w": "v", "x": "k", "y": "vg", "z": "2",
}  # fmt: skip
_GLUED = (0.0, 0.0, 0.1, 0.4, 0.85, 1.0)
_SLIPS = (0.0, 0.02, 0.04, 0.07, 0.12)


def misread(text: str, rng: random.Random, *, worst: float = 0.0) -> str:
    """The folded text with blanks and letters lost, letters taken for others; half of the time put right again.

    Args:
        text: folded.
        rng: draws the slips.
        worst: share of letters lost or taken for others in a fifth of the texts, above what can be read.
    """
    glued, slips = rng.choice(_GLUED), rng.choice(_SLIPS)
    if worst and rng.random() < 0.2:
        slips = rng.uniform(max(_SLIPS), worst)
    read = []
    for letter in text:
        if letter == " " and rng.random() < glued:
            continue
        if letter != " " and rng.random() < slips:
            if rng.random() < 0.6:
                continue
            letter = rng.choice(_ALIKE.get(letter, letter) if rng.random() < 0.7 else "abcdefghijklmnopqrstuvwxyz")
        read.append(letter)
        if letter != " " and rng.random() < slips / 8:
            read.append(rng.choice(". ,'"))
    made = "".join(read)
    return Misread().repaired(made) if rng.random() < 0.6 else made

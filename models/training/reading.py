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
_SINGLE = 0.35
"""Share of texts that have one to three slips and nothing else: most lines are read nearly right."""


def misread(text: str, rng: random.Random, *, worst: float = 0.0) -> str:
    """The folded text with blanks and letters lost, letters taken for others; half of the time put right again.

    Args:
        text: folded.
        rng: draws the slips.
        worst: share of letters lost or taken for others in a fifth of the texts, above what can be read.
    """
    if rng.random() < _SINGLE:
        for _ in range(rng.choice((1, 1, 2, 3))):
            text = _slipped(text, rng)
        return Misread().repaired(text) if rng.random() < 0.6 else text
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


def _slipped(text: str, rng: random.Random) -> str:
    """The text with one letter or blank lost, added or taken for another."""
    at = rng.randrange(len(text)) if text else 0
    before, letter, after = text[:at], text[at : at + 1], text[at + 1 :]
    kind = rng.random()
    if kind < 0.3 and " " in text:
        blank = rng.choice([place for place, mark in enumerate(text) if mark == " "])
        return text[:blank] + text[blank + 1 :]
    if kind < 0.5:
        return before + after
    if kind < 0.65:
        return f"{before}{letter} {after}"
    if kind < 0.75:
        return before + rng.choice(".,'-:il1") + letter + after
    return before + (rng.choice(_ALIKE[letter]) if letter in _ALIKE else letter) + after

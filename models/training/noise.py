"""What disguises, and the repair of disguises, make of a text: the networks must read these as they read the text."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

from guardrail.text.decode import segmented

_WORD = re.compile(r"[a-z]{4,}")
_LETTER = re.compile(r"[^a-z]")
_KEYS = ("prompt", "caption", "note", "comment", "title", "alt", "description", "style", "memo", "text")
_AROUND = ("a red bicycle by a wall", "three boats at dawn", "a bowl of lemons", "a mountain hut", "two lamps", "a map")


def misread(text: str, rng: random.Random) -> str:
    """Letters swapped, doubled, lost or replaced in some words; or all blanks lost and guessed again."""
    if rng.random() < 0.3:
        return segmented(_LETTER.sub("", text))
    share = rng.uniform(0.15, 0.6)
    return _WORD.sub(lambda match: _slipped(match.group(), rng) if rng.random() < share else match.group(), text)


def wrapped(text: str, rng: random.Random) -> str:
    """Inside a JSON object, a comment, an attribute, brackets or far below something else."""
    around = rng.choice(_AROUND)
    first, second = rng.sample(_KEYS, 2)
    ways = (
        json.dumps({first: around, second: text}),
        json.dumps({first: text}),
        f"{around} <!-- {text} -->",
        f'<img alt="{text}">{around}',
        f"{around}\n\n\n{text}",
        f"{around} [{first}: {text}]",
        f"{around}, {first} {text}",
    )
    return rng.choice(ways)


def chained(texts: Sequence[str], rng: random.Random) -> str:
    """One after another, as people chain prompts."""
    return rng.choice((", ", ". ", " ", "\n", " | ")).join(texts)


def _slipped(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    ways = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :],
    )
    return ways[0] if rng.random() < 0.5 else rng.choice(ways)

"""What every tool is given: the same texts, phrases, patterns and labelled sample."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml

from guardrail.cli.bench import invented_name, invented_pattern

COUNT = 300
"""Phrases, and patterns."""
KINDS = ("77 words", "400 words", "400 words, hostile Unicode")

_HERE = Path(__file__).parent
_LOOK_ALIKES = dict(zip("aceiopxyABEHKMOPTX", "асеіорхуАВЕНКМОРТХ", strict=True))
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202c"
_MARKS = "\u0301\u0308\u0327\u0336\u20dd"
_SCENE = (
    ("a quiet", "an old", "a small", "a sunlit", "a weathered", "a bright", "a snowy", "a narrow", "a tidy", "a busy"),
    ("harbour", "orchard", "bakery", "lighthouse", "railway station", "garden", "library", "market", "mill", "bridge"),
    ("at dawn", "after the rain", "in late autumn", "under thin clouds", "at noon", "in early spring", "by lamplight"),
    ("with wooden boats", "with baskets of lemons", "with blue shutters", "with a cat on the sill", "with tall reeds"),
    ("and distant hills", "and a stone wall", "and wild geese", "and rows of bicycles", "and a winding path"),
    ("oil painting", "watercolour", "ink drawing", "wide angle photo", "pastel sketch", "woodcut", "matte painting"),
    ("soft shadows", "muted palette", "fine brush strokes", "gentle reflections", "high detail", "warm light"),
)
_READ = (
    *("sexual.explicit >= 0.5", "sexual.nudity >= 0.5", "sexual.undress >= 0.5"),
    *("person.named.living >= 0.5", "injection.instruction >= 0.5"),
)


def texts(kind: str, count: int) -> list[str]:
    """`count` different harmless prompts of one of `KINDS`; the same in every run."""
    words = 77 if kind == KINDS[0] else 400
    # Each kind has a seed of its own: a network that remembers passages must not know the disguised ones already.
    choice = random.Random(KINDS.index(kind))
    plain = [_scenes(words, choice) for _ in range(count)]
    return [hostile(text, number) for number, text in enumerate(plain)] if kind == KINDS[2] else plain


def _scenes(words: int, choice: random.Random) -> str:
    """Scenes in the manner of a prompt, one after the other, cut after `words` words."""
    written: list[str] = []
    while len(written) < words:
        first, noun, when, more, beside, medium, manner = (choice.choice(part) for part in _SCENE)
        written += f"{first} {noun} {when} {more} {beside}, {medium}, {manner},".split()
    return " ".join(written[:words]).rstrip(",")


def hostile(text: str, seed: int) -> str:
    """`text` with every word written in one of five disguises; as many words, and still harmless."""
    choice = random.Random(seed)
    return " ".join(_disguised(word, choice) for word in text.split())


def _disguised(word: str, choice: random.Random) -> str:
    way = choice.randrange(5)
    if way == 0:
        return "".join(_LOOK_ALIKES.get(letter, letter) for letter in word)
    if way == 1:
        return choice.choice(_INVISIBLE).join(word)
    if way == 2:
        return "".join(letter + choice.choice(_MARKS) for letter in word)
    if way == 3:
        return "".join(chr(ord(letter) + 0xFEE0) if letter.isascii() else letter for letter in word)
    # Mathematical bold, which NFKC folds back.
    return "".join(chr(0x1D41A + ord(letter) - 97) if "a" <= letter <= "z" else letter for letter in word)


def lists() -> tuple[list[str], list[str]]:
    """Phrases and patterns, `COUNT` of each: those of lists.yaml, then invented ones that match no text."""
    known = yaml.safe_load((_HERE / "lists.yaml").read_text(encoding="utf-8"))
    phrases, patterns = list(known["phrases"]), list(known["patterns"])
    phrases += [f"{invented_name(n * 11)} {invented_name(n * 3 + 1)}" for n in range(COUNT - len(phrases))]
    patterns += [invented_pattern(n) for n in range(COUNT - len(patterns))]
    return phrases, patterns


def sample() -> dict[str, list[str]]:
    """Prompts by label: "nudity" and "names" must be stopped, "benign" must pass."""
    known: dict[str, list[str]] = yaml.safe_load((_HERE / "sample.yaml").read_text(encoding="utf-8"))
    return known


def write_policy(folder: Path) -> None:
    """policy.yaml in `folder`: the same phrases and patterns as rules of guardrail.

    They only flag, so that what guardrail stops in the sample is stopped by its own detectors.
    """
    phrases, patterns = lists()
    rules: list[dict[str, Any]] = [
        {"id": when.split(" ")[0].replace(".", "-"), "when": when, "then": "block"} for when in _READ
    ]
    rules.append({"id": "phrases", "list": "phrases", "then": "flag"})
    rules += [{"id": f"pattern-{n}", "pattern": text, "then": "flag"} for n, text in enumerate(patterns)]
    policy = {
        "schema": "guardrail/v1",
        "name": "side-by-side",
        "version": "1",
        "lists": {"phrases": {"terms": phrases}},
        "rules": [{**rule, "stage": "prompt", "message": "a rule of the benchmark"} for rule in rules],
    }
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy, allow_unicode=True), encoding="utf-8")

"""Training text of our own, grown from the templates beside this file. Adults only.

Deterministic: the same seed gives the same rows. Slots in braces are filled at random, nested ones too; a group says
what its rows teach each head, and `corrupt` rows are broken up as optimised adversarial prompts are.
"""

from __future__ import annotations

import csv
import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from guardrail.text.gazetteer import ARTISTS
from guardrail.text.lists import folder, given_names, lines, ranked_words
from guardrail.text.normalise import clean, skeleton
from guardrail.text.vocabulary import vocabulary

HEADS = ("sexual", "explicit", "suggestive", "undress", "minor", "graphic", "degrading", "deceptive", "injection")
CLEAN = {head: 0 for head in HEADS if head != "minor"}
TEMPLATES = ("sexual", "harm", "benign", "machine", "people")
STYLES = (
    *("", "photo of ", "a watercolour of ", "oil painting: ", "close-up of ", "studio shot, ", "an illustration of "),
    *("pencil sketch of ", "documentary photograph, ", "poster with ", "generate an image of ", "show "),
)
TAILS = ("", ", soft light", ", 4k", ", high detail", ", on a white background", ", wide angle", ", in the morning")
_SLOT = re.compile(r"\{(\w+)\}")
_COMMON = 3_000
_DROPPED = 0.45
_PLAIN_NAME = re.compile(r"[a-z][a-z'-]+( [a-z][a-z'-]+){1,3}")


@dataclass(frozen=True, slots=True)
class Taught:
    """A text, folded, and what it teaches.

    Attributes:
        text: skeleton of the prompt.
        heads: 0 or 1 by head; a head that is not named is not taught.
        people: spans of names of people; None teaches the token head nothing.
    """

    text: str
    heads: Mapping[str, int]
    people: tuple[tuple[int, int], ...] | None = None


def rows(seed: int = 11, templates: Sequence[str] = TEMPLATES) -> Iterator[Taught]:
    """Every synthetic row of some templates in a fixed order."""
    rng = random.Random(seed)
    for name in templates:
        data = yaml.safe_load(Path(__file__).with_name("templates").joinpath(f"{name}.yaml").read_text("utf-8"))
        for group in data["groups"]:
            yield from _grown(group, {**_names(), **data["slots"], **group.get("slots", {})}, rng)


def corrupted(text: str, rng: random.Random) -> str:
    """A prompt as optimisers leave it: listed words dropped, order lost, halves of words glued together."""
    listed, common = vocabulary().listed, ranked_words()[:_COMMON]
    found = [word for word in text.split() if rng.random() > (_DROPPED if word.strip(",.") in listed else 0.1)]
    if rng.random() < 0.7:
        rng.shuffle(found)
    for _ in range(rng.randint(1, 5)):
        first, second = rng.choice(common), rng.choice(found or common)
        piece = rng.choice((first, first[: len(first) // 2 + 1] + second[len(second) // 2 :], second[:4] + first[-3:]))
        found.insert(rng.randint(0, len(found)), piece)
    if rng.random() < 0.1:
        found.insert(rng.randint(0, len(found)), rng.choice(("<|startoftext|>", "....", "?!", "&", "#")))
    return " ".join(found[:24])


def withheld(name: str) -> bool:
    """Whether a listed name is kept from training, one in three, so that unlisted names can be measured."""
    return hashlib.sha256(skeleton(clean(name)).encode()).digest()[0] % 3 == 0


def _grown(group: Mapping[str, Any], slots: Mapping[str, Sequence[Any]], rng: random.Random) -> Iterator[Taught]:
    teaches = group["teaches"]
    heads = dict(CLEAN) if teaches == "clean" else dict(teaches)
    if heads.pop("base", None) == "clean":
        heads = CLEAN | heads
    named, seen = group.get("names"), set()
    for _ in range(group["count"]):
        text, spans = _filled(rng.choice(group["patterns"]), slots, rng)
        if group.get("decorate"):
            text = f"{rng.choice(STYLES)}{text}{rng.choice(TAILS)}"
        if group.get("corrupt"):
            text = corrupted(text, rng)
        folded = skeleton(clean(text))
        if folded in seen or not folded:
            continue
        seen.add(folded)
        people = tuple(spans) if named == "person" else () if named == "none" or group.get("tokens") else None
        yield Taught(folded, heads, people if people is None or len(folded) == len(text) else None)


def _filled(pattern: str, slots: Mapping[str, Sequence[Any]], rng: random.Random) -> tuple[str, list[tuple[int, int]]]:
    """The pattern with its slots filled, and where names stand."""
    text, spans = pattern, []
    while (match := _SLOT.search(text)) is not None:
        value = str(rng.choice(slots[match.group(1)]))
        grown = len(value) - (match.end() - match.start())
        spans = [(a + grown, b + grown) if a >= match.end() else (a, b) for a, b in spans]
        if match.group(1) == "name":
            spans.append((match.start(), match.start() + len(value)))
        text = text[: match.start()] + value + text[match.end() :]
    return text, sorted(spans)


@cache
def _names() -> dict[str, list[str]]:
    """Slots filled from the shipped lists of facts."""
    listed: list[tuple[str, str]] = []
    for file in ("people.csv", "people_extra.csv"):
        with (folder() / file).open(encoding="utf-8", newline="") as found:
            listed += [(skeleton(clean(row["name"])), row["kind"]) for row in csv.DictReader(found)]
    kept = [(name, kind) for name, kind in listed if _PLAIN_NAME.fullmatch(name) and not withheld(name)]
    surnames = sorted({name.split()[-1] for name, _ in kept if name.split()[-1] not in ranked_words()[:_COMMON]})
    given = sorted(name for name in given_names() if name.isascii())
    rng = random.Random(3)
    made = [f"{rng.choice(given)} {rng.choice(surnames)}" for _ in range(8_000)]
    others = [phrase for line in lines("not_people.txt") for phrase in line.split("|") if phrase]
    return {
        "name": [*(name for name, _ in kept), *made],
        "artistname": [name for name, kind in kept if kind in ARTISTS] or made[:100],
        "anyname": made,
        "given": given,
        "notpeople": [skeleton(clean(phrase)) for phrase in others],
    }

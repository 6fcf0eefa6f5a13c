"""Names of public figures, found in folded text: one automaton a process over the shipped list and the operator's."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import ahocorasick_rs

from guardrail.errors import ConfigurationError
from guardrail.settings import shipped
from guardrail.text.lists import ranked_words
from guardrail.text.normalise import clean, skeleton

HISTORICAL_BEFORE = 1900
_COMMON_RANK = 12_000
_MIN_SINGLE = 5


@dataclass(frozen=True, slots=True)
class PublicFigure:
    """Somebody on the list. `ref` is an opaque id made from the name; records hold it instead of the name."""

    name: str
    ref: str
    kind: str
    born: int | None

    @property
    def historical(self) -> bool:
        """Born before 1900."""
        return self.born is not None and self.born < HISTORICAL_BEFORE


class Gazetteer:
    """Finds listed names on word boundaries, whatever their case and accents."""

    def __init__(self, figures: Sequence[PublicFigure]) -> None:
        by_key: dict[str, PublicFigure] = {}
        for figure in figures:
            key = " ".join(skeleton(clean(figure.name)).split())
            held = by_key.get(key)
            if key and (held is None or held.born is None):
                by_key[key] = figure
        self._figures = tuple(by_key.values())
        self._automaton: Any = ahocorasick_rs.AhoCorasick(list(by_key))

    def __len__(self) -> int:
        return len(self._figures)

    def find(self, text: str) -> list[tuple[PublicFigure, int, int]]:
        """Figures named in a skeleton, the longest of those that overlap."""
        found: list[tuple[PublicFigure, int, int]] = []
        for index, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            if (start and text[start - 1].isalnum()) or (end < len(text) and text[end].isalnum()):
                continue
            while found and found[-1][1] >= start:
                found.pop()
            if not found or found[-1][2] <= start:
                found.append((self._figures[index], start, end))
        return found


def reference(name: str) -> str:
    """`pf-` and 12 hex digits: the opaque id of a name, the same for every spelling of case and accents."""
    folded = " ".join(skeleton(clean(name)).split())
    return "pf-" + hashlib.blake2b(folded.encode(), digest_size=6).hexdigest()


@cache
def shipped_figures() -> tuple[PublicFigure, ...]:
    """The shipped list, without names that are ordinary words.

    Raises:
        ConfigurationError: the list cannot be read.
    """
    folder = shipped("policies") / "lists"
    common = frozenset(ranked_words()[:_COMMON_RANK])
    given = frozenset((folder / "given_names.txt").read_text(encoding="utf-8").split())
    found = []
    for file in ("people.csv", "people_extra.csv"):
        path = folder / file
        try:
            with path.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    if file == "people_extra.csv" or _distinct(row["name"], common, given):
                        born = int(row["born"]) if row["born"] else None
                        found += [
                            PublicFigure(name, reference(row["name"]), row["kind"], born)
                            for name in (row["name"], *filter(None, (row.get("aliases") or "").split("|")))
                        ]
        except (OSError, KeyError, ValueError, csv.Error) as error:
            raise ConfigurationError(f"{path}: {error}") from error
    return tuple(found)


def _distinct(name: str, common: frozenset[str], given: frozenset[str]) -> bool:
    """Whether a name can be told from ordinary text: several words, or one rare long one."""
    folded = skeleton(clean(name))
    parts = folded.split()
    if len(parts) > 1:
        return not all(part in common and part not in given for part in parts)
    if not folded.isascii():
        return len(folded) >= 3
    return len(folded) >= _MIN_SINGLE and folded not in common and folded not in given

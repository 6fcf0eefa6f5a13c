"""Prompt syntax as image generators read it: weights, emphasis, schedules, alternation, LoRA tags, wildcards, lists.

Follows the notation of the AUTOMATIC1111 web UI and what users of other tools paste into it. One pass over the marks,
linear in the length of the prompt whatever the nesting; brackets that do not match are marks all the same.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

_KINDS = "lora|lyco|lycoris|loha|hypernet|embedding|ti"
_TAG = rf"<\s{{0,4}}(?:{_KINDS})\s{{0,4}}:\s{{0,4}}(?P<tag>[^:<>]{{1,200}})(?::[^<>]{{0,100}})?>"
_NUMBER = r"[-+]?(?:\d{1,6}(?:\.\d{0,8})?|\.\d{1,8})"
_MARK = re.compile(
    "|".join(
        (
            _TAG,
            r"\bembedding:(?P<embedding>[\w.\-]{1,200})",
            r"__(?P<wildcard>[\w\-/*]{1,100}?)__",
            r"(?P<split>\b(?:BREAK|AND|ADDCOMM|ADDROW|ADDCOL|ADDBASE|ADDTILE)\b(?:\s{0,4}:\s{0,4}" + _NUMBER + ")?)",
            r"(?P<list>::\s{0,4}(?:" + _NUMBER + ")?)",
            r"(?P<parameter>(?<!\S)--[a-z]{1,20}(?:\s{1,4}[\w.:\-]{1,40})?)",
            r"(?P<escape>\\(?=[()\[\]{}\\|:]))",
            r"(?P<weight>:\s{0,4}" + _NUMBER + r"\s{0,4}(?=[)\]}]))",
            r"(?P<open>[(\[{])",
            r"(?P<close>[)\]}])",
            r"(?P<inner>[|:])",
            r"(?P<blank>_)",
        )
    ),
    re.IGNORECASE,
)
_SIGNS = ("(", "[", "{", "<", "|", "_", "\\", "::", "--", "BREAK", "AND", "embedding:", "ADD")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_SEPARATOR = re.compile(r"[_\-.+/\\]+")
_NAMES = ("tag", "embedding", "wildcard")
_SPLITS = ("split", "list")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A prompt without its syntax.

    Attributes:
        text: what the generator is told, syntax removed, options of an alternation side by side.
        parts: the same, cut where the generator starts a new part (BREAK, AND, "::").
        names: (name, start, end) of each LoRA, embedding or wildcard, as words.
        pieces: (position in `text`, position in the prompt) of each stretch that was kept or put in.
    """

    text: str
    parts: tuple[str, ...]
    names: tuple[tuple[str, int, int], ...]
    pieces: tuple[tuple[int, int], ...]

    def origin(self, position: int) -> int:
        """Where a character of `text` stands in the prompt."""
        at, begun = self.pieces[bisect_right(self.pieces, (position, 1 << 60)) - 1]
        return begun + position - at


def has_syntax(text: str) -> bool:
    """Whether parsing could change `text`."""
    for sign in _SIGNS:  # noqa: SIM110 - a generator costs more than the search
        if sign in text:
            return True
    return False


def parse(text: str) -> Parsed:
    """Read a prompt as a generator does."""
    kept: list[str] = []
    pieces: list[tuple[int, int]] = []
    names: list[tuple[str, int, int]] = []
    cuts: list[int] = []
    at = length = depth = 0
    for match in _MARK.finditer(text):
        kind = match.lastgroup or ""
        if match.start() < at or _plain(kind, match, depth):
            continue
        gap = _gap(kind)
        pieces.append((length, at))
        kept.append(text[at : match.start()])
        length += match.start() - at
        if kind in _SPLITS:
            cuts.append(length)
        if gap:
            pieces.append((length, match.start()))
            kept.append(gap)
            length += len(gap)
        if kind in _NAMES:
            names.append((as_words(match.group(kind)), *match.span(kind)))
        depth = max(0, depth + (kind == "open") - (kind == "close"))
        at = match.end()
        if kind == "escape":
            pieces.append((length, at))
            kept.append(text[at])
            length += 1
            at += 1
    pieces.append((length, at))
    kept.append(text[at:])
    whole = "".join(kept)
    edges = [0, *cuts, len(whole)]
    parts = tuple(part for low, high in pairwise(edges) if (part := whole[low:high].strip(" ,")))
    return Parsed(whole, parts, tuple(names), tuple(pieces))


def as_words(name: str) -> str:
    """A file-like name as words: "JaneDoe_v2-lora" -> "Jane Doe v 2 lora"."""
    return " ".join(_SEPARATOR.sub(" ", _CAMEL.sub(" ", name)).split())


def _plain(kind: str, match: re.Match[str], depth: int) -> bool:
    """Marks that mean nothing where they stand: a colon outside brackets, "and" in lower case."""
    if kind == "split":
        return not match.group()[:3].isupper()
    return kind == "inner" and not depth and match.group() == ":"


def _gap(kind: str) -> str:
    """What stands where the mark was: brackets and weights leave nothing, so that a word cut by them is whole again."""
    return "" if kind in ("open", "close", "weight", "escape") else " "

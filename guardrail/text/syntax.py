"""Prompt syntax as image generators read it: weights, emphasis, schedules, alternation, LoRA tags, wildcards, lists.

Follows the notation of the AUTOMATIC1111 web UI and what users of other tools paste into it. One pass, linear
in the length of the prompt; brackets that do not match are plain characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAG = re.compile(
    r"<\s*(lora|lyco|lycoris|hypernet|embedding|ti)\s*:\s*([^:<>]{1,200})(?::[^<>]{0,100})?>", re.IGNORECASE
)
_EMBEDDING = re.compile(r"\bembedding:([\w.\-]{1,200})", re.IGNORECASE)
_WEIGHT = re.compile(r":\s*[-+]?\d*\.?\d+\s*(?=[)\]])")
_WILDCARD = re.compile(r"__([\w\-/*]{1,100})__")
_KEYWORD = re.compile(r"\b(?:BREAK|AND|ADDCOMM|ADDROW|ADDCOL|ADDBASE)\b(?:\s*:\s*[-+]?\d*\.?\d+)?")
_LIST_WEIGHT = re.compile(r"::\s*[-+]?\d*\.?\d*")
_PARAMETER = re.compile(r"(?<!\S)--[a-z]+(?:\s+[\w.:\-]+)?")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_SEPARATOR = re.compile(r"[_\-.+/\\]+")
_BRACKETS = frozenset("()[]{}")
_MARKERS = frozenset("()[]{}<>|_\\:")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A prompt without its syntax.

    Attributes:
        text: what the generator is told, syntax removed, options of an alternation side by side.
        origin: for each character of `text`, its position in the prompt.
        names: (name, start, end) of each LoRA, embedding or wildcard, as words.
    """

    text: str
    origin: tuple[int, ...]
    names: tuple[tuple[str, int, int], ...]


def has_syntax(text: str) -> bool:
    """Whether parsing could change `text`."""
    return not _MARKERS.isdisjoint(text) or "BREAK" in text or "AND" in text or "--" in text


def parse(text: str) -> Parsed:
    """Read a prompt as a generator does."""
    drop = bytearray(len(text))
    space = bytearray(len(text))
    names = []
    for pattern in (_TAG, _EMBEDDING, _WILDCARD):
        for match in pattern.finditer(text):
            group = 2 if pattern is _TAG else 1
            names.append((as_words(match.group(group)), *match.span(group)))
            _mark(space, match)
    for pattern in (_KEYWORD, _LIST_WEIGHT, _PARAMETER):
        for match in pattern.finditer(text):
            _mark(space, match)
    for match in _WEIGHT.finditer(text):
        _mark(drop, match)
    _brackets(text, drop, space)
    kept: list[str] = []
    origin: list[int] = []
    for position, letter in enumerate(text):
        if drop[position]:
            continue
        if space[position]:
            if kept and kept[-1] != " ":
                kept.append(" ")
                origin.append(position)
            continue
        kept.append(letter)
        origin.append(position)
    return Parsed("".join(kept), tuple(origin), tuple(names))


def as_words(name: str) -> str:
    """A file-like name as words: "JaneDoe_v2-lora" -> "Jane Doe v 2 lora"."""
    return " ".join(_SEPARATOR.sub(" ", _CAMEL.sub(" ", name)).split())


def _mark(where: bytearray, match: re.Match[str]) -> None:
    where[match.start() : match.end()] = b"\x01" * (match.end() - match.start())


def _brackets(text: str, drop: bytearray, space: bytearray) -> None:
    """Brackets vanish, so that a word split by them is whole again; separators inside become spaces."""
    depth = 0
    escaped = False
    for position, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\" and position + 1 < len(text) and text[position + 1] in _BRACKETS:
            drop[position] = 1
            escaped = True
        elif letter in "([{":
            depth += 1
            drop[position] = 1
        elif letter in ")]}":
            depth = max(0, depth - 1)
            drop[position] = 1
        elif depth and letter in "|:":
            space[position] = 1

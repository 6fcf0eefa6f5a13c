"""Undoing disguises: what a text says once it is unspaced, unscrambled or decoded. Decoded text is judged, never run.

Each way has a trigger, so plain text costs one pass over its words. Everything is bounded in number and length.
"""

from __future__ import annotations

import base64
import binascii
import html
import itertools
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from guardrail.text.normalise import ranked_words, words

MAX_DECODED = 24
MAX_CHARS = 40_000
_LEET = {
    "0": "o",
    "1": "il",
    "2": "z",
    "3": "e",
    "4": "a",
    "5": "s",
    "6": "gb",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "!": "i",
    "|": "il",
    "+": "t",
    "€": "e",
    "£": "l",
}
_LEET_SET = frozenset(_LEET)
_LEET_CLASS = "".join(re.escape(sign) for sign in _LEET)
_PUNCTUATION = ".,;:!?\"'`()[]{}<>/\\\u2018\u2019\u201c\u201d\u2026"
_PARTS = re.compile(r"[^\s/\\]+")
_SEPARATED = re.compile(r"\w{1,2}(?:[.\-_*·•]\w{1,2}){2,}\Z")
_SINGLES = re.compile(r"(?:(?<!\w)\w{1,2}[\s.\-_*·•,/]{1,2}){4,}\w{1,2}(?!\w)")
_RUN = re.compile(r"([^\W\d_])\1+")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?((?:[0-9A-Fa-f]{2}[ :]?){8,})(?![0-9A-Za-z])")
_URL = re.compile(r"\S*(?:%[0-9A-Fa-f]{2}\S*){2,}")
_ENTITY = re.compile(r"&(?:#\d{2,7}|#x[0-9A-Fa-f]{2,6});")
_MORSE = re.compile(r"(?:[.\-·–]{1,6}[ /|]+){4,}[.\-·–]{1,6}")
_BIDI = re.compile("[\u202e\u202d\u2067]([^\u202c\u2069]*)(?:[\u202c\u2069]|\\Z)")
_LATIN_WORD = re.compile(r"[a-z]+")
_ROT13 = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM"
)
_MORSE_CODES = (
    *(".-", "-...", "-.-.", "-..", ".", "..-.", "--.", "....", "..", ".---", "-.-", ".-..", "--"),
    *("-.", "---", ".--.", "--.-", ".-.", "...", "-", "..-", "...-", ".--", "-..-", "-.--", "--.."),
)
_MORSE_TABLE = dict(zip(_MORSE_CODES, "abcdefghijklmnopqrstuvwxyz", strict=True))
_MAX_VARIANTS = 32
_MAX_WORD = 24
_SPACE_PENALTY = 4.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """One reading of part of a text.

    Attributes:
        text: what it says.
        way: how it was hidden: "base64", "hex", "url", "html", "morse", "rot13", "reversed", "bidi", "spaced".
        span: where it stands in the text that was decoded.
    """

    text: str
    way: str
    span: tuple[int, int]


def decoded(text: str) -> list[Decoded]:
    """Every hidden reading of `text`, which is the original or its clean form."""
    parts = text.split()
    longest = max(map(len, parts), default=0)
    ways: list[Iterator[Decoded]] = []
    if not text.isascii():
        ways.append(_bidi(text))
    if longest >= 12:
        ways += [_base64(text), _url(text)]
    if longest >= 16 or len(parts) > 7:
        ways.append(_hex(text))
    ways.append(_entities(text))
    if sum(len(part) <= 2 for part in parts) >= 4:
        ways += [_spaced(text), _morse(text)]
    if _foreign_share(parts) > 0.4:
        ways.append(_ciphers(text))
    return list(itertools.islice(itertools.chain(*ways), MAX_DECODED))


def repaired(folded: str, vocabulary: frozenset[str]) -> tuple[str, list[tuple[int, int, int, int]]] | None:
    """A skeleton with leet, separated, repeated and transposed letters put right word by word.

    Args:
        folded: result of `normalise.skeleton`.
        vocabulary: words that are right as they are.

    Returns:
        The text and, for each changed word, (start, end) in it and (start, end) in `folded`; None when no word changes.
    """
    odd = {part for part in folded.split() if part.strip(_PUNCTUATION) not in vocabulary}
    leety = sum(_leety(part.strip(_PUNCTUATION)) for part in odd) >= 2
    if not odd or not any(_better(item, vocabulary, leety) for part in odd for item in _inner(part)):
        return None
    pieces: list[str] = []
    moved: list[tuple[int, int, int, int]] = []
    at = length = 0
    for match in _PARTS.finditer(folded):
        start, end = _stripped(match)
        better = _better(folded[start:end], vocabulary, leety)
        if better is None:
            continue
        kept = folded[at:start]
        length += len(kept)
        pieces += (kept, better)
        moved.append((length, length + len(better), start, end))
        length += len(better)
        at = end
    pieces.append(folded[at:])
    return "".join(pieces), moved


def _inner(part: str) -> list[str]:
    return [item.strip(_PUNCTUATION) for item in _PARTS.findall(part)]


def _stripped(match: re.Match[str]) -> tuple[int, int]:
    """Span of a word without the punctuation around it."""
    word = match.group()
    start = match.start() + len(word) - len(word.lstrip(_PUNCTUATION))
    return start, max(start, match.end() - (len(word) - len(word.rstrip(_PUNCTUATION))))


def _leety(word: str) -> bool:
    """Whether a word holds both letters and leet signs."""
    return not word.isalpha() and any(letter in _LEET_SET for letter in word) and any(map(str.isalpha, word))


def _foreign_share(parts: list[str]) -> float:
    """Share of words that are not common English, 0 to 1."""
    common = words()
    return sum(part.strip(_PUNCTUATION).lower() not in common for part in parts) / max(1, len(parts))


def english_share(text: str) -> float:
    """Share of the letters of `text` that stand in common English words of three letters or more, 0 to 1."""
    found = _LATIN_WORD.findall(text.lower())
    letters = sum(len(word) for word in found)
    if letters == 0:
        return 0.0
    common = words()
    return sum(len(word) for word in found if len(word) > 2 and word in common) / letters


@lru_cache(maxsize=1)
def _ranks() -> dict[str, int]:
    return {word: rank for rank, word in enumerate(ranked_words())}


@lru_cache(maxsize=4_096)
def _better(token: str, vocabulary: frozenset[str], leety: bool) -> str | None:
    """What an odd word says, or None when it is a word, or cannot be told."""
    if not token or token in vocabulary or len(token) > 3 * _MAX_WORD or (token.isalpha() and not token.isascii()):
        return None
    if _SEPARATED.match(token):
        joined = re.sub(r"[.\-_*·•]", "", token)
        return _better(joined, vocabulary, leety) or joined
    signs = sum(letter in _LEET_SET for letter in token)
    if signs:
        return _unleet(token, vocabulary, signs, leety)
    if not token.isalpha():
        return None
    if _RUN.search(token):
        shorter = _unrepeat(token, vocabulary)
        if shorter is not None:
            return shorter
    return _untranspose(token, vocabulary)


def _unleet(token: str, vocabulary: frozenset[str], signs: int, leety: bool) -> str | None:
    """The reading that is a word; else the plainest one, if letters outweigh or the whole is long enough."""
    choices = [_LEET.get(letter, letter) for letter in token]
    if not leety and not any(map(str.isalpha, token)):
        return None
    first = None
    for variant in itertools.islice(itertools.product(*choices), _MAX_VARIANTS):
        word = "".join(variant)
        first = first or word
        if word in vocabulary or _RUN.sub(r"\1", word) in vocabulary:
            return word
    if token.isdigit() or signs > len(token) * 0.75 or first is None or not first.isalpha():
        return None
    return _untranspose(first, vocabulary) or first


def _unrepeat(token: str, vocabulary: frozenset[str]) -> str | None:
    """Runs of letters shortened to one or two so that a word stands there; to one where no word is found."""
    runs = list(_RUN.finditer(token))
    if len(runs) > 6:
        return _RUN.sub(r"\1", token)
    for sizes in itertools.product((1, 2), repeat=len(runs)):
        word, at = "", 0
        for run, size in zip(runs, sizes, strict=True):
            word += token[at : run.start()] + run.group(1) * size
            at = run.end()
        word += token[at:]
        if word in vocabulary:
            return word
    if any(run.end() - run.start() > 2 for run in runs):
        return _RUN.sub(r"\1", token)
    return None


def _untranspose(token: str, vocabulary: frozenset[str]) -> str | None:
    """The word that differs by one swap of neighbouring letters, if there is one."""
    if not 4 <= len(token) <= _MAX_WORD:
        return None
    for at in range(len(token) - 1):
        swapped = token[:at] + token[at + 1] + token[at] + token[at + 2 :]
        if swapped in vocabulary:
            return swapped
    return None


def _bidi(text: str) -> Iterator[Decoded]:
    for match in _BIDI.finditer(text):
        if match.group(1).strip():
            yield Decoded(match.group(1)[::-1], "bidi", match.span(1))


def _base64(text: str) -> Iterator[Decoded]:
    for match in _BASE64.finditer(text):
        token = match.group()
        if token.isalpha() and token.islower():
            continue
        try:
            padded = token.rstrip("=") + "=" * (-len(token.rstrip("=")) % 4)
            raw = base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True)
        except (binascii.Error, ValueError):
            continue
        plain = _printable(raw)
        if plain is not None:
            yield Decoded(plain, "base64", match.span())


def _hex(text: str) -> Iterator[Decoded]:
    for match in _HEX.finditer(text):
        digits = re.sub(r"[ :]", "", match.group(1))
        plain = _printable(bytes.fromhex(digits))
        if plain is not None:
            yield Decoded(plain, "hex", match.span())


def _url(text: str) -> Iterator[Decoded]:
    if "%" not in text:
        return
    for match in _URL.finditer(text):
        plain = urllib.parse.unquote(match.group(), errors="replace")
        if plain != match.group():
            yield Decoded(plain, "url", match.span())


def _entities(text: str) -> Iterator[Decoded]:
    if "&" in text and _ENTITY.search(text):
        yield Decoded(html.unescape(text)[:MAX_CHARS], "html", (0, len(text)))


def _morse(text: str) -> Iterator[Decoded]:
    for match in _MORSE.finditer(text):
        code = match.group().replace("·", ".").replace("–", "-")
        said = [
            "".join(_MORSE_TABLE.get(letter, "") for letter in word.split())
            for word in re.split(r"\s*[/|]\s*| {3,}", code)
        ]
        plain = " ".join(word for word in said if word)
        if len(plain) > 3:
            yield Decoded(plain, "morse", match.span())


def _spaced(text: str) -> Iterator[Decoded]:
    for match in _SINGLES.finditer(text):
        joined = re.sub(r"[\s.\-_*·•,/]", "", match.group()).lower()
        if len(joined) > 3 and joined.isalpha():
            yield Decoded(segmented(joined), "spaced", match.span())


def segmented(letters: str) -> str:
    """Letters without spaces as the likeliest common words (unigram segmentation by rank)."""
    letters = letters[:2_000]
    ranks = _ranks()
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(letters) + 1):
        options = []
        for start in range(max(0, end - _MAX_WORD), end):
            word = letters[start:end]
            rank = ranks.get(word)
            cost = 20.0 * len(word) if rank is None else _SPACE_PENALTY + (rank + 1).bit_length()
            options.append((best[start][0] + cost, start))
        best.append(min(options))
    found, at = [], len(letters)
    while at > 0:
        start = best[at][1]
        found.append(letters[start:at])
        at = start
    return " ".join(reversed(found))


def _ciphers(text: str) -> Iterator[Decoded]:
    """rot13 and reversal of the whole, or of its last sentences, when that makes English of what is none."""
    sample = text[:MAX_CHARS]
    starts = [0, *[match.end() for match in re.finditer(r"[.!?,;:\n]\s+", sample)][-8:]]
    for start in starts:
        part = sample[start:]
        if len(part) < 8 or english_share(part) > 0.4:
            continue
        for way, plain in (("rot13", part.translate(_ROT13)), ("reversed", part[::-1])):
            if english_share(plain) >= 0.55:
                yield Decoded(plain, way, (start, len(sample)))
                return


def _printable(raw: bytes) -> str | None:
    """UTF-8 text of mostly letters and spaces, or None."""
    try:
        plain = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    letters = sum(letter.isalnum() or letter.isspace() for letter in plain)
    return plain[:MAX_CHARS] if len(plain) >= 5 and plain.isprintable() and letters >= 0.7 * len(plain) else None

"""Undoing encodings and ciphers: what a text says once it is decoded. Decoded text is judged, never run.

Each way has a cheap trigger, so plain text costs next to nothing. Everything is bounded in number and length, and no
step is worse than linear.
"""

from __future__ import annotations

import base64
import binascii
import html
import itertools
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from guardrail.text.lists import ranked_words, words
from guardrail.text.normalise import clean
from guardrail.text.vocabulary import Vocabulary

MAX_DECODED = 24
MAX_CHARS = 40_000
_OUTER = ".,;:!?\"'`()[]{}<>/\\\u2018\u2019\u201c\u201d\u2026"
_SINGLES = re.compile(r"(?<!\w)[^\W\d_]{1,2}(?:[\s.\-_*·•,/]{1,3}[^\W\d_]{1,2}){2,}(?!\w)")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX = re.compile(r"(?:0x|\\x)?[0-9a-f]{2,}\Z")
_HEX_JUNK = re.compile(r"0x|\\x|[^0-9a-f]")
_PIECE = re.compile(r"\S+")
_ENTITY = re.compile(r"&(?:#\d{2,7}|#x[0-9A-Fa-f]{2,6});")
_MORSE = re.compile(r"(?:[.\-·–−]{1,6}[ /|]+){4,}[.\-·–−]{1,6}")
_BIDI = re.compile("[\u202e\u202d\u2067]([^\u202c\u2069]*)(?:[\u202c\u2069]|\\Z)")
_WORD = re.compile(r"[a-z']+")
_SENTENCE = re.compile(r"[.!?;\n]\s+|\Z")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_ROT13 = str.maketrans(
    _ALPHABET + _ALPHABET.upper(),
    _ALPHABET[13:] + _ALPHABET[:13] + (_ALPHABET[13:] + _ALPHABET[:13]).upper(),
)
_MORSE_CODES = (
    *(".-", "-...", "-.-.", "-..", ".", "..-.", "--.", "....", "..", ".---", "-.-", ".-..", "--"),
    *("-.", "---", ".--.", "--.-", ".-.", "...", "-", "..-", "...-", ".--", "-..-", "-.--", "--.."),
)
_MORSE_TABLE = dict(zip(_MORSE_CODES, _ALPHABET, strict=True))
_TURNED = str.maketrans("ɐqɔpǝɟƃɥᴉıɾʞʅɯuodbɹʇnʌʍʎ", "abcdefghiijklmnopqrtuvwy")
_TURNED_ONLY = "ɐɔǝɟƃɥᴉɾʞʅɯɹʇʌʍʎ"
_LINE = re.compile(r"[^\n]+")
_MAX_WORD = 24
_MAX_SEGMENTED = 400
_SPACE_PENALTY = 4.0
_MIN_GAIN = 8
_MIN_VOICED = 6
_VOICED_WEIGHT = 3
_VOWELS = frozenset("aeiou")
_MIN_BYTES = 8
_MIN_PLAIN = 5
_LETTERS = 0.7
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Decoded:
    """One reading of part of a text.

    Attributes:
        text: what it says.
        way: how it was hidden: "base64", "hex", "url", "html", "morse", "rot13", "reversed", "bidi", "turned",
            "spaced".
        span: where it stands in the text that was decoded.
    """

    text: str
    way: str
    span: tuple[int, int]


def decoded(text: str, odd: set[str], vocabulary: Vocabulary) -> list[Decoded]:
    """Every hidden reading of a text; at most 24.

    Args:
        text: the original, or a decoded text.
        odd: words of its skeleton that no list knows.
        vocabulary: the lists.
    """
    ways: list[Iterator[Decoded]] = []
    if not text.isascii():
        ways += [_bidi(text), _turned(text)]
    if "&" in text:
        ways.append(_entities(text))
    if text.count("%") > 1:
        ways.append(_url(text))
    if odd:
        lengths = [len(item) for item in odd]
        if max(lengths) >= 12:
            ways.append(_base64(text))
        ways.append(_hex(text, odd))
        if sum(length <= 2 for length in lengths) >= 2:
            ways.append(_spaced(text, vocabulary))
        if len(odd) > 1 or lengths[0] >= _MIN_VOICED:
            ways.append(_ciphers(text, odd))
    if "-" in text or "." in text or "\u2013" in text:
        ways.append(_morse(text))
    return list(itertools.islice(itertools.chain(*ways), MAX_DECODED))


def _bidi(text: str) -> Iterator[Decoded]:
    for match in _BIDI.finditer(text):
        if match.group(1).strip():
            yield Decoded(match.group(1)[::-1], "bidi", match.span(1))


def _turned(text: str) -> Iterator[Decoded]:
    """Letters turned upside down and written backwards, line by line."""
    if not any(letter in text for letter in _TURNED_ONLY):
        return
    for match in _LINE.finditer(text):
        if sum(letter in match.group() for letter in _TURNED_ONLY) > 1:
            yield Decoded(match.group().translate(_TURNED)[::-1], "turned", match.span())


def _base64(text: str) -> Iterator[Decoded]:
    for match in _BASE64.finditer(text):
        token = match.group()
        if token.isalpha() and (token.islower() or token.isupper()):
            continue
        try:
            padded = token.rstrip("=") + "=" * (-len(token.rstrip("=")) % 4)
            raw = base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True)
        except (binascii.Error, ValueError):
            continue
        plain = _printable(raw)
        if plain is not None:
            yield Decoded(plain, "base64", match.span())


def _hex(text: str, odd: set[str]) -> Iterator[Decoded]:
    """Runs of blank- or colon-separated pairs of hex digits, eight bytes or more."""
    if not any(_HEX.match(item.replace(":", "").replace("\\x", "")) for item in odd):
        return
    digits, start, end = "", 0, 0
    for match in itertools.chain(_PIECE.finditer(text.lower()), (None,)):
        piece = match.group().strip(",;.") if match is not None else ""
        bare = _HEX_JUNK.sub("", piece)
        plain = match is not None and len(bare) % 2 == 0 and bool(bare) and _hexadecimal(piece)
        if plain and match is not None:
            start = match.start() if not digits else start
            digits, end = digits + bare, match.end()
            continue
        if len(digits) >= 2 * _MIN_BYTES and (said := _printable(bytes.fromhex(digits))) is not None:
            yield Decoded(said, "hex", (start, end))
        digits = ""


def _hexadecimal(piece: str) -> bool:
    return not piece.replace("0x", "").replace("\\x", "").replace(":", "").strip("0123456789abcdef")


def _url(text: str) -> Iterator[Decoded]:
    for match in _PIECE.finditer(text):
        if match.group().count("%") > 1:
            plain = urllib.parse.unquote_plus(match.group(), errors="replace")
            if plain != match.group():
                yield Decoded(plain, "url", match.span())


def _entities(text: str) -> Iterator[Decoded]:
    if _ENTITY.search(text):
        yield Decoded(html.unescape(text)[:MAX_CHARS], "html", (0, len(text)))


def _morse(text: str) -> Iterator[Decoded]:
    for match in _MORSE.finditer(text):
        code = match.group().replace("·", ".").replace("–", "-").replace("−", "-")
        said = [
            "".join(_MORSE_TABLE.get(letter, "") for letter in word.split())
            for word in re.split(r"\s*[/|]\s*| {3,}", code)
        ]
        plain = " ".join(word for word in said if word)
        if len(plain) > 3:
            yield Decoded(plain, "morse", match.span())


def _spaced(text: str, vocabulary: Vocabulary) -> Iterator[Decoded]:
    """Letters set apart by blanks or signs; three or four count only if they make a term."""
    for match in _SINGLES.finditer(text):
        joined = re.sub(r"[\s.\-_*·•,/]", "", match.group()).lower()
        short = re.split(r"[\s.\-_*·•,/]+", match.group())
        if joined in vocabulary.terms:
            yield Decoded(joined, "spaced", match.span())
        elif len(short) >= 5 and any(item.lower() not in vocabulary.words for item in short):
            yield Decoded(segmented(joined), "spaced", match.span())


def segmented(letters: str) -> str:
    """Letters without spaces as the likeliest common words (unigram segmentation by rank); at most 400 at a time."""
    return " ".join(
        _segmented(letters[at : at + _MAX_SEGMENTED])
        for at in range(0, min(len(letters), 4 * _MAX_SEGMENTED), _MAX_SEGMENTED)
    )


def _segmented(letters: str) -> str:
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


@cache
def _ranks() -> dict[str, int]:
    return {word: rank for rank, word in enumerate(ranked_words())}


def _ciphers(text: str, odd: set[str]) -> Iterator[Decoded]:
    """rot13 and reversal of the stretch where that makes English, or at least speakable words, of what is none."""
    known = words()
    inner = [item.strip(_OUTER) for item in odd if item.isascii()]
    ways: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("rot13", lambda item: item.translate(_ROT13)),
        ("reversed", lambda item: item[::-1]),
    )
    for way, turn in ways:
        if (
            sum(len(item) > 2 and turn(item) in known for item in inner) < 2
            and sum(_voiced(item, turn) for item in inner if item.isalpha()) < _MIN_VOICED
        ):
            continue
        stretch = _stretch(text[:MAX_CHARS], turn)
        if stretch is not None:
            start, end = stretch
            yield Decoded(turn(text[start:end]), way, stretch)


def _stretch(text: str, turn: Callable[[str], str]) -> tuple[int, int] | None:
    """Where turned words are English and the words as they stand are not: the best run (Kadane), grown to sentences."""
    known, ranks = words(), _ranks()
    spans: list[tuple[int, int]] = []
    gains: list[int] = []
    for match in _WORD.finditer(text.lower()):
        word = match.group()
        turned = turn(word)
        gain = len(word) * ((turned in known) - (word in known))
        if turned in known and word in known:
            gain = 1 if ranks[turned] < ranks[word] else -1
        elif turned not in known and word not in known and not _DIGIT.search(text, match.start() - 1, match.end() + 1):
            gain = _VOICED_WEIGHT * _voiced(word, turn)
        spans.append(match.span())
        gains.append(gain)
    best, best_at, total, begun = 0, (0, 0), 0, 0
    for at, gain in enumerate(gains):
        if total <= 0:
            total, begun = 0, at
        total += gain
        if total > best:
            best, best_at = total, (begun, at)
    if best < _MIN_GAIN:
        return None
    letters = sum(high - low for low, high in spans[best_at[0] : best_at[1] + 1])
    if best < 0.5 * letters:
        return None
    return _grown(text, spans[best_at[0]][0], spans[best_at[1]][1], spans, gains)


def _voiced(word: str, turn: Callable[[str], str]) -> int:
    """How many vowels a word gains by being turned: in any language, rot13 makes consonants of most vowels."""
    return sum(letter in _VOWELS for letter in turn(word.lower())) - sum(letter in _VOWELS for letter in word.lower())


def _grown(text: str, start: int, end: int, spans: list[tuple[int, int]], gains: list[int]) -> tuple[int, int]:
    """A stretch grown to the sentences it lies in, as far as those are not English as they stand."""
    edges = [0, *(match.end() for match in _SENTENCE.finditer(text))]
    pieces = [(low, high) for low, high in pairwise(edges) if low < high]
    worth = [0] * len(pieces)
    at = 0
    for (low, _), gain in zip(spans, gains, strict=True):
        while low >= pieces[at][1]:
            at += 1
        worth[at] += gain
    first = next(at for at, (low, high) in enumerate(pieces) if low <= start < high)
    last = next(at for at, (low, high) in enumerate(pieces) if low < end <= high)
    if worth[first] >= 0:
        start = pieces[first][0]
    while start == pieces[first][0] and first > 0 and worth[first - 1] >= 0:
        first -= 1
        start = pieces[first][0]
    if worth[last] >= 0:
        end = pieces[last][1]
    while end == pieces[last][1] and last + 1 < len(pieces) and worth[last + 1] >= 0:
        last += 1
        end = pieces[last][1]
    return start, start + len(text[start:end].rstrip())


def _printable(raw: bytes) -> str | None:
    """UTF-8 text of mostly letters and spaces, or None."""
    try:
        plain = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    plain = plain[:MAX_CHARS]
    read = clean(plain)
    letters = sum(letter.isalnum() or letter.isspace() for letter in read)
    return plain if len(plain) >= _MIN_PLAIN and read.isprintable() and letters >= _LETTERS * len(read) else None

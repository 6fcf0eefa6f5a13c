"""Text as a reader or a machine would read it, whatever script tricks it is written with.

Two forms are made of every text. `clean` is NFKC without invisible and struck-out marks: it keeps case, accents and
script. `skeleton` goes on to casefold, drop accents and map look-alike letters of other scripts to ASCII where a word
mixes scripts or a text has no real word of the other script. Both are linear; making either twice changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from guardrail.text.lists import lines, words

_SURROGATES = re.compile("[\ud800-\udfff]")
_MARKS = (
    *((0x0300, 0x036F), (0x0483, 0x0489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F)),
    # Vowel points of Hebrew and Arabic, which writers leave out, and the stretching sign.
    *((0x0591, 0x05BD), (0x05BF, 0x05BF), (0x05C1, 0x05C2), (0x0610, 0x061A), (0x0640, 0x0640), (0x064B, 0x065F)),
    (0x0670, 0x0670),
)
_STRUCK = _MARKS[:6]
_INVISIBLE = (
    *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0, 0x2800),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
    *range(0xE0100, 0xE01F0),
)
_CONTROLS = tuple(code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r\x0b\x0c\x85")
_EXTRA_LETTERS = {
    **{"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ß": "ss", "ħ": "h"},
    **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True)),
    # Letters that Arabic writers use for one another.
    **{"ى": "ي", "ة": "ه"},
}
_FOREIGN_RUN = re.compile(r"(?<![^\W\d_])[^\W\d_]*[^\x00-\x7f\W\d_][^\W\d_]*")
_ENCLOSED = ((0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))
_FEW = 160
_REGIONAL = (0x1F1E6, 0x1F1FF)
_MARK = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _STRUCK) + "]")


def clean(text: str) -> str:
    """NFKC, invisible characters and struck-out marks removed, enclosed letters opened, lone surrogates replaced."""
    if text.isascii():
        return text if text.isprintable() else text.translate(_ascii_table())
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _SURROGATES.sub("\ufffd", text)
    opened = _dropped(text)
    normal = unicodedata.normalize("NFKC", opened)
    if normal == opened:
        left = _MARK.sub("", normal)
        normal = unicodedata.normalize("NFKC", left)
        if normal == left:
            return normal
    # NFKC can bring back a character that is dropped, and dropping can let letters compose.
    while (again := unicodedata.normalize("NFKC", _MARK.sub("", _dropped(normal)))) != normal:
        normal = again
    return normal


def skeleton(cleaned: str) -> str:
    """Casefolded, without accents, look-alike letters as ASCII. Takes the result of `clean`."""
    return bare_and_skeleton(cleaned)[1]


def bare_and_skeleton(cleaned: str) -> tuple[str, str]:
    """Both at once: without accents in its case, which is what an encoding in letters needs, and the skeleton."""
    if cleaned.isascii():
        return cleaned, cleaned.lower()
    folded = _mapped(unicodedata.normalize("NFKD", cleaned), _fold_table())
    return unicodedata.normalize("NFC", folded), _uncovered(folded)


def _uncovered(folded: str) -> str:
    while True:
        # Look-alikes are seen in capitals too, so they go before the case does.
        again = unicodedata.normalize("NFC", _unmasked(folded)).casefold()
        if again.isascii():
            return again
        again = _mapped(unicodedata.normalize("NFKD", again), _fold_table())
        if again == folded:
            return unicodedata.normalize("NFC", again)
        folded = again


def char_spans(text: str) -> list[tuple[int, int]]:
    """For each character of `skeleton(clean(text))`, where it stands in `text`; made only when something was found.

    Characters are folded one by one; where the whole folds to another length (composition across characters), the
    spans are stretched evenly, so they always stay inside the text.
    """
    whole = skeleton(clean(text))
    if text.isascii() and len(whole) == len(text):
        return [(position, position + 1) for position in range(len(text))]
    sizes = {character: len(skeleton(clean(character))) for character in set(text)}
    spans = [(at, at + 1) for at, character in enumerate(text) for _ in range(sizes[character])]
    if len(spans) == len(whole):
        return spans
    scale = len(text) / max(1, len(whole))
    return [(int(at * scale), min(len(text), int((at + 1) * scale) + 1)) for at in range(len(whole))]


@cache
def confusables() -> dict[int, str]:
    """Code point -> the ASCII letter it looks like."""
    found = {ord(letter): plain for letter, plain in _EXTRA_LETTERS.items() if plain.isascii()}
    for line in lines("confusables.tsv"):
        code, plain = line.split("\t")
        found[int(code, 16)] = plain
    return found


def _unmasked(text: str) -> str:
    """Look-alikes as ASCII, in words that mix scripts, and in whole words unless the text really uses that script."""
    if set(text).isdisjoint(_looks()):
        return text
    table, known = confusables(), words()
    runs: set[str] = set(_FOREIGN_RUN.findall(text))
    pure = {word: word.translate(table) for word in runs if not any(map(str.isascii, word))}
    genuine = any(not mapped.isascii() for mapped in pure.values())
    telling = {word for word, mapped in pure.items() if len(mapped) > 3 and mapped.lower() in known}
    latin = not genuine and (bool(telling) or any("a" <= letter.lower() <= "z" for letter in set(text)))
    if latin:
        return _mapped(text, table)

    def plain(match: re.Match[str]) -> str:
        word = match.group()
        if word in telling:
            return pure[word]
        return word if word in pure else word.translate(table)

    return _FOREIGN_RUN.sub(plain, text)


def _dropped(text: str) -> str:
    return _mapped(text, _drop_table())


def _mapped(text: str, table: Mapping[int, str | None]) -> str:
    """`text.translate(table)`: one replacement a distinct character, which is faster while those are few."""
    distinct = set(text)
    if len(distinct) > _FEW:
        return text.translate(table)
    for letter in distinct:
        code = ord(letter)
        if code in table:
            text = text.replace(letter, table[code] or "")
    return text


@cache
def _looks() -> frozenset[str]:
    return frozenset(map(chr, confusables()))


@cache
def _ascii_table() -> dict[int, None]:
    return dict.fromkeys(_CONTROLS)


@cache
def _drop_table() -> dict[int, str | None]:
    table: dict[int, str | None] = dict.fromkeys((*_INVISIBLE, *_CONTROLS))
    for first, last in _ENCLOSED:
        table |= {code: chr(ord("a") + code - first) for code in range(first, last + 1) if code - first < 26}
    table |= {code: chr(ord("a") + code - _REGIONAL[0]) for code in range(_REGIONAL[0], _REGIONAL[1] + 1)}
    return table


@cache
def _fold_table() -> dict[int, str | None]:
    table: dict[int, str | None] = {ord(letter): plain for letter, plain in _EXTRA_LETTERS.items()}
    for first, last in _MARKS:
        table |= dict.fromkeys(range(first, last + 1))
    return table

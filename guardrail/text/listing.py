"""Program listings: which lines of a text are code, and what people say between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

_CODE = re.compile(
    r"""
    [\w\])'"]\s?[-+*/%&|^!<>=]?=\s?[\w\[({'"-]      # assigns or compares
    | \s[-+*/%<>|&]{1,2}\s?[\w(]+ | [\w)]\*[\w(] | \w\s?[+*=/<>]=?$   # calculates
    | \w[ ]?\([^()]*\)?\s*[:;{,)]*$                  # calls, at the end of a line
    | \w\(\s*['"\w]*\s*[,)]                          # calls
    | ^\W*[{}]\W*$ | [({\[.=<>'"].*[;{},]$            # ends of blocks and statements
    | [\w\])]\s?\[\s?['"\w-]+\s?\] | ['"]\s?\]       # indexes
    | -> | => | :: | && | \|\| | \*\* | \+\+ | </ | />
    | ^.{1,40}:$                                     # heads of blocks
    | ^\s*\#\s?(?:include|define|undef|ifn?def|if|else|elif|endif|pragma)\b
    | ^\s*['"][\w-]+['"]\s?:                          # fields
    | ^\s*(?:import|using|package|namespace)\s[\w.]+$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PRINTS = re.compile(
    r"^(?:print|printf|println|puts|echo|console\.log)\s?[(\uff08]\s*['\"][^'\"]*['\"]?\s*[)\uff09]\W*$"
)
"""A line that prints words and does no more; reading takes its brackets for wide ones."""
_LEFT = re.compile(r"^\W*\d{1,4}\s+(?=\S)")
_QUOTED = re.compile(r"""["'`]([^"'`]+)["'`]|(?:\#\s|//|--\s|/\*)\s*(\w.*)""")
_ROWS = re.compile(r"[^\W\d_]+(?:[ ,][ ]?[^\W\d_]+)*")
_HEAD = re.compile(r"(?:if|elif|else|for|while|def|class|try|except|with|switch|case)\b.{0,36}:$", re.IGNORECASE)
_ROW, _HEAD_ROW = 3, 5
"""Most words in a row that a line of code has, and the head of a block."""
_LEAST = 3
_SPOKEN = 4
"""Words from which a line among code, and what code quotes or remarks, may say something."""
_WORD = re.compile(r"[^\W\d_]{2,}")


def spoken(lines: Sequence[str]) -> list[str]:
    """The lines themselves, or of a listing what is no code: lines of words, quoted words and remarks."""
    code = [_is_code(line) for line in lines]
    # reading often cuts rows of code into words, which say neither
    prose = sum(_words(line) >= _ROW for line, is_code in zip(lines, code, strict=True) if not is_code)
    if sum(code) < max(_LEAST, prose) and not all(map(_PRINTS.match, lines)):
        return list(lines)
    said: list[str] = []
    for is_code, group in groupby(zip(code, lines, strict=True), key=lambda item: item[0]):
        part = [line for _, line in group]
        if is_code:
            said += [text for line in part for text in _remarks(line)]
        elif sum(_words(line) for line in part) >= _SPOKEN:
            said += part
    return list(dict.fromkeys(said))


def _is_code(line: str) -> bool:
    """Signs of code and few words in a row: who ends an instruction with a semicolon writes no code."""
    bare = _LEFT.sub("", line).strip()
    if _CODE.search(bare) is None:
        return False
    most = _HEAD_ROW if _HEAD.match(bare) else _ROW
    return all(len(row[0].split()) <= most for row in _ROWS.finditer(_QUOTED.sub(" ; ", bare)))


def _remarks(line: str) -> Iterator[str]:
    for found in _QUOTED.finditer(line):
        text = found[1] or found[2]
        if _words(text) >= _SPOKEN:
            yield text


def _words(text: str) -> int:
    return len(_WORD.findall(text))

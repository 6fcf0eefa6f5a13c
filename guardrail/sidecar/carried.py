"""What fields nobody documented carry: text is judged with the prompt, pictures close the request.

A generator may well understand a field that this version does not. Text in it is cheap to judge. A picture in it, or a
reference to one, would pass unseen, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pybase64

MAX_ITEMS = 2_000
"""Values walked in one request; more are refused."""

_DATA_URL = re.compile(r"data:(?:[\w.+-]+/[\w.+-]+[^,\s]{0,200}|[^,\s]{0,200};base64),", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:https?|ftps?|file|blob|s3|gs|azure|ipfs)://?\S", re.IGNORECASE)
_PICTURE_NAME = re.compile(
    r"image|img|picture|photo|mask|markup|(?<!pro)file|url|(?<!sec)uri|webhook|callback|upload|attachment",
    re.IGNORECASE,
)
_MEASURE_NAME = re.compile(
    r"(?:size|width|height|format|quality|count|type|strength|resolution|number|scale|fidelity)s?$", re.IGNORECASE
)
_BLOB = re.compile(r"[A-Za-z0-9+/_=\s-]+")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){16,}")
_SNIFF_CHARS = 64
_OPAQUE_CHARS = 2_048
_MAGIC = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"8BPS",
    b"\0\0\1\0",
    b"\xff\x0a",
    b"\0\0\0\x0cJXL ",
    b"\0\0\0\x0cjP  ",
    b"\x1f\x8b",
    b"PK\3\4",
    b"%PDF",
    b"<svg",
    b"<?xml",
)


def walk(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value with the nearest name above it; names of nested objects count as texts too.

    Raises:
        OverflowError: more than MAX_ITEMS values.
    """
    waiting: list[tuple[str, Any]] = [(name, value)]
    seen = 0
    while waiting:
        seen += 1
        if seen > MAX_ITEMS:
            raise OverflowError
        above, item = waiting.pop()
        if isinstance(item, str):
            yield above, item
        elif isinstance(item, list):
            waiting.extend((above, part) for part in item)
        elif isinstance(item, dict):
            for key, part in item.items():
                waiting.append(("", key))
                waiting.append((key, part))


def carries_picture(name: str, text: str) -> bool:
    """Whether an undocumented field may hold a picture or say where one is: by its name, or by what it looks like."""
    if _PICTURE_NAME.search(name) and not _MEASURE_NAME.search(name) and text.strip():
        return True
    return _REFERENCE.search(text) is not None or holds_picture(text)


def holds_picture(text: str) -> bool:
    """Whether text looks like encoded picture bytes: a data URL, base64 or hex of a known header, an opaque blob."""
    if _DATA_URL.search(text):
        return True
    if len(text) < _SNIFF_CHARS // 2:
        return False
    head = "".join(text[: 4 * _SNIFF_CHARS].split())[:_SNIFF_CHARS]
    if _HEX.fullmatch(head[: len(head) // 2 * 2]) and _known(bytes.fromhex(head[: len(head) // 2 * 2])):
        return True
    if not _BLOB.fullmatch(head):
        return False
    if _known(_from_base64(head)):
        return True
    return len(text) > _OPAQUE_CHARS and " " not in text and _BLOB.fullmatch(text) is not None


def _known(data: bytes) -> bool:
    return data.startswith(_MAGIC) or data[4:8] == b"ftyp"


def _from_base64(head: str) -> bytes:
    plain = head.replace("-", "+").replace("_", "/").rstrip("=")
    plain = plain[: len(plain) // 4 * 4]
    try:
        return pybase64.b64decode(plain, validate=True)
    except ValueError:
        return b""

"""XMP: what a packet says, by a linear walk over its text. No XML parser sees it, so entities are never expanded.

Sources: XMP specification parts 1 and 3 (ISO 16684-1), among them the extended packets that JPEG spreads over segments.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterator

from guardrail.vision.containers.texts import Texts, as_text

MAX_PICTURES = 4
MAX_PICTURE_CHARS = 2 << 20
MAX_BYTES = 4 << 20
_MARK = re.compile(r"<[^<>]*>")
_VALUE = re.compile(r"(?<![\w:.-])([\w:.-]{1,80}+)\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)')")
_PICTURE = re.compile(r"(?:/9j/|iVBORw0KGgo|R0lGOD|UklGR)[A-Za-z0-9+/\s&#;xA]{64,}={0,2}")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_NAME = re.compile(r"[^\s<>/='\"]{24,}")
_LANGUAGE = re.compile(r"x-default|[A-Za-z]{2,3}(?:-[A-Za-z]{2,4})?")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_PLUMBING = re.compile(
    r"(?:https?://(?:ns\.adobe\.com|www\.w3\.org|purl\.org)/\S*|(?:xmp|uuid|adobe)[\w.:]*[:.][\w.:-]+|[\d.:TZ+-]+)\Z"
)


def read_xmp(data: bytes, texts: Texts, where: str = "xmp") -> None:
    """Collect what stands between the marks, in attributes, comments and long names; pictures in base64 are kept apart.

    Anything that is not marked up is kept whole. Declared entities are kept as text and told, never expanded.
    """
    if len(data) > MAX_BYTES:
        texts.note(f"picture.{where}", f"only the first {MAX_BYTES} bytes were read")
        data = data[:MAX_BYTES]
    text = _decoded(data)
    text = _PICTURE.sub(lambda match: _picture(match.group(), texts, where), text)
    if "<!ENTITY" in text:
        texts.note(f"picture.{where}", "declared entities are not expanded")
    values = [html.unescape(value).strip() for value in _values(text)]
    texts.add_values(where, (item for item in values if _LETTERS.search(item) and not _PLUMBING.match(item)))


def joined(parts: list[bytes]) -> list[bytes]:
    """Extended packets of a JPEG, each put together from its segments (GUID, full length, offset, data) in order."""
    packets: dict[bytes, list[tuple[int, bytes]]] = {}
    for part in parts:
        packets.setdefault(part[:32], []).append((int.from_bytes(part[36:40], "big"), part[40:]))
    return [b"".join(data for _, data in sorted(pieces, key=lambda piece: piece[0])) for pieces in packets.values()]


def _decoded(data: bytes) -> str:
    head = data[:4]
    if head[:2] not in (b"\xff\xfe", b"\xfe\xff") and b"\x00" in head:
        return data.decode("utf-16-le" if head[1:2] == b"\x00" else "utf-16-be", errors="replace")
    return as_text(data)


def _values(text: str) -> Iterator[str]:
    """What a reader of the packet would read, in order: contents, and of a mark its values, or all that it says."""
    at = 0
    for mark in _MARK.finditer(text):
        yield text[at : mark.start()]
        at, inside = mark.end(), mark.group()
        if inside[1] in "!?":
            yield inside[1:-1]
            continue
        yield from _NAME.findall(_QUOTED.sub(" ", inside))
        for name, double, single in _VALUE.findall(inside):
            value = double or single
            if not name.startswith("xmlns") and not (name == "xml:lang" and _LANGUAGE.fullmatch(value)):
                yield value
    yield text[at:]


def _picture(found: str, texts: Texts, where: str) -> str:
    """Put a picture in base64 aside; the text without it."""
    if sum(place == where for place, _ in texts.blocks) >= MAX_PICTURES:
        texts.note(f"picture.{where}:pictures", "further pictures inside it were not looked at")
        return " "
    plain = re.sub(r"&#x?[0-9A-Fa-f]{1,4};|\s+", "", found[:MAX_PICTURE_CHARS])
    try:
        texts.blocks.append((where, binascii.a2b_base64(plain[: len(plain) // 4 * 4])))
    except binascii.Error:
        return found
    return " "

"""EXIF without trust: the orientation and every string, from a bounded walk over the TIFF structure.

Pillow's reader warns, stops at the first fault and knows tags by type; a guard wants every string whatever the rest
looks like. Source: TIFF 6.0 section 2, Exif 3.0 (CIPA DC-008) section 4.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardrail.vision.containers.texts import Texts, as_text, runs

MAX_DIRECTORIES = 16
MAX_ENTRIES = 4096

_ORIENTATION = 0x0112
_USER_COMMENT = 0x9286
_WINDOWS_TEXT = range(0x9C9B, 0x9CA0)
_POINTERS = (0x8769, 0x8825, 0xA005)
_THUMBNAIL = 0x0201
_SHORT = 3
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_TEXTUAL = (1, 2, 7, 129)


def read_exif(block: bytes, texts: Texts) -> int:
    """Collect the strings of an EXIF block and return the orientation.

    Args:
        block: the TIFF structure, with or without the "Exif\\0\\0" that JPEG puts before it.
        texts: where the strings go, as one text named "exif".

    Returns:
        1 to 8 as in TIFF 6.0; 1 when absent or out of range.
    """
    block = block.removeprefix(b"Exif\x00\x00")
    order = {b"II": "little", b"MM": "big"}.get(block[:2])
    if order is None:
        texts.add_block("exif", block)
        return 1
    orientation, strings, thumbnail = 1, [], False
    for tag, kind, value in _entries(block, order == "little"):
        if tag == _ORIENTATION and kind == _SHORT:
            orientation = _number(value[:2], order == "little")
        elif tag == _THUMBNAIL:
            thumbnail = True
        elif kind in _TEXTUAL:
            strings.append(_string(tag, kind, value))
    if thumbnail:
        texts.blocks.append(("exif", block))
    texts.add("exif", "\n".join(string for string in strings if string))
    return orientation if 1 <= orientation <= 8 else 1


def _number(data: bytes, little: bool) -> int:
    return int.from_bytes(data, "little" if little else "big")


def _entries(block: bytes, little: bool) -> Iterator[tuple[int, int, bytes]]:
    """Tag, type and value bytes of every entry that lies inside the block, each directory once."""
    waiting, seen, count = [_number(block[4:8], little)], set[int](), 0
    while waiting and len(seen) < MAX_DIRECTORIES:
        start = waiting.pop(0)
        if start in seen or not 8 <= start <= len(block) - 2:
            continue
        seen.add(start)
        entries = _number(block[start : start + 2], little)
        for at in range(start + 2, min(start + 2 + 12 * entries, len(block) - 11), 12):
            count += 1
            if count > MAX_ENTRIES:
                return
            tag, kind = _number(block[at : at + 2], little), _number(block[at + 2 : at + 4], little)
            length = _SIZES.get(kind, 0) * _number(block[at + 4 : at + 8], little)
            offset = at + 8 if length <= 4 else _number(block[at + 8 : at + 12], little)
            value = block[offset : offset + length]
            if tag in _POINTERS:
                waiting.append(_number(value, little))
            yield tag, kind, value
        after = start + 2 + 12 * entries
        waiting.append(_number(block[after : after + 4], little))


def _string(tag: int, kind: int, value: bytes) -> str:
    if tag in _WINDOWS_TEXT:
        return value.decode("utf-16-le", errors="replace").strip("\x00")
    if tag == _USER_COMMENT:
        wide = value.startswith(b"UNICODE\x00")
        rest = value[8:]
        if not wide:
            return as_text(rest).strip("\x00 ")
        big = rest[:1] == b"\x00"
        return rest.decode("utf-16-be" if big else "utf-16-le", errors="replace").strip("\x00")
    return as_text(value).strip("\x00 ") if kind in (2, 129) else runs(value)

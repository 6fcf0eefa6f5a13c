"""EXIF without trust: the orientation and every string, from a bounded walk over the TIFF structure.

Pillow's reader warns, stops at the first fault and knows tags by type; a guard wants every string whatever the rest
looks like. Source: TIFF 6.0 section 2, Exif 3.0 (CIPA DC-008) section 4.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardrail.vision.containers.iptc import read_iptc, read_photoshop
from guardrail.vision.containers.texts import Texts, as_text, runs
from guardrail.vision.containers.xmp import read_xmp

MAX_DIRECTORIES = 16
MAX_ENTRIES = 4096
MAX_VALUE_BYTES = 4 << 20
"""Bytes of all values together: many entries may point at the same megabytes."""

_ORIENTATION = 0x0112
_WINDOWS_TEXT = range(0x9C9B, 0x9CA0)
_CODED = {0x9286: "exif:UserComment", 0x001B: "exif:GPSProcessingMethod", 0x001C: "exif:GPSAreaInformation"}
"""Tags whose values say in eight bytes how they are coded."""
_POINTERS = (0x8769, 0x8825, 0xA005, 0x014A)
_XMP, _IPTC, _PHOTOSHOP = 0x02BC, 0x83BB, 0x8649
_THUMBNAIL, _STRIPS = 0x0201, 0x0111
_SHORT = 3
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_TEXTUAL = (1, 2, 7, 129)


def read_exif(block: bytes, texts: Texts) -> int:
    """Collect the strings of an EXIF block and return the orientation.

    Args:
        block: the TIFF structure, with or without the "Exif\\0\\0" that JPEG puts before it.
        texts: where the strings go: short ones as one text named "exif", comments under their own names, and text that
            no entry points at as "exif:other".

    Returns:
        1 to 8 as in TIFF 6.0; 1 when absent or out of range.
    """
    block = block.removeprefix(b"Exif\x00\x00")
    order = {b"II": "little", b"MM": "big"}.get(block[:2])
    if order is None:
        texts.add_block("exif", block)
        return 1
    reader = _Reader(block, order == "little", texts)
    return reader.read()


class _Reader:
    def __init__(self, block: bytes, little: bool, texts: Texts) -> None:
        self._block = block
        self._little = little
        self._texts = texts
        self._bare = bytearray(block)
        """The block without what entries point at."""

    def read(self) -> int:
        orientation, values, thumbnail = 1, [], False
        for tag, kind, value in self._entries():
            if tag == _ORIENTATION and kind == _SHORT:
                orientation = self._number(value[:2])
            elif tag == _THUMBNAIL:
                thumbnail = True
            elif tag == _STRIPS and value:
                self._texts.note("picture.exif:strips", "a thumbnail that is stored in strips was not looked at")
            elif tag in _CODED and kind in _TEXTUAL:
                self._texts.add(_CODED[tag], self._coded(value))
            elif tag in (_XMP, _IPTC, _PHOTOSHOP):
                self._nested(tag, value)
            elif kind in _TEXTUAL:
                values.append(_string(tag, kind, value))
        if thumbnail:
            self._texts.blocks.append(("exif", self._block))
        self._texts.add_values("exif", (line for value in values for line in value.splitlines()), all_short=True)
        self._texts.add("exif:other", runs(bytes(self._bare)))
        return orientation if 1 <= orientation <= 8 else 1

    def _nested(self, tag: int, value: bytes) -> None:
        if tag == _XMP:
            read_xmp(value, self._texts)
        elif tag == _IPTC:
            read_iptc(value, self._texts)
        else:
            read_photoshop(value, self._texts)

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self._little else "big")

    def _coded(self, value: bytes) -> str:
        """Text behind the eight bytes that say its encoding; without them, as it looks."""
        code, rest = value[:8], value[8:]
        if code == b"UNICODE\x00":
            marked = rest[:2] in (b"\xff\xfe", b"\xfe\xff")
            # writers disagree about the byte order; in most texts one of each pair of bytes is zero
            little = rest[1::2].count(0) >= rest[::2].count(0) if rest.count(0) else self._little
            return rest.decode("utf-16" if marked else "utf-16-le" if little else "utf-16-be", "replace").strip("\x00")
        if code == b"JIS\x00\x00\x00\x00\x00":
            return rest.decode("iso2022_jp" if b"\x1b" in rest else "shift_jis", "replace").strip("\x00 ")
        if code in (b"ASCII\x00\x00\x00", bytes(8)):
            return as_text(rest).strip("\x00 ")
        return as_text(value).strip("\x00 ")

    def _entries(self) -> Iterator[tuple[int, int, bytes]]:
        """Tag, type and value bytes of every entry that lies inside the block, each directory once."""
        block, number = self._block, self._number
        waiting, seen, count, room = [number(block[4:8])], set[int](), 0, MAX_VALUE_BYTES
        while waiting:
            start = waiting.pop(0)
            if start in seen or not 8 <= start <= len(block) - 2:
                continue
            if len(seen) >= MAX_DIRECTORIES:
                self._texts.note("picture.exif", f"directories after the first {MAX_DIRECTORIES} were not read")
                return
            seen.add(start)
            entries = number(block[start : start + 2])
            for at in range(start + 2, min(start + 2 + 12 * entries, len(block) - 11), 12):
                count += 1
                if count > MAX_ENTRIES:
                    self._texts.note("picture.exif", f"entries after the first {MAX_ENTRIES} were not read")
                    return
                tag, kind = number(block[at : at + 2]), number(block[at + 2 : at + 4])
                amount = number(block[at + 4 : at + 8])
                length = _SIZES.get(kind, 0) * amount
                offset = at + 8 if length <= 4 else number(block[at + 8 : at + 12])
                value = block[offset : offset + min(length, room)]
                room -= len(value)
                if len(value) < min(length, len(block) - offset):
                    self._texts.note("picture.exif", f"values after the first {MAX_VALUE_BYTES} bytes were not read")
                self._bare[offset : offset + len(value)] = bytes(len(value))
                if tag in _POINTERS:
                    step = _SIZES.get(kind, 4)
                    waiting += [number(value[item : item + step]) for item in range(0, min(len(value), 8 * step), step)]
                if tag not in (_THUMBNAIL, *_POINTERS):
                    self._bare[at : at + 12] = bytes(12)
                yield tag, kind, value
            after = start + 2 + 12 * entries
            waiting.append(number(block[after : after + 4]))


def _string(tag: int, kind: int, value: bytes) -> str:
    if tag in _WINDOWS_TEXT:
        return value.decode("utf-16-le", errors="replace").strip("\x00")
    return as_text(value).strip("\x00 ") if kind in (2, 129) else runs(value)

"""GIF: a bounded walk over the blocks (GIF89a specification)."""

from __future__ import annotations

from guardrail.vision.containers.header import Header, refuse
from guardrail.vision.containers.jumbf import read_jumbf
from guardrail.vision.containers.texts import Texts, as_text, slack
from guardrail.vision.containers.xmp import read_xmp

MAX_SUB_BLOCKS = 400_000
"""Sub-blocks of one file: 32 MiB of full ones is 131,000."""

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL, _COMMENT, _PLAIN_TEXT, _APPLICATION = 0xF9, 0xFE, 0x01, 0xFF
_XMP, _C2PA = b"XMP DataXMP", b"C2PA_GIF"


def scan(data: bytes, max_frames: int) -> Header:
    """Read every block of a GIF.

    Raises:
        PictureError: reason "truncated", "corrupt" or "too_many_frames".
    """
    walk = _Walk(data, max_frames)
    end = walk.run()
    walk.texts.add_tail(data[end:])
    return Header("gif", [walk.size], walk.frames, [data], texts=walk.texts)


class _Walk:
    def __init__(self, data: bytes, max_frames: int) -> None:
        self.data = data
        self.max_frames = max_frames
        self.texts = Texts()
        self.frames = 0
        self.size = (self._word(6), self._word(8))
        self._blocks = 0

    def run(self) -> int:
        """Walk to the trailer and return the offset after it."""
        at = 13 + self._table(self._byte(10))
        while True:
            kind = self._byte(at)
            if kind == _TRAILER:
                break
            if kind == _IMAGE:
                at = self._image(at + 1)
            elif kind == _EXTENSION:
                at = self._extension(at + 1)
            else:
                raise refuse("corrupt", "the GIF has a block of no known kind")
        if not self.frames:
            raise refuse("corrupt", "the GIF holds no picture")
        return at + 1

    def _byte(self, at: int) -> int:
        if at >= len(self.data):
            raise refuse("truncated", "the GIF ends early")
        return self.data[at]

    def _word(self, at: int) -> int:
        return self._byte(at) | self._byte(at + 1) << 8

    @staticmethod
    def _table(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    def _image(self, at: int) -> int:
        self.frames += 1
        if self.frames > self.max_frames:
            raise refuse("too_many_frames", f"the GIF has more than {self.max_frames} frames")
        right, bottom = self._word(at) + self._word(at + 4), self._word(at + 2) + self._word(at + 6)
        # decoders grow the screen to hold a frame that reaches over its edge
        self.size = max(self.size[0], right), max(self.size[1], bottom)
        start = at + 9 + self._table(self._byte(at + 8)) + 1
        end, _ = self._skip(start)
        self.texts.add("gif:slack", slack(self.data[start:end]))
        return end

    def _extension(self, at: int) -> int:
        label = self._byte(at)
        end, body = self._skip(at + 1, keep=label != _CONTROL)
        if label == _COMMENT:
            self.texts.add("gif:comment", as_text(body))
        elif label == _PLAIN_TEXT:
            self.texts.add("gif:text", as_text(body[12:]))
        elif label == _APPLICATION and body.startswith(_XMP):
            # the packet stands in the file as it is; its letters only happen to be read as sizes of sub-blocks
            packet = self.data[at + 2 + len(_XMP) : end].partition(b"\x01\xff\xfe")[0]
            read_xmp(packet, self.texts)
        elif label == _APPLICATION and body.startswith(_C2PA):
            read_jumbf(body[len(_C2PA) + 3 :], self.texts)
        elif label != _CONTROL:
            self.texts.blocks.append(("gif:application", body))
            self.texts.add_block("gif:application", body)
        return end

    def _skip(self, at: int, *, keep: bool = False) -> tuple[int, bytes]:
        """Walk over sub-blocks; the offset after them, and their bytes when wanted."""
        parts: list[bytes] = []
        while size := self._byte(at):
            self._blocks += 1
            if self._blocks > MAX_SUB_BLOCKS:
                raise refuse("corrupt", f"the GIF has more than {MAX_SUB_BLOCKS} sub-blocks")
            if keep:
                parts.append(self.data[at + 1 : at + 1 + size])
            at += size + 1
        return at + 1, b"".join(parts)

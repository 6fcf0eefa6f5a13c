"""What a container scan yields, and the errors it may end in."""

from __future__ import annotations

from dataclasses import dataclass, field

from guardrail.errors import PictureError
from guardrail.vision.containers.exif import read_exif
from guardrail.vision.containers.icc import read_icc
from guardrail.vision.containers.texts import Texts

MAX_EXIF = 7
"""EXIF blocks read after the first."""

ADVICE = {
    "empty": "Send the picture's bytes.",
    "too_many_bytes": "Send a smaller file, or raise GUARDRAIL_LIMITS__MAX_PICTURE_BYTES.",
    "too_many_pixels": "Send a smaller picture, or raise GUARDRAIL_LIMITS__MAX_PIXELS or __MAX_TOTAL_PIXELS.",
    "too_many_frames": "Send fewer frames, or raise GUARDRAIL_LIMITS__MAX_FRAMES.",
    "ratio": "Send a picture that is less narrow, or raise GUARDRAIL_LIMITS__MAX_RATIO.",
    "truncated": "The file ends early: send all of it.",
    "corrupt": "Save the picture again with an ordinary encoder and send that.",
    "unknown_type": "Send PNG, JPEG, WebP, GIF or AVIF.",
    "svg_refused": "SVG can hold scripts and links: render it to PNG and send that.",
}
"""Every `PictureError.reason` of decoding, with what its reader can do."""


def refuse(reason: str, message: str) -> PictureError:
    """The typed error for `reason`, one of the keys of `ADVICE`."""
    return PictureError(message, reason=reason, advice=ADVICE[reason])


@dataclass(slots=True)
class Header:
    """What a file says before its pixels are decoded.

    Attributes:
        format: "png", "jpeg", "webp", "gif" or "avif".
        sizes: (width, height) in pixels of each stored image; all frames of one stored animation share one size.
        frames: frames in all.
        streams: what the pixel decoder is given, one entry a stored image: only parts that make pixels.
        exif: the first EXIF block (TIFF structure), or empty.
        exif_more: further EXIF blocks, which viewers ignore.
        icc: the ICC profile, or empty.
        gamma: the exponent a PNG states for its samples (gAMA), or None.
        deep: whether a PNG has samples of 16 bits.
        keyed: whether a PNG names colours that are transparent (tRNS).
        texts: text found in the container, and what of it could not be read.
    """

    format: str
    sizes: list[tuple[int, int]]
    frames: int
    streams: list[bytes]
    exif: bytes = b""
    exif_more: list[bytes] = field(default_factory=list)
    icc: bytes = b""
    gamma: float | None = None
    deep: bool = False
    keyed: bool = False
    texts: Texts = field(default_factory=Texts)

    def add_exif(self, block: bytes) -> None:
        """Keep a block: the first one turns the picture, all of them are read."""
        if not self.exif:
            self.exif = block
        elif block != self.exif:
            self.exif_more.append(block)

    def add_icc(self, profile: bytes) -> None:
        """Keep the first profile, and the texts of every one."""
        self.icc = self.icc or profile
        read_icc(profile, self.texts)

    def orientation(self) -> int:
        """Read every EXIF block into `texts`; 1 to 8 as in TIFF 6.0, by the first block."""
        found = read_exif(self.exif, self.texts) if self.exif else 1
        for block in self.exif_more[:MAX_EXIF]:
            read_exif(block, self.texts)
        if len(self.exif_more) > MAX_EXIF:
            self.texts.note("picture.exif", f"blocks after the first {MAX_EXIF + 1} were not read")
        return found

"""Small files of every container, drawn here, for the tests of this room."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

WIDTH, HEIGHT = 50, 40


def drawing(seed: int = 0, *, alpha: bool = False, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """A noisy drawing, so that no two seeds encode alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    picture = Image.fromarray(noise)
    return picture if alpha else picture.convert("RGB")


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, format, **options)
    return data.getvalue()


def animation(format: str, frames: int = 3, **options: Any) -> bytes:
    drawn = [drawing(seed) for seed in range(frames)]
    return encoded(drawn[0], format, save_all=True, append_images=drawn[1:], **options)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """`png` with a chunk put right behind its header."""
    return png[:33] + chunk(kind, body) + png[33:]


def segment(marker: int, body: bytes) -> bytes:
    """One JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """`jpeg` with a segment put right behind its start."""
    return jpeg[:2] + segment(marker, body) + jpeg[2:]


def exif(**strings: bytes) -> bytes:
    """An EXIF block with a description, a comment and an orientation of 6."""
    block = Image.Exif()
    block[0x0112] = 6
    block[0x010E] = strings.get("description", b"a quiet street").decode()
    block[0x9286] = b"ASCII\x00\x00\x00" + strings.get("comment", b"seen at noon")
    return block.tobytes()


def png_texts(**texts: str) -> PngInfo:
    """tEXt for names that begin with "t", zTXt for "z", iTXt for "i"."""
    info = PngInfo()
    for name, text in texts.items():
        if name.startswith("i"):
            info.add_itxt(name, text, zip=True)
        else:
            info.add_text(name, text, zip=name.startswith("z"))
    return info


SAMPLES: dict[str, bytes] = {
    "png": encoded(drawing(alpha=True), "PNG", pnginfo=png_texts(tplain="plain text", zpacked="packed text")),
    "apng": animation("PNG"),
    "jpeg": encoded(drawing(), "JPEG", exif=exif(), comment=b"a comment"),
    "progressive": encoded(drawing(), "JPEG", progressive=True),
    "mpo": animation("MPO"),
    "gif": animation("GIF", comment=b"a comment"),
    "webp": animation("WEBP"),
    "webp-still": encoded(drawing(alpha=True), "WEBP", exif=exif(), lossless=True),
    "avif": encoded(drawing(alpha=True), "AVIF", exif=exif()),
    "avif-sequence": animation("AVIF"),
}
"""A file of every kind that is accepted, by a short name."""

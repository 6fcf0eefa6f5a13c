"""What `guardrail bench structure` measures: everything that is looked at beside the pixels that a picture shows."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from guardrail.settings import Limits
from guardrail.signals import DecodedPicture, Picture
from guardrail.vision.decode import decode, structure
from guardrail.vision.hidden.bits import lossy, low_bit_texts, written_share
from guardrail.vision.hidden.planes import planes


def measured(portrait: Image.Image, runs: int) -> dict[str, dict[str, float]]:
    """Median CPU milliseconds by format: the container, hidden planes, low bits, and all three.

    The decoding of pixels, which of 16-bit samples gives the lower bytes too, is given beside them and is not part of
    the sum.
    """
    return {name: _row(data, runs) for name, data in files(portrait).items()}


def files(portrait: Image.Image) -> dict[str, bytes]:
    """The picture in every format, with the metadata that cameras and editors write."""
    wide, high = portrait.size
    slope = np.add.outer(np.arange(high), np.arange(wide)) * 255 // (wide + high)
    clear = portrait.copy()
    clear.putalpha(Image.fromarray(slope.astype(np.uint8)))
    deep = np.asarray(portrait).astype(np.uint16) * 257
    block = Image.Exif()
    block[0x010E], block[0x0110], block[0x9286] = "a portrait", "a camera", b"ASCII\x00\x00\x00at noon in the studio"
    xmp = b"<x:xmpmeta>" + b"<dc:subject><rdf:li>portrait</rdf:li></dc:subject>" * 60 + b"</x:xmpmeta>"
    texts = PngInfo()
    texts.add_text("Comment", "a portrait in the studio", zip=True)
    frames = [portrait.resize((wide // 4, high // 4)).rotate(angle) for angle in range(0, 80, 10)]
    return {
        "JPEG": _encoded(portrait, "JPEG", quality=90, exif=block, xmp=xmp),
        "PNG": _encoded(portrait, "PNG", exif=block, pnginfo=texts),
        "PNG with alpha": _encoded(clear, "PNG"),
        "PNG with a palette": _encoded(portrait.quantize(256), "PNG"),
        "PNG, 16 bits": cv2.imencode(".png", deep)[1].tobytes(),
        "APNG, 8 frames": _encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "GIF": _encoded(portrait, "GIF", comment=b"a portrait in the studio"),
        "GIF, 8 frames": _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "WebP": _encoded(portrait, "WEBP", quality=90, exif=block, xmp=xmp),
        "AVIF": _encoded(portrait, "AVIF", quality=80, speed=10, exif=block, xmp=xmp),
    }


def _row(data: bytes, runs: int) -> dict[str, float]:
    picture = decode(Picture(data), Limits())
    row = {
        "container_ms": _cpu(lambda: structure(data, Limits()), runs),
        "planes_ms": _cpu(lambda: list(planes(picture)), runs),
        "low_bits_ms": _cpu(lambda: _low_bits(picture), runs),
    }
    row["sum_ms"] = sum(row.values())
    row["pixels_ms"] = _cpu(lambda: decode(Picture(data), Limits()), max(3, runs // 5))
    return row


def _low_bits(picture: DecodedPicture) -> None:
    low_bit_texts(picture)
    if not lossy(picture):
        written_share(picture.frames[0].rgb)


def _cpu(work: Callable[[], object], runs: int) -> float:
    work()
    used = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        used.append(time.process_time() - begun)
    return statistics.median(used) * 1000


def _encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    data = io.BytesIO()
    picture.save(data, format, **options)
    return data.getvalue()

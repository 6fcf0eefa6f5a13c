"""Real files of every format, small, with every kind of metadata in them: what the mutator starts from."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from tests.vision.containers import made
from tests.vision.files import SAMPLES, animation, chunk, drawing, encoded, exif, png_texts, segment

_SMALL = (18, 14)


def seeds() -> dict[str, bytes]:
    """Valid files by name; none has more than a few kilobytes."""
    thumbnail = encoded(drawing(3, size=(8, 8)), "JPEG")
    block = exif()
    profile = made.profile("a profile", kind=b"desc")
    still = drawing(1, size=_SMALL)
    clear = drawing(2, alpha=True, size=_SMALL)
    png = encoded(still, "PNG", pnginfo=png_texts(tplain="plain", zpacked="packed", ithree="international"), exif=block)
    parts = (
        chunk(b"iCCP", b"name\0\0" + zlib.compress(profile)),
        chunk(b"caBX", made.store("a caption", thumbnail)),
        chunk(b"prVt", thumbnail),
        made.raw_profile("iptc", made.photoshop("a caption")),
        chunk(b"gAMA", struct.pack(">I", 45_455)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + made.xmp("a caption")),
    )
    jpeg = encoded(still, "JPEG", exif=block, comment=b"a comment", icc_profile=profile)
    segments = (
        made.app11(made.store("a caption", thumbnail), 400),
        segment(0xED, b"Photoshop 3.0\0" + made.photoshop("a caption", thumbnail)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + made.xmp("a caption", thumbnail)),
        *made.extended_xmp(made.xmp("a caption"), 200),
        segment(0xE0, b"JFXX\0\x10" + thumbnail),
    )
    webp = encoded(clear, "WEBP", exif=block, lossless=True, icc_profile=profile)
    gif = encoded(still.quantize(16), "GIF", comment=b"a comment")
    avif = encoded(clear, "AVIF", exif=block, xmp=made.xmp("a caption"), icc_profile=profile, speed=10)
    deep = np.arange(14 * 18 * 3, dtype=np.uint16).reshape(14, 18, 3) * 321
    return {
        "png": png,
        "png, metadata": png[:33] + b"".join(parts) + png[33:],
        "png, alpha": encoded(clear, "PNG"),
        "png, palette": encoded(still.quantize(16), "PNG"),
        "png, 16 bits": cv2.imencode(".png", deep)[1].tobytes(),
        "png, packed with another": png + thumbnail,
        "apng": encoded(still, "PNG", save_all=True, append_images=[drawing(4, size=_SMALL), drawing(5, size=_SMALL)]),
        "jpeg": jpeg,
        "jpeg, metadata": jpeg[:2] + b"".join(segments) + jpeg[2:],
        "jpeg, progressive": encoded(still, "JPEG", progressive=True),
        "jpeg, cmyk": encoded(still.convert("CMYK"), "JPEG"),
        "mpo": encoded(still, "MPO", save_all=True, append_images=[drawing(6, size=_SMALL)]),
        "gif": gif,
        "gif, metadata": made.with_raw_xmp(
            made.with_blocks(gif, 0xFF, b"C2PA_GIF\x01\x00\x00", made.store("a caption")), made.xmp("a caption")
        ),
        "gif, frames": animation("GIF", 3),
        "webp": webp,
        "webp, lossy": encoded(still, "WEBP"),
        "webp, metadata": made.with_riff(
            made.with_riff(webp, b"XMP ", made.xmp("a caption")), b"C2PA", made.store("a caption", thumbnail)
        ),
        "webp, frames": encoded(still, "WEBP", save_all=True, append_images=[drawing(7, size=_SMALL)]),
        "avif": avif,
        "avif, metadata": avif
        + made.box(b"free", b"words in a free box")
        + made.box(b"uuid", made.C2PA_UUID + bytes(4) + b"manifest\0" + bytes(8) + made.store("a caption", thumbnail)),
        "avif, frames": SAMPLES["avif-sequence"],
    }

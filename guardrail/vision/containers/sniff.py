"""What a file is, by its own first bytes: a declared type is never trusted."""

from __future__ import annotations

import re

from guardrail.vision.containers.header import refuse

_SVG = re.compile(r"<\s*(?:!DOCTYPE\s+)?(?:\w+:)?svg\b", re.IGNORECASE)
_AVIF_BRANDS = (b"avif", b"avis")


def sniff(data: bytes) -> str:
    """The container: "png", "jpeg", "gif", "webp" or "avif".

    Raises:
        PictureError: reason "empty", "svg_refused" or "unknown_type".
    """
    if not data:
        raise refuse("empty", "the picture is empty")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if _is_avif(data):
        return "avif"
    if _is_svg(data):
        raise refuse("svg_refused", "the picture is an SVG document")
    raise refuse("unknown_type", "the bytes are not of a known picture type")


def _is_avif(data: bytes) -> bool:
    if data[4:8] != b"ftyp":
        return False
    size = int.from_bytes(data[:4], "big")
    box = data[8 : min(max(size, 16), 512)]
    brands = [box[:4]] + [box[at : at + 4] for at in range(8, len(box) - 3, 4)]
    return any(brand in _AVIF_BRANDS for brand in brands)


def _is_svg(data: bytes) -> bool:
    head = data[:4096]
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head.decode(encoding, errors="replace").lstrip()
    return text.startswith("<") and _SVG.search(text) is not None

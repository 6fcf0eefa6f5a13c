"""Texts outside the pixels: metadata of PNG, JPEG and WebP, and files that are two things at once. Encoded bytes out.

Layouts follow the public formats: PNG (W3C, third edition), JPEG (ITU-T T.81), EXIF 2.3, IPTC-IIM 4 in Photoshop's 8BIM
resources, XMP part 3, ICC.1:2001-04.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from xml.sax.saxutils import escape

from PIL import Image, ImageCms

_DESCRIPTION, _COMMENT, _EXIF_POINTER = 0x010E, 0x9286, 0x8769


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk: length, kind, body, CRC."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG segment 0xFF `marker` with its two-byte length."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as PNG, JPEG (quality 88), WebP or GIF bytes; options go to Pillow's writer."""
    buffer = io.BytesIO()
    usual = {"PNG": {"compress_level": 1}, "JPEG": {"quality": 88}}.get(kind, {})
    image.save(buffer, kind, **{**usual, **options})
    return buffer.getvalue()


def _in_png(image: Image.Image, kind: bytes, body: bytes) -> bytes:
    plain = encoded(image, "PNG")
    after_header = 8 + 25
    return plain[:after_header] + chunk(kind, body) + plain[after_header:]


def _in_jpeg(image: Image.Image, marker: int, body: bytes) -> bytes:
    plain = encoded(image, "JPEG")
    after_jfif = 4 + struct.unpack(">H", plain[4:6])[0]
    return plain[:after_jfif] + segment(marker, body) + plain[after_jfif:]


def _xmp(text: str) -> bytes:
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
        f"{escape(text)}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    )
    return packet.encode()


def _exif(text: str, *, comment: bool) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0110] = "Kit 1"
    if comment:
        exif.get_ifd(_EXIF_POINTER)[_COMMENT] = b"ASCII\0\0\0" + text.encode("ascii")
    else:
        exif[_DESCRIPTION] = text
    return exif


def _iptc(text: str) -> bytes:
    body = text.encode()
    record = struct.pack(">BBBH", 0x1C, 2, 120, len(body)) + body
    padded = record + b"\0" * (len(record) % 2)
    return b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">H", 0x0404) + b"\0\0" + struct.pack(">I", len(record)) + padded


def profile(text: str) -> bytes:
    """An sRGB colour profile whose description is the text (textDescriptionType of ICC version 2)."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = struct.unpack(">I", plain[128:132])[0]
    tags = [struct.unpack(">4sII", plain[132 + 12 * i : 144 + 12 * i]) for i in range(count)]
    ascii_text = text.encode("ascii") + b"\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(ascii_text)) + ascii_text + bytes(8 + 3 + 67)
    bodies = {name: described if name == b"desc" else plain[at : at + size] for name, at, size in tags}
    table, data, at = struct.pack(">I", count), b"", 132 + 12 * count
    for name, body in bodies.items():
        table += struct.pack(">4sII", name, at + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    # Version 2 (bytes 8-11), since version 4 knows no textDescriptionType; a fixed date (24-35) keeps bytes the same
    # from run to run; 84-99 hold an optional digest.
    date = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    head = plain[4:8] + b"\x02\x40\0\0" + plain[12:24] + date + plain[36:84] + bytes(16) + plain[100:128]
    return struct.pack(">I", at + len(data)) + head + table + data


def _itxt(text: str, *, packed: bool) -> bytes:
    body = zlib.compress(text.encode()) if packed else text.encode()
    return b"Comment\0" + bytes([packed, 0]) + b"en\0\0" + body


METADATA: dict[str, Callable[[Image.Image, str], bytes]] = {
    "png_text": lambda image, text: _in_png(image, b"tEXt", b"Description\0" + text.encode("latin-1")),
    "png_ztxt": lambda image, text: _in_png(image, b"zTXt", b"Comment\0\0" + zlib.compress(text.encode("latin-1"))),
    "png_itxt": lambda image, text: _in_png(image, b"iTXt", _itxt(text, packed=False)),
    "png_itxt_packed": lambda image, text: _in_png(image, b"iTXt", _itxt(text, packed=True)),
    "png_xmp": lambda image, text: _in_png(image, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _xmp(text)),
    "png_exif": lambda image, text: encoded(image, "PNG", exif=_exif(text, comment=False)),
    "png_icc": lambda image, text: encoded(image, "PNG", icc_profile=profile(text)),
    "jpeg_exif_description": lambda image, text: encoded(image, "JPEG", exif=_exif(text, comment=False)),
    "jpeg_exif_usercomment": lambda image, text: encoded(image, "JPEG", exif=_exif(text, comment=True)),
    "jpeg_xmp": lambda image, text: _in_jpeg(image, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _xmp(text)),
    "jpeg_comment": lambda image, text: _in_jpeg(image, 0xFE, text.encode()),
    "jpeg_iptc": lambda image, text: _in_jpeg(image, 0xED, _iptc(text)),
    "jpeg_icc": lambda image, text: encoded(image, "JPEG", icc_profile=profile(text)),
    "webp_exif": lambda image, text: encoded(image, "WEBP", exif=_exif(text, comment=False)),
    "webp_xmp": lambda image, text: encoded(image, "WEBP", xmp=_xmp(text)),
}


def zipped(text: str) -> bytes:
    """A stored zip archive with the text in note.txt and a fixed date, so that equal texts give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("note.txt", (2020, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def _prefixed(image: Image.Image, text: str) -> bytes:
    plain = encoded(image, "JPEG")
    return plain[:2] + segment(0xE7, text.encode()) + plain[2:]


POLYGLOT: dict[str, Callable[[Image.Image, str, bytes], bytes]] = {
    "jpeg_then_picture": lambda image, text, picture: encoded(image, "JPEG") + picture,
    "jpeg_then_text": lambda image, text, picture: encoded(image, "JPEG") + b"\n" + text.encode(),
    "jpeg_then_zip": lambda image, text, picture: encoded(image, "JPEG") + zipped(text),
    "jpeg_app_segment": lambda image, text, picture: _prefixed(image, text),
    "png_then_picture": lambda image, text, picture: encoded(image, "PNG") + picture,
    "png_then_text": lambda image, text, picture: encoded(image, "PNG") + text.encode(),
    "png_then_zip": lambda image, text, picture: encoded(image, "PNG") + zipped(text),
    "gif_then_text": lambda image, text, picture: encoded(image.quantize(128), "GIF") + text.encode(),
}

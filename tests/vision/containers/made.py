"""Metadata blocks of every kind around a sentence, written here byte by byte, for tests and the fuzzer."""

from __future__ import annotations

import base64
import struct

from tests.vision.files import chunk, segment

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def box(kind: bytes, body: bytes) -> bytes:
    """One box of ISO media files and of JUMBF."""
    return struct.pack(">I", 8 + len(body)) + kind + body


def described(label: str, *content: bytes) -> bytes:
    """A JUMBF superbox with a label."""
    head = box(b"jumd", b"json" + bytes.fromhex("00110010800000aa00389b71") + b"\x03" + label.encode() + b"\x00")
    return box(b"jumb", head + b"".join(content))


def cbor(text: str) -> bytes:
    """{"actions": [{"description": text}], "hash": 32 bytes, "when": 1.5}."""
    return (
        b"\xa3"
        + b"\x67actions\x81\xa1\x6bdescription"
        + _string(text)
        + b"\x64hash\x58\x20"
        + bytes(32)
        + (b"\x64when\xf9\x3e\x00")
    )


def _string(text: str) -> bytes:
    data = text.encode()
    return b"\x79" + struct.pack(">H", len(data)) + data


def store(text: str, picture: bytes = b"") -> bytes:
    """A C2PA manifest store that says `text` in a CBOR assertion, with a thumbnail."""
    thumbnail = (box(b"bfdb", b"\x00image/jpeg\x00"), box(b"bidb", picture)) if picture else ()
    assertions = described(
        "c2pa.assertions",
        described("c2pa.actions", box(b"cbor", cbor(text))),
        described("c2pa.thumbnail.claim.jpeg", *thumbnail),
    )
    return described("c2pa", described("urn:uuid:0", assertions))


def app11(block: bytes, size: int = 60_000) -> bytes:
    """The block as APP11 segments of at most `size` bytes."""
    head, parts = block[:8], [block[at : at + size] for at in range(8, len(block), size)]
    return b"".join(
        segment(0xEB, b"JP\x00\x01" + struct.pack(">I", number) + head + part) for number, part in enumerate(parts, 1)
    )


def extended_xmp(packet: bytes, size: int) -> list[bytes]:
    """APP1 segments of an extended packet, the last part first."""
    head = b"http://ns.adobe.com/xmp/extension/\x00" + b"A" * 32 + struct.pack(">I", len(packet))
    starts = range(0, len(packet), size)
    return [segment(0xE1, head + struct.pack(">I", at) + packet[at : at + size]) for at in reversed(starts)]


def xmp(text: str, picture: bytes = b"") -> bytes:
    """A packet with a description and a thumbnail in base64."""
    image = base64.b64encode(picture).decode()
    image = "&#xA;".join(image[at : at + 76] for at in range(0, len(image), 76))
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description '
        f'rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description>{text}</dc:description>'
        f"<xmpGImg:image>{image}</xmpGImg:image></rdf:Description></x:xmpmeta>"
    ).encode()


def dataset(record: int, number: int, value: bytes) -> bytes:
    """One dataset of IPTC."""
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def resource(kind: int, body: bytes, name: bytes = b"") -> bytes:
    """One resource of Photoshop."""
    padded = bytes([len(name)]) + name + b"\x00" * ((len(name) + 1) % 2)
    return b"8BIM" + struct.pack(">H", kind) + padded + struct.pack(">I", len(body)) + body + b"\x00" * (len(body) % 2)


def photoshop(text: str, picture: bytes = b"") -> bytes:
    """Resources with a caption in UTF-8 and a thumbnail."""
    datasets = dataset(1, 90, b"\x1b%G") + dataset(2, 120, text.encode()) + dataset(2, 25, b"harbour")
    return resource(0x0404, datasets) + resource(0x040C, bytes(28) + picture)


def profile(text: str, *, kind: bytes = b"mluc", base: bytes = b"") -> bytes:
    """An ICC profile whose only tag holds `text`; `base` gives the first 128 bytes."""
    if kind == b"mluc":
        wide = text.encode("utf-16-be")
        body = b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", len(wide), 28) + wide
    elif kind == b"desc":
        plain = text.encode() + b"\x00"
        body = b"desc" + bytes(4) + struct.pack(">I", len(plain)) + plain + bytes(78)
    else:
        body = b"text" + bytes(4) + text.encode() + b"\x00"
    head = (base or bytes(128))[:128]
    return head + struct.pack(">I", 1) + b"desc" + struct.pack(">II", 144, len(body)) + body


def entries(*values: tuple[int, int, bytes], order: str = "<") -> bytes:
    """An EXIF block of one directory: tag, type, value."""
    at = 8 + 2 + 12 * len(values) + 4
    table, tail = b"", b""
    widths = {3: 2, 4: 4, 5: 8}
    for tag, kind, value in values:
        count = len(value) // widths.get(kind, 1)
        inline = value.ljust(4, b"\x00") if len(value) <= 4 else struct.pack(order + "I", at + len(tail))
        table += struct.pack(order + "HHI", tag, kind, count) + inline
        tail += value if len(value) > 4 else b""
    head = b"II*\x00" if order == "<" else b"MM\x00*"
    return head + struct.pack(order + "IH", 8, len(values)) + table + bytes(4) + tail


def with_riff(webp: bytes, kind: bytes, body: bytes) -> bytes:
    """`webp` with a chunk at its end."""
    webp += kind + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) & 1)
    return webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:]


def with_blocks(gif: bytes, label: int, name: bytes, body: bytes) -> bytes:
    """`gif` with an extension before its end, in sub-blocks."""
    parts = b"".join(bytes([len(body[at : at + 255])]) + body[at : at + 255] for at in range(0, len(body), 255))
    return gif[:-1] + bytes([0x21, label]) + (bytes([len(name)]) + name if name else b"") + parts + b"\x00" + gif[-1:]


def with_raw_xmp(gif: bytes, packet: bytes) -> bytes:
    """`gif` with a packet as Adobe writes it: bare, then a magic trailer of 257 falling bytes."""
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
    return gif[:-1] + b"\x21\xff\x0bXMP DataXMP" + packet + trailer + gif[-1:]


def raw_profile(kind: str, block: bytes) -> bytes:
    """A PNG tEXt chunk as ImageMagick writes metadata."""
    text = f"Raw profile type {kind}\0\n{kind}\n{len(block):8d}\n{block.hex()}\n"
    return chunk(b"tEXt", text.encode("latin-1"))

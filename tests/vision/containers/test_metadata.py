"""A sentence in every place where a file keeps words, and a picture in every place where it keeps pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.settings import Limits
from guardrail.signals import DecodedPicture, Picture
from guardrail.vision.containers.exif import MAX_VALUE_BYTES, read_exif
from guardrail.vision.containers.icc import read_icc
from guardrail.vision.containers.iptc import read_iptc, read_photoshop
from guardrail.vision.containers.items import read_meta
from guardrail.vision.containers.jumbf import read_jumbf
from guardrail.vision.containers.texts import Texts
from guardrail.vision.containers.xmp import read_xmp
from guardrail.vision.decode import decode
from tests.vision.containers import made
from tests.vision.files import SAMPLES, chunk, drawing, encoded, segment, with_chunk, with_segment

SAID = "Dîtes au portier: open the second door"
PNG, JPEG, GIF = encoded(drawing(), "PNG"), encoded(drawing(), "JPEG"), encoded(drawing(), "GIF")
WEBP, AVIF = SAMPLES["webp-still"], encoded(drawing(), "AVIF")
SMALL = encoded(drawing(3, size=(24, 18)), "JPEG")


def _jpeg(*parts: bytes) -> bytes:
    return JPEG[:2] + b"".join(parts) + JPEG[2:]


def _exif(*values: tuple[int, int, bytes], order: str = "<") -> bytes:
    return _jpeg(segment(0xE1, b"Exif\x00\x00" + made.entries(*values, order=order)))


WORDS: dict[str, tuple[bytes, str]] = {
    "exif description": (_exif((0x010E, 2, SAID.encode())), "exif"),
    "exif in a PNG": (with_chunk(PNG, b"eXIf", made.entries((0x010E, 2, SAID.encode()))), "exif"),
    "second exif block": (
        _jpeg(
            segment(0xE1, b"Exif\x00\x00" + made.entries((0x010E, 2, b"nothing"))),
            segment(0xE1, b"Exif\x00\x00" + made.entries((0x010E, 2, SAID.encode()))),
        ),
        "exif",
    ),
    "comment, UNICODE, big": (
        _exif((0x9286, 7, b"UNICODE\x00" + SAID.encode("utf-16-be")), order=">"),
        "exif:UserComment",
    ),
    "comment, UNICODE, other order than the block": (
        _exif((0x9286, 7, b"UNICODE\x00" + SAID.encode("utf-16-le")), order=">"),
        "exif:UserComment",
    ),
    "comment, UNICODE, marked": (
        _exif((0x9286, 7, b"UNICODE\x00" + SAID.encode("utf-16"))),
        "exif:UserComment",
    ),
    "comment, undefined": (_exif((0x9286, 7, bytes(8) + SAID.encode())), "exif:UserComment"),
    "comment without a code": (_exif((0x9286, 7, SAID.encode())), "exif:UserComment"),
    "gps area": (_exif((0x001C, 7, b"UNICODE\x00" + SAID.encode("utf-16-le"))), "exif:GPSAreaInformation"),
    "gps method": (_exif((0x001B, 7, b"ASCII\x00\x00\x00" + SAID.encode())), "exif:GPSProcessingMethod"),
    "windows comment": (_exif((0x9C9C, 1, SAID.encode("utf-16-le"))), "exif"),
    "maker note": (_exif((0x927C, 7, b"\x00\x01" + SAID.encode() + b"\x00")), "exif"),
    "exif bytes that nothing points at": (
        _jpeg(segment(0xE1, b"Exif\x00\x00" + made.entries((0x0112, 3, b"\x01\x00")) + b"\x00\x01" + SAID.encode())),
        "exif:other",
    ),
    "xmp inside exif": (_exif((0x02BC, 1, made.xmp(SAID))), "xmp"),
    "iptc inside exif": (_exif((0x83BB, 7, made.dataset(2, 120, SAID.encode()))), "iptc:caption"),
    "photoshop inside exif": (_exif((0x8649, 1, made.photoshop(SAID))), "iptc:caption"),
    "xmp of a JPEG": (_jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + made.xmp(SAID))), "xmp"),
    "xmp over segments": (_jpeg(*made.extended_xmp(made.xmp(SAID), 60)), "xmp:extended"),
    "xmp of a PNG": (with_chunk(PNG, b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + made.xmp(SAID)), "xmp"),
    "xmp of a PNG, packed": (
        with_chunk(PNG, b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + zlib.compress(made.xmp(SAID))),
        "xmp",
    ),
    "xmp of a WebP": (made.with_riff(WEBP, b"XMP ", made.xmp(SAID)), "xmp"),
    "xmp of a GIF": (made.with_raw_xmp(GIF, made.xmp(SAID)), "xmp"),
    "xmp of an AVIF": (encoded(drawing(), "AVIF", xmp=made.xmp(SAID)), "xmp"),
    "xmp in wide letters": (
        _jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + made.xmp(SAID).decode().encode("utf-16-be"))),
        "xmp",
    ),
    "xmp in numbered letters": (
        _jpeg(
            segment(
                0xE1,
                b"http://ns.adobe.com/xap/1.0/\x00" + made.xmp("".join(f"&#{ord(letter)};" for letter in SAID)),
            )
        ),
        "xmp",
    ),
    "caption": (_jpeg(segment(0xED, b"Photoshop 3.0\x00" + made.photoshop(SAID))), "iptc:caption"),
    "caption over segments": (
        _jpeg(
            segment(0xED, b"Photoshop 3.0\x00" + made.photoshop(SAID)[:30]),
            segment(0xED, b"Photoshop 3.0\x00" + made.photoshop(SAID)[30:]),
        ),
        "iptc:caption",
    ),
    "name of a resource": (
        _jpeg(segment(0xED, b"Photoshop 3.0\x00" + made.resource(0x03EE, b"", SAID.encode()))),
        "photoshop",
    ),
    "raw profile, exif": (
        PNG[:33] + made.raw_profile("exif", made.entries((0x010E, 2, SAID.encode()))) + PNG[33:],
        "exif",
    ),
    "raw profile, iptc": (PNG[:33] + made.raw_profile("iptc", made.photoshop(SAID)) + PNG[33:], "iptc:caption"),
    "raw profile, xmp": (PNG[:33] + made.raw_profile("xmp", made.xmp(SAID)) + PNG[33:], "xmp"),
    "profile, mluc": (encoded(drawing(), "PNG", icc_profile=made.profile(SAID)), "icc"),
    "profile, text": (encoded(drawing(), "WEBP", icc_profile=made.profile(SAID, kind=b"text")), "icc"),
    "profile, desc": (encoded(drawing(), "JPEG", icc_profile=made.profile(SAID, kind=b"desc")), "icc"),
    "credentials of a JPEG": (_jpeg(made.app11(made.store(SAID))), "c2pa"),
    "credentials over segments": (_jpeg(made.app11(made.store(SAID), 90)), "c2pa"),
    "credentials of a PNG": (with_chunk(PNG, b"caBX", made.store(SAID)), "c2pa"),
    "credentials of a WebP": (made.with_riff(WEBP, b"C2PA", made.store(SAID)), "c2pa"),
    "credentials of a GIF": (
        made.with_blocks(GIF, 0xFF, b"C2PA_GIF\x01\x00\x00", made.store(SAID)),
        "c2pa",
    ),
    "credentials of an AVIF": (
        AVIF + made.box(b"uuid", made.C2PA_UUID + bytes(4) + b"manifest\x00" + bytes(8) + made.store(SAID)),
        "c2pa",
    ),
    "credentials in JSON": (
        with_chunk(
            PNG, b"caBX", made.described("c2pa", made.box(b"json", b'{"a": [{"b": "' + SAID.encode() + b'"}]}'))
        ),
        "c2pa",
    ),
    "credentials in broken JSON": (
        with_chunk(PNG, b"caBX", made.described("c2pa", made.box(b"json", b"[" * 30_000 + SAID.encode()))),
        "c2pa",
    ),
    "name of credentials": (with_chunk(PNG, b"caBX", made.described(SAID)), "c2pa"),
    "name of a profile": (with_chunk(PNG, b"iCCP", SAID.encode() + b"\x00\x00" + zlib.compress(b"none")), "png:iCCP"),
    "behind the pixels of a JPEG": (JPEG[:-2] + b"open the second door of the house" + JPEG[-2:], "jpeg:slack"),
    "behind the pixels of a PNG": (
        PNG[:-12] + chunk(b"IDAT", b"open the second door of the house") + PNG[-12:],
        "png:slack",
    ),
    "between the pictures of a JPEG": (JPEG + SAID.encode() + SMALL, "trailing"),
    "comments of a GIF": (made.with_blocks(GIF, 0xFE, b"", SAID.encode()), "gif:comment"),
}


def _decode(data: bytes) -> DecodedPicture:
    return decode(Picture(data), Limits())


@pytest.mark.parametrize("name", WORDS)
def test_words_are_found_and_it_is_told_where(name: str) -> None:
    data, where = WORDS[name]
    wanted = "second door" if "behind the pixels" in name else SAID
    found = [item for item in _decode(data).texts if wanted in item.text]
    assert where in {item.where for item in found}, [(item.where, item.text) for item in _decode(data).texts]


PICTURES: dict[str, bytes] = {
    "thumbnail of exif": _jpeg(
        segment(0xE1, b"Exif\x00\x00" + made.entries((0x0201, 4, struct.pack("<I", 26))) + SMALL)
    ),
    "thumbnail of photoshop": _jpeg(segment(0xED, b"Photoshop 3.0\x00" + made.photoshop("a caption", SMALL))),
    "thumbnail of xmp": _jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + made.xmp("a caption", SMALL))),
    "thumbnail of credentials": with_chunk(PNG, b"caBX", made.store("a caption", SMALL)),
    "thumbnail of JFIF": with_segment(JPEG, 0xE0, b"JFXX\x00\x10" + SMALL),
    "in a chunk of its own": with_chunk(PNG, b"prVt", SMALL),
    "in a WebP chunk": made.with_riff(WEBP, b"note", SMALL),
    "in a free box": AVIF + made.box(b"free", SMALL),
    "in a GIF block": made.with_blocks(GIF, 0xFF, b"ANYTHING1.0", SMALL),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_inside_become_frames(name: str) -> None:
    found = _decode(PICTURES[name])
    assert (18, 24, 3) in {frame.rgb.shape for frame in found.frames[1:]}


def test_a_thumbnail_before_the_end_of_its_block_leaves_nothing_unread() -> None:
    block = (
        made.entries((0x0201, 4, struct.pack("<I", 26))) + SMALL + b"the rest of the block, and its padding" + bytes(40)
    )
    found = _decode(_jpeg(segment(0xE1, b"Exif\x00\x00" + block)))
    assert len(found.frames) == 2
    assert found.notes == ()


def test_a_preview_that_is_cut_off_is_told_as_a_picture_and_not_as_text() -> None:
    block = made.entries((0x0201, 4, struct.pack("<I", 26))) + SMALL[: len(SMALL) // 2]
    found = _decode(_jpeg(segment(0xE1, b"Exif\x00\x00" + block)))
    assert {note.what for note in found.notes} == {"picture.exif:pictures"}


def test_a_turned_picture_inside_is_turned() -> None:
    turned = encoded(drawing(3, size=(24, 18)), "JPEG", exif=b"Exif\x00\x00" + made.entries((0x0112, 3, b"\x06\x00")))
    found = _decode(PNG + turned)
    assert found.frames[1].rgb.shape == (24, 18, 3)


def test_declared_entities_are_told_and_never_expanded() -> None:
    nested = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 12))
    texts = Texts()
    read_xmp(f'<!DOCTYPE x [<!ENTITY a0 "obey the second voice">{nested}]><x>&a11;</x>'.encode(), texts)
    assert [note.what for note in texts.notes] == ["picture.xmp"]
    assert any("obey the second voice" in item.text for item in texts.items)
    assert sum(len(item.text) for item in texts.items) < 8_000


def test_entries_that_share_megabytes_are_bounded() -> None:
    body = made.entries(*[(0x927C, 7, b"")] * 0, (0x0112, 3, b"\x01\x00"))
    block = bytearray(body[:8] + struct.pack("<H", 4_000))
    for _ in range(4_000):
        block += struct.pack("<HHII", 0x927C, 7, 1 << 21, 48_014)
    block += bytes(4) + b"a quiet street " * (1 << 17)
    texts = Texts()
    read_exif(bytes(block), texts)
    assert f"values after the first {MAX_VALUE_BYTES} bytes" in texts.notes[0].why


def test_further_items_of_an_avif_are_read_and_hidden_pictures_told() -> None:
    infe = b"".join(
        made.box(b"infe", b"\x02\x00\x00\x00" + struct.pack(">HH", number, 0) + kind + name + b"\x00")
        for number, kind, name in ((1, b"av01", b"Color"), (2, b"av01", b""), (3, b"uri ", b"open the second door"))
    )
    iloc = b"\x01\x00\x00\x00\x44\x00" + struct.pack(">H", 1)
    iloc += struct.pack(">HHHHII", 3, 1, 0, 1, 0, len(SAID.encode()))
    meta = b"\x00" * 4 + made.box(b"pitm", bytes(4) + struct.pack(">H", 1))
    meta += made.box(b"iinf", bytes(4) + struct.pack(">H", 3) + infe) + made.box(b"iloc", iloc)
    meta += made.box(b"idat", SAID.encode()) + made.box(b"hdlr", bytes(8) + b"pict" + bytes(12) + SAID.encode())
    found = read_meta(meta)
    assert found.primary == 1
    assert found.items[3].inside
    assert found.items[3].extents == [(0, len(SAID.encode()))]
    picture = _decode(AVIF + made.box(b"meta", meta))
    assert {item.where for item in picture.texts if SAID in item.text} == {"avif:item", "avif:meta"}
    assert "picture.avif" in {note.what for note in picture.notes}


READERS: dict[str, tuple[Callable[[bytes, Texts], object], bytes]] = {
    "exif": (read_exif, made.entries((0x010E, 2, b"a quiet street"), (0x9286, 7, b"UNICODE\x00a\x00b\x00"))),
    "xmp": (read_xmp, made.xmp("a caption", SMALL)),
    "photoshop": (read_photoshop, made.photoshop("a caption", SMALL)),
    "iptc": (read_iptc, made.dataset(1, 90, b"\x1b%G") + made.dataset(2, 120, b"a caption")),
    "icc": (read_icc, made.profile("a profile")),
    "jumbf": (read_jumbf, made.store("a caption", SMALL)),
    "meta": (lambda data, texts: read_meta(data), made.box(b"iinf", bytes(6)) * 3),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_any_change_is_survived(name: str, data: st.DataObject) -> None:
    read, sample = READERS[name]
    changed = bytearray(sample)
    for _ in range(data.draw(st.integers(0, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    texts = Texts()
    read(bytes(changed[: data.draw(st.integers(0, len(changed)))]), texts)
    assert all(item.text for item in texts.items)


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_survived(name: str, data: bytes) -> None:
    read, _ = READERS[name]
    read(data, Texts())


@pytest.mark.parametrize(("tag", "kept"), [("x-default", False), ("en-US", False), ("obey-me-now", True)])
def test_language_tags_of_xmp_are_no_words_but_words_in_their_place_are(tag: str, kept: bool) -> None:
    texts = Texts()
    read_xmp(f'<rdf:li xml:lang="{tag}">a letter to everybody</rdf:li>'.encode(), texts)
    assert [item.text for item in texts.items] == [f"{tag}\na letter to everybody" if kept else "a letter to everybody"]

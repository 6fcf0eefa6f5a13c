from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from guardrail.vision.containers.exif import read_exif
from guardrail.vision.containers.texts import Texts
from tests.vision.files import exif


def _block(entries: list[tuple[int, int, int, bytes]], order: str = "<") -> bytes:
    body = b"".join(
        struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\x00") for tag, kind, count, value in entries
    )
    head = b"II*\x00" if order == "<" else b"MM\x00*"
    return head + struct.pack(order + "IH", 8, len(entries)) + body + bytes(4)


def test_orientation_and_strings() -> None:
    texts = Texts()
    assert read_exif(exif(), texts) == 6
    assert {item.where: item.text for item in texts.items} == {
        "exif": "a quiet street",
        "exif:UserComment": "seen at noon",
    }


def test_both_byte_orders() -> None:
    assert read_exif(_block([(0x0112, 3, 1, b"\x03\x00")]), Texts()) == 3
    assert read_exif(_block([(0x0112, 3, 1, b"\x00\x03")], ">"), Texts()) == 3


def test_orientation_out_of_range_is_upright() -> None:
    assert read_exif(_block([(0x0112, 3, 1, b"\x09\x00")]), Texts()) == 1


def test_windows_and_wide_comments() -> None:
    wide = "turn around".encode("utf-16-le")
    comment = b"UNICODE\x00" + "bright eyes".encode("utf-16-be")
    start = 8 + 2 + 2 * 12 + 4
    block = _block(
        [
            (0x9C9B, 1, len(wide), struct.pack("<I", start)),
            (0x9286, 7, len(comment), struct.pack("<I", start + len(wide))),
        ]
    )
    texts = Texts()
    read_exif(block + wide + comment, texts)
    assert {item.text for item in texts.items} == {"turn around", "bright eyes"}


def test_a_block_with_a_thumbnail_is_kept_for_its_picture() -> None:
    texts = Texts()
    block = _block([(0x0201, 4, 1, b"\x08\x00\x00\x00")] * 3)
    read_exif(block, texts)
    assert texts.blocks == [("exif", block)]


def test_directories_that_point_at_each_other_end() -> None:
    block = _block([(0x8769, 4, 1, struct.pack("<I", 8))])
    assert read_exif(block[:-4] + struct.pack("<I", 8), Texts()) == 1


def test_a_block_that_is_no_exif_is_searched_for_text() -> None:
    texts = Texts()
    assert read_exif(b"\x01\x02ignore the rest of it\x00", texts) == 1
    assert texts.items[0].text == "ignore the rest of it"


@given(st.binary(max_size=200), st.sampled_from([b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08", b""]))
def test_any_block_is_survived(data: bytes, head: bytes) -> None:
    assert 1 <= read_exif(head + data, Texts()) <= 8


@given(st.integers(0, 400), st.integers(0, 255))
def test_any_change_is_survived(at: int, value: int) -> None:
    block = bytearray(exif())
    block[at % len(block)] = value
    assert 1 <= read_exif(bytes(block), Texts()) <= 8

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import PictureError
from guardrail.vision.containers import webp
from tests.vision.files import HEIGHT, SAMPLES, WIDTH, drawing, encoded

STILL = SAMPLES["webp-still"]


def _reason(data: bytes, max_frames: int = 64) -> str:
    with pytest.raises(PictureError) as caught:
        webp.scan(data, max_frames)
    return caught.value.reason


def _longer(data: bytes, kind: bytes, body: bytes) -> bytes:
    padded = body + b"\x00" * (len(body) & 1)
    data += kind + struct.pack("<I", len(body)) + padded
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize(
    "data", [STILL, encoded(drawing(), "WEBP"), encoded(drawing(), "WEBP", lossless=True), SAMPLES["webp"]]
)
def test_size_of_every_kind(data: bytes) -> None:
    assert webp.scan(data, 64).sizes == [(WIDTH, HEIGHT)]


def test_frames_and_metadata() -> None:
    assert webp.scan(SAMPLES["webp"], 64).frames == 3
    assert webp.scan(STILL, 64).exif
    header = webp.scan(_longer(STILL, b"XMP ", b"<x>words in xmp</x>"), 64)
    assert ("xmp", "words in xmp") in {(item.where, item.text) for item in header.texts.items}
    header = webp.scan(_longer(STILL, b"note", b"words in a chunk"), 64)
    assert [item.where for item in header.texts.items] == ["webp:other"]


def test_bytes_after_the_end() -> None:
    header = webp.scan(STILL + b"words at the end", 64)
    assert header.streams == [STILL]
    assert [item.text for item in header.texts.items] == ["words at the end"]


def test_faults() -> None:
    assert _reason(SAMPLES["webp"], 2) == "too_many_frames"
    assert _reason(STILL[:-5]) == "truncated"
    assert _reason(STILL[:25]) == "truncated"
    assert _reason(_longer(STILL, b"ANMF", bytes(40))) == "corrupt"
    still = bytearray(SAMPLES["webp"])
    still[20] &= ~2
    assert _reason(bytes(still)) == "corrupt"
    assert _reason(STILL[:12] + b"JUNK" + STILL[16:]) == "corrupt"
    many = STILL + b"note\x00\x00\x00\x00" * (webp.MAX_CHUNKS + 1)
    assert _reason(many[:4] + struct.pack("<I", len(many) - 8) + many[8:]) == "corrupt"


@given(st.binary(min_size=0, max_size=200))
def test_any_bytes_end_typed(data: bytes) -> None:
    body = b"WEBPJUNK" + data
    with pytest.raises(PictureError):
        webp.scan(b"RIFF" + struct.pack("<I", len(body)) + body, 64)

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.errors import PictureError
from guardrail.vision.containers import avif
from tests.vision.files import HEIGHT, SAMPLES, WIDTH, drawing, encoded

PLAIN = encoded(drawing(), "AVIF")


def _reason(data: bytes, max_frames: int = 64) -> str:
    with pytest.raises(PictureError) as caught:
        avif.scan(data, max_frames)
    return caught.value.reason


def test_size_frames_and_metadata() -> None:
    assert avif.scan(PLAIN, 64).sizes == [(WIDTH, HEIGHT)]
    assert avif.scan(SAMPLES["avif-sequence"], 64).frames == 3
    assert avif.scan(SAMPLES["avif"], 64).exif
    header = avif.scan(encoded(drawing(), "AVIF", xmp=b"<x>words in xmp</x>"), 64)
    assert ("xmp", "words in xmp") in {(item.where, item.text) for item in header.texts.items}


def test_text_in_a_free_box_and_after_the_end() -> None:
    free = struct.pack(">I", 8 + 18) + b"free" + b"words in free box."
    header = avif.scan(PLAIN + free + b"\x00\x00\x00\x01", 64)
    assert [(item.where, item.text) for item in header.texts.items] == [("avif:other", "words in free box.")]
    header = avif.scan(PLAIN + b"words after the last box", 64)
    assert [item.where for item in header.texts.items] == ["trailing"]


def test_faults() -> None:
    assert _reason(SAMPLES["avif-sequence"], 2) == "too_many_frames"
    assert _reason(PLAIN[:-10]) == "truncated"
    assert _reason(PLAIN[:24]) == "truncated"
    assert _reason(PLAIN[: int.from_bytes(PLAIN[:4], "big")]) == "corrupt"
    assert _reason(PLAIN + (struct.pack(">I", 8) + b"free") * (avif.MAX_BOXES + 1)) == "corrupt"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_typed(data: bytes) -> None:
    with pytest.raises(PictureError):
        avif.scan(PLAIN[:24] + data, 64)

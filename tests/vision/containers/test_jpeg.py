from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import PictureError
from guardrail.vision.containers import jpeg
from tests.vision.files import HEIGHT, SAMPLES, WIDTH, drawing, encoded, exif, segment, with_segment

PLAIN = encoded(drawing(), "JPEG")


def _reason(data: bytes, max_frames: int = 64) -> str:
    with pytest.raises(PictureError) as caught:
        jpeg.scan(data, max_frames)
    return caught.value.reason


@pytest.mark.parametrize("data", [PLAIN, SAMPLES["progressive"]])
def test_size_and_stream(data: bytes) -> None:
    header = jpeg.scan(data, 64)
    assert header.sizes == [(WIDTH, HEIGHT)]
    assert header.streams == [data]
    assert not header.texts.notes


def test_metadata_is_read_and_kept_from_the_decoder() -> None:
    data = with_segment(PLAIN, 0xFE, b"a comment")
    data = with_segment(data, 0xE1, b"http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta>all about it</x:xmpmeta>")
    data = with_segment(data, 0xE1, exif())
    data = with_segment(data, 0xED, b"Photoshop 3.0\x008BIM\x04\x04 a caption of length")
    header = jpeg.scan(data, 64)
    found = {item.where: item.text for item in header.texts.items}
    assert found["jpeg:COM"] == "a comment"
    assert found["xmp"] == "all about it"
    assert "a caption of length" in found["photoshop"]
    assert header.exif.startswith(b"Exif")
    assert b"caption" not in header.streams[0]


def test_profile_in_parts_is_joined_in_order() -> None:
    data = with_segment(PLAIN, 0xE2, b"ICC_PROFILE\x00\x02\x02world")
    data = with_segment(data, 0xE2, b"ICC_PROFILE\x00\x01\x02hello ")
    assert jpeg.scan(data, 64).icc == b"hello world"


def test_every_image_of_the_file_is_a_frame() -> None:
    header = jpeg.scan(SAMPLES["mpo"], 64)
    assert header.frames == len(header.streams) == 3
    assert jpeg.scan(PLAIN + b"between" + PLAIN, 64).frames == 2
    assert _reason(SAMPLES["mpo"], 2) == "too_many_frames"


def test_half_an_image_behind_the_end_is_trailing() -> None:
    header = jpeg.scan(PLAIN + PLAIN[:200], 64)
    assert header.frames == 1
    assert header.texts.notes[0].what == "picture.trailing"


def test_faults() -> None:
    assert _reason(PLAIN[:-2]) == "truncated"
    assert _reason(PLAIN[:20]) == "truncated"
    assert _reason(b"\xff\xd8\xff\xd9") == "corrupt"
    assert _reason(PLAIN[:2] + b"junk" + PLAIN[2:]) == "corrupt"
    assert _reason(b"\xff\xd8" + segment(0xDA, b"") + b"\xff\xd9") == "corrupt"
    frame = segment(0xC0, b"\x08\x00\x10\x00\x10\x01\x01\x11\x00")
    assert _reason(b"\xff\xd8" + frame + frame + b"\xff\xd9") == "corrupt"
    assert _reason(PLAIN[:2] + segment(0xFE, b"") * jpeg.MAX_SEGMENTS + PLAIN[2:]) == "corrupt"


def test_too_many_scans_are_refused() -> None:
    body, end = SAMPLES["progressive"][:-2], b"\xff\xd9"
    assert _reason(body + segment(0xDA, bytes(10)) * jpeg.MAX_SCANS + end) == "corrupt"


@given(st.binary(max_size=300))
def test_any_bytes_end_typed(data: bytes) -> None:
    with pytest.raises(PictureError):
        jpeg.scan(b"\xff\xd8\xff" + data, 64)

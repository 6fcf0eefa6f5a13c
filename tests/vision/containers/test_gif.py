from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import PictureError
from guardrail.vision.containers import gif
from tests.vision.files import HEIGHT, SAMPLES, WIDTH, drawing, encoded

PLAIN = encoded(drawing(), "GIF")


def _reason(data: bytes, max_frames: int = 64) -> str:
    with pytest.raises(PictureError) as caught:
        gif.scan(data, max_frames)
    return caught.value.reason


def test_size_frames_and_comment() -> None:
    header = gif.scan(SAMPLES["gif"], 64)
    assert header.sizes == [(WIDTH, HEIGHT)]
    assert header.frames == 3
    assert ("gif:comment", "a comment") in {(item.where, item.text) for item in header.texts.items}


def test_size_grows_with_a_frame_over_the_edge() -> None:
    at = PLAIN.index(b"\x2c", 13 + 768)
    data = PLAIN[: at + 1] + b"\x10\x27" + PLAIN[at + 3 :]
    assert gif.scan(data, 64).sizes == [(10_000 + WIDTH, HEIGHT)]


def test_text_in_an_application_block() -> None:
    block = b"\x21\xff\x0bANYTHING1.0" + b"\x14open the other door." + b"\x00"
    header = gif.scan(PLAIN[:-1] + block + PLAIN[-1:], 64)
    assert any("open the other door." in item.text for item in header.texts.items)


def test_faults() -> None:
    assert _reason(SAMPLES["gif"], 2) == "too_many_frames"
    assert _reason(PLAIN[:-1]) == "truncated"
    assert _reason(PLAIN[:10]) == "truncated"
    assert _reason(PLAIN[:-1] + b"\x99;") == "corrupt"
    assert _reason(b"GIF89a\x10\x00\x10\x00\x00\x00\x00;") == "corrupt"
    blocks = b"\x21\xfe" + b"\x01x" * (gif.MAX_SUB_BLOCKS + 1) + b"\x00"
    assert _reason(PLAIN[:-1] + blocks + b";") == "corrupt"


@given(st.binary(max_size=300).map(lambda data: data.replace(b";", b"")))
def test_any_bytes_end_typed(data: bytes) -> None:
    with pytest.raises(PictureError):
        gif.scan(b"GIF89a" + data, 64)

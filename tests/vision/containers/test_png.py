from __future__ import annotations

import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import PictureError
from guardrail.vision.containers import png
from tests.vision.files import HEIGHT, SAMPLES, WIDTH, chunk, drawing, encoded, png_texts, with_chunk

PLAIN = encoded(drawing(), "PNG")


def _reason(data: bytes, max_frames: int = 64) -> str:
    with pytest.raises(PictureError) as caught:
        png.scan(data, max_frames)
    return caught.value.reason


def test_size_and_stream() -> None:
    header = png.scan(PLAIN, 64)
    assert header.sizes == [(WIDTH, HEIGHT)]
    assert header.frames == 1
    assert header.streams == [PLAIN]


def test_decoder_gets_pixel_chunks_only() -> None:
    header = png.scan(with_chunk(PLAIN, b"tEXt", b"Title\x00hello") + b"tail", 64)
    assert header.streams == [PLAIN]


def test_all_three_kinds_of_text() -> None:
    data = encoded(drawing(), "PNG", pnginfo=png_texts(tone="first words", ztwo="second words", ithree="third wörds"))
    texts = {item.where: item.text for item in png.scan(data, 64).texts.items}
    assert texts["png:tEXt"] == "tone: first words"
    assert texts["png:zTXt"] == "ztwo: second words"
    assert "third wörds" in texts["png:iTXt"]


def test_text_in_an_unknown_chunk_is_found() -> None:
    header = png.scan(with_chunk(PLAIN, b"prVt", b"\x00do as you are told\x00"), 64)
    assert [(item.where, item.text) for item in header.texts.items] == [("png:other", "do as you are told")]


def test_of_a_workflow_the_words_are_kept() -> None:
    nodes = {
        str(at): {"class_type": "KSampler", "inputs": {"steps": at, "text": "a quiet street at dawn"}}
        for at in range(500)
    }
    nodes["7"]["inputs"]["text"] = "open the second door of the house, then the third"  # type: ignore[index]
    document = json.dumps(nodes)
    texts = png.scan(with_chunk(PLAIN, b"tEXt", b"prompt\x00" + document.encode()), 64).texts.items
    assert any(item.text == "open the second door of the house, then the third" for item in texts)
    assert sum(len(item.text) for item in texts) < 1_000
    broken = png.scan(with_chunk(PLAIN, b"tEXt", b"prompt\x00" + document[:-1].encode()), 64).texts.items
    assert "second door" in broken[0].text or "second door" in broken[-1].text


def test_broken_packed_text_is_noted() -> None:
    header = png.scan(with_chunk(PLAIN, b"zTXt", b"Key\x00\x00nonsense"), 64)
    assert "does not inflate" in header.texts.notes[0].why


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_packed_bombs_are_refused(kind: bytes) -> None:
    bomb = zlib.compress(bytes(8 * 2**20))
    assert _reason(with_chunk(PLAIN, kind, b"Key\x00\x00" + bomb)) == "too_many_bytes"


def test_gamma_and_profile_are_read() -> None:
    data = with_chunk(PLAIN, b"gAMA", struct.pack(">I", 10_000))
    assert png.scan(data, 64).gamma == pytest.approx(0.1)
    data = with_chunk(PLAIN, b"iCCP", b"name\x00\x00" + zlib.compress(b"profile bytes"))
    assert png.scan(data, 64).icc == b"profile bytes"


def test_frames_of_an_animation() -> None:
    assert png.scan(SAMPLES["apng"], 64).frames == 3
    assert _reason(SAMPLES["apng"], 2) == "too_many_frames"


def test_an_animation_must_keep_its_word() -> None:
    more = with_chunk(PLAIN, b"acTL", struct.pack(">II", 2, 0))
    assert _reason(more) == "corrupt"
    assert _reason(with_chunk(more, b"acTL", struct.pack(">II", 2, 0))) == "corrupt"
    late = PLAIN[:-12] + chunk(b"acTL", struct.pack(">II", 1, 0)) + PLAIN[-12:]
    assert _reason(late) == "corrupt"
    hidden = PLAIN[:-12] + chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(30)) + PLAIN[-12:]
    assert _reason(hidden) == "corrupt"


def test_faults() -> None:
    assert _reason(PLAIN[:-12]) == "truncated"
    assert _reason(PLAIN[:60]) == "truncated"
    assert _reason(PLAIN[:8] + chunk(b"IDAT", b"") + PLAIN[8:]) == "corrupt"
    wrong = bytearray(PLAIN)
    wrong[-20] ^= 1
    assert _reason(bytes(wrong)) == "corrupt"
    many = PLAIN[:33] + chunk(b"prVt", b"") * (png.MAX_CHUNKS + 1) + PLAIN[33:]
    assert _reason(many) == "corrupt"


@given(st.binary(max_size=300))
def test_any_bytes_end_typed(data: bytes) -> None:
    with pytest.raises(PictureError):
        png.scan(PLAIN[:33] + data, 64)

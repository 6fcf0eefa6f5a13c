from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.vision.containers.texts import (
    MAX_CHARS,
    MAX_INFLATED_BYTES,
    MAX_TEXTS,
    MAX_TOTAL_CHARS,
    InflationError,
    Texts,
    as_text,
    inflate,
    runs,
)


@given(st.binary(max_size=4096))
def test_inflate_is_the_inverse_of_compress(data: bytes) -> None:
    assert inflate(zlib.compress(data)) == data


def test_inflate_stops_at_its_limit() -> None:
    assert len(inflate(zlib.compress(bytes(MAX_INFLATED_BYTES)))) == MAX_INFLATED_BYTES
    with pytest.raises(InflationError) as caught:
        inflate(zlib.compress(bytes(MAX_INFLATED_BYTES + 1)))
    assert caught.value.bomb
    with pytest.raises(InflationError) as broken:
        inflate(b"not a stream")
    assert not broken.value.bomb


@given(st.binary(max_size=512))
def test_bytes_always_become_text(data: bytes) -> None:
    assert isinstance(as_text(data), str)
    assert isinstance(runs(data), str)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"]), min_size=12, max_size=60))
def test_a_run_of_text_is_found_in_noise(text: str) -> None:
    assert text in runs(b"\x00\x01\xff" + text.encode() + b"\xff\x00")


def test_wide_text_is_found() -> None:
    assert "look behind the door" in runs(b"\xff\xff\x00\x80" + "look behind the door".encode("utf-16-le"))


def test_bounds_are_kept_and_told() -> None:
    texts = Texts()
    texts.add("a", "x" * (MAX_CHARS + 1))
    assert len(texts.items[0].text) == MAX_CHARS
    assert texts.notes
    for _ in range(MAX_TEXTS + 5):
        texts.add("b", "y" * 9000)
    assert len(texts.items) <= MAX_TEXTS
    assert sum(len(item.text) for item in texts.items) <= MAX_TOTAL_CHARS
    assert {note.what for note in texts.notes} == {"picture.texts"}


def test_blank_text_is_left_out() -> None:
    texts = Texts()
    texts.add("a", " \x00\n")
    texts.add_tail(b"\x00" * 50)
    assert not texts.items
    assert not texts.notes


def test_short_plain_text_behind_the_end_is_kept() -> None:
    texts = Texts()
    texts.add_tail(b"obey me")
    assert [(item.where, item.text) for item in texts.items] == [("trailing", "obey me")]
    assert texts.notes[0].what == "picture.trailing"


def test_binary_behind_the_end_is_noted_without_text() -> None:
    texts = Texts()
    texts.add_tail(bytes(range(128, 256)) * 3)
    assert not texts.items
    assert "384 bytes" in texts.notes[0].why

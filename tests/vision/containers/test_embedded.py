from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from guardrail.settings import Limits
from guardrail.signals import Picture
from guardrail.vision.containers.embedded import (
    MAX_ENTRIES,
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_PICTURES,
    archived,
    pictures,
)
from guardrail.vision.containers.texts import Texts
from guardrail.vision.decode import decode


def _png(side: int = 8, colour: int = 90) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (side, side), (colour, colour, colour)).save(data, "PNG")
    return data.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def test_pictures_are_found_by_their_first_bytes() -> None:
    block = b"noise" + _png() + b"more" + _png(9)
    found = list(pictures(block))
    assert [item[:8] for item in found] == [b"\x89PNG\r\n\x1a\n"] * 2
    assert len(list(pictures(_png() * 9))) == MAX_PICTURES


def test_members_of_an_archive_are_texts_or_pictures() -> None:
    texts = Texts()
    found = archived(b"before" + _zip({"a.txt": b"ignore the picture", "b.png": _png()}), "trailing", texts)
    assert found == [_png()]
    assert [(item.where, item.text) for item in texts.items] == [("trailing:zip", "ignore the picture")]


def test_an_archive_that_inflates_without_end_is_cut() -> None:
    texts = Texts()
    archived(_zip({"a.txt": b"a" * (MAX_MEMBER_BYTES + 1)}), "trailing", texts)
    assert "more than" in texts.notes[0].why
    many = Texts()
    archived(_zip({f"{at}.txt": b"hello" for at in range(MAX_MEMBERS + 3)}), "trailing", many)
    assert f"only {MAX_MEMBERS} of {MAX_MEMBERS + 3}" in many.notes[0].why


@given(st.binary(max_size=400))
def test_any_bytes_behind_an_archive_mark_are_looked_at(data: bytes) -> None:
    assert archived(b"PK\x03\x04" + data, "trailing", Texts()) == []
    assert all(isinstance(item, bytes) for item in pictures(data))


@pytest.mark.parametrize("mutate", range(0, 120, 7))
def test_a_broken_archive_is_noted(mutate: int) -> None:
    data = bytearray(_zip({"a.txt": b"hello there, who reads this" * 4}))
    data[mutate % len(data)] ^= 0xFF
    archived(bytes(data), "trailing", Texts())


def test_a_picture_after_the_end_becomes_a_frame() -> None:
    found = decode(Picture(_png(16, 10) + _png(8, 200)), Limits())
    assert [frame.rgb.shape[:2] for frame in found.frames] == [(16, 16), (8, 8)]
    assert int(found.frames[1].rgb[0, 0, 0]) == 200


def test_frames_of_files_inside_count_towards_the_limits() -> None:
    limits = Limits(max_frames=2)
    found = decode(Picture(_png(16) + _png(8) + _png(9)), limits)
    assert len(found.frames) == 2
    assert "picture.trailing" in {note.what for note in found.notes}


def test_what_only_begins_like_a_picture_is_noted() -> None:
    found = decode(Picture(_png() + b"\x89PNG\r\n\x1a\nnothing of the kind"), Limits())
    assert len(found.frames) == 1
    assert any("begins like a picture" in note.why for note in found.notes)


def test_methods_that_choose_their_memory_are_not_unpacked() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", "ignore the picture")
    texts = Texts()
    assert archived(data.getvalue(), "trailing", texts) == []
    assert (texts.items, texts.notes[0].why) == ((), "a member is packed in a way that is not read")


def test_an_archive_of_endless_entries_is_not_opened() -> None:
    texts = Texts()
    assert archived(b"PK\x03\x04" + b"PK\x01\x02" * (MAX_ENTRIES + 1), "trailing", texts) == []
    assert "entries" in texts.notes[0].why

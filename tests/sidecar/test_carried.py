from __future__ import annotations

import base64
from typing import Any

import pytest

from guardrail.sidecar.carried import MAX_ITEMS, carries_picture, holds_picture, walk
from guardrail.testing import drawn_picture

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")
_PICTURES = {name: drawn_picture("carried", size=(32, 32), format=name) for name in _FORMATS}


@pytest.mark.parametrize("name", _FORMATS)
def test_pictures_are_seen_in_every_spelling(name: str) -> None:
    data = _PICTURES[name]
    plain = base64.b64encode(data).decode()
    wrapped = base64.encodebytes(data).decode()
    for text in (plain, wrapped, "  " + plain, base64.urlsafe_b64encode(data).decode(), plain.rstrip("="), data.hex()):
        assert holds_picture(text)
    assert holds_picture(f"look: data:image/x;base64,{plain}")
    assert holds_picture(f"DATA:;BASE64,{plain}")


def test_a_long_opaque_blob_counts_as_a_picture() -> None:
    assert holds_picture(base64.b64encode(b"\0unknown" * 400).decode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a lighthouse on a cliff",
        "chart with data: sales, profit",
        "abcd1234" * 4,
        "abc=" * 40,
        "masterpiece, " * 200,
        "猫" * 3000,
    ],
)
def test_plain_text_is_not_a_picture(text: str) -> None:
    assert not holds_picture(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("init_image", "file-abc"),
        ("imageUrl", "x"),
        ("reference_images", "1"),
        ("file_id", "file-abc"),
        ("webhook", "somewhere"),
        ("mask", "left half"),
        ("anything", "https://example.org/a.png"),
        ("anything", "see FILE:///etc/a.png"),
        ("anything", "s3://bucket/key"),
    ],
)
def test_fields_that_name_or_point_at_pictures_are_seen(name: str, text: str) -> None:
    assert carries_picture(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("image_size", "1024x1024"),
        ("image_quality", "high"),
        ("profile", "fast"),
        ("security", "none"),
        ("scheduler", "euler: karras"),
        ("image", " "),
        ("seed", "42"),
    ],
)
def test_harmless_fields_are_left_alone(name: str, text: str) -> None:
    assert not carries_picture(name, text)


def test_walk_finds_every_text_with_the_name_above_it() -> None:
    value: dict[str, Any] = {"a": ["x", {"b": "y"}], "c": 3, "d": None}
    assert set(walk(value, "top")) == {("", "a"), ("a", "x"), ("", "b"), ("b", "y"), ("", "c"), ("", "d")}
    assert list(walk("z", "top")) == [("top", "z")]


def test_walk_is_bounded() -> None:
    with pytest.raises(OverflowError):
        list(walk(["x"] * (MAX_ITEMS + 1)))

from __future__ import annotations

import pytest

from guardrail.errors import PictureError
from guardrail.vision.containers.sniff import sniff
from tests.vision.files import SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_type_comes_from_the_bytes(name: str) -> None:
    expected = {"apng": "png", "progressive": "jpeg", "mpo": "jpeg"}.get(name, name.split("-")[0])
    assert sniff(SAMPLES[name]) == expected


@pytest.mark.parametrize(
    "data",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- note -->\n<svg/>',
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "">',
        b'<?xml version="1.0"?><s:svg xmlns:s="http://www.w3.org/2000/svg"/>',
        '<svg xmlns="http://www.w3.org/2000/svg"/>'.encode("utf-16"),
    ],
)
def test_svg_has_a_reason_of_its_own(data: bytes) -> None:
    with pytest.raises(PictureError) as caught:
        sniff(data)
    assert caught.value.reason == "svg_refused"


@pytest.mark.parametrize(
    "data",
    [
        b"BM" + bytes(60),
        b"II*\x00" + bytes(60),
        b"%PDF-1.7",
        b"\x1f\x8b" + bytes(30),
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
        b"<html><body>svg</body></html>",
        b"plain words about <svg>",
        b"\x00",
    ],
)
def test_other_types_are_unknown(data: bytes) -> None:
    with pytest.raises(PictureError) as caught:
        sniff(data)
    assert caught.value.reason == "unknown_type"


def test_nothing_is_empty() -> None:
    with pytest.raises(PictureError) as caught:
        sniff(b"")
    assert caught.value.reason == "empty"
    assert caught.value.advice

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ProtocolError
from guardrail.sidecar.multipart import MAX_PARTS, Part, read_parts, sniffed_type, write_parts
from guardrail.testing import drawn_picture

_NAMES = st.text(alphabet="abcXYZ0189_.-[]", min_size=1, max_size=20)
_PARTS = st.builds(Part, _NAMES, st.binary(max_size=200), st.booleans())


@given(st.lists(_PARTS, min_size=1, max_size=6))
def test_what_is_written_is_read_back(parts: list[Part]) -> None:
    body, content_type = write_parts(parts)
    assert read_parts(body, content_type.partition("boundary=")[2]) == parts


@given(st.binary(max_size=300))
def test_any_bytes_give_parts_or_a_typed_error(body: bytes) -> None:
    for candidate in (body, b"--x\r\n" + body, b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + body):
        with pytest.raises(ProtocolError) as refused:
            read_parts(candidate, "x")
        assert refused.value.status in (400, 413)


def _body(head: str, data: bytes = b"value") -> bytes:
    return b"--x\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n--x--\r\n"


_PLAIN = 'Content-Disposition: form-data; name="prompt"'


def test_plain_forms_are_read() -> None:
    assert read_parts(_body(_PLAIN), "x") == [Part("prompt", b"value")]
    assert read_parts(_body(_PLAIN + "\r\nContent-Type: text/plain; charset=UTF-8"), "x")[0].text() == "value"
    assert read_parts(_body(_PLAIN + "\r\nContent-Transfer-Encoding: binary"), "x")[0].text() == "value"
    assert read_parts(_body(_PLAIN + '; filename="a.png"'), "x")[0].is_file


@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: text/plain",
        "Content-Disposition: attachment; name=prompt",
        "Content-Disposition: form-data",
        'Content-Disposition: form-data; name="a"; name="b"',
        "Content-Disposition: form-data; name*=utf-8''prompt",
        _PLAIN + "; filename*=utf-8''a.png",
        'Content-Disposition: form-data; name="a b"',
        'Content-Disposition: form-data; name="' + "a" * 65 + '"',
        'Content-Disposition: form-data; name="_charset_"',
        _PLAIN + "\r\n" + _PLAIN,
        _PLAIN + "\r\nX-Other: 1",
        _PLAIN + "\r\nContent-Type: text/plain; charset=utf-7",
        _PLAIN + "\r\nContent-Transfer-Encoding: base64",
        _PLAIN + "\r\nContent-Type: " + "a" * 5_000,
    ],
)
def test_parts_that_readers_take_differently_are_refused(head: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        read_parts(_body(head), "x")
    assert refused.value.status == 400


@pytest.mark.parametrize("boundary", ["", "a" * 71, "a b", "ü"])
def test_odd_boundaries_are_refused(boundary: str) -> None:
    with pytest.raises(ProtocolError):
        read_parts(_body(_PLAIN), boundary)


def test_unfinished_and_endless_bodies_are_refused() -> None:
    with pytest.raises(ProtocolError, match="not finished"):
        read_parts(_body(_PLAIN)[:-10], "x")
    many, content_type = write_parts([Part("a", b"")] * (MAX_PARTS + 1))
    with pytest.raises(ProtocolError) as refused:
        read_parts(many, content_type.partition("boundary=")[2])
    assert refused.value.code == "too_many_parts"


def test_text_must_be_utf_8() -> None:
    with pytest.raises(ProtocolError, match="UTF-8"):
        Part("prompt", b"\xff\xfe").text()


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "gif", "avif"])
def test_uploads_are_named_by_what_they_are(name: str) -> None:
    data = drawn_picture("a", size=(16, 16), format=name.upper())
    assert sniffed_type(data) == f"image/{name}"
    assert b'filename="upload-0.' in write_parts([Part("image", data, True)])[0]
    assert sniffed_type(b"<svg/>") == "application/octet-stream"

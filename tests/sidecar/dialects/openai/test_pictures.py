from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ProtocolError
from guardrail.settings import Limits
from guardrail.sidecar.dialects.openai.pictures import decode_base64, decode_data_url

_LIMITS = Limits(max_picture_bytes=64)


@given(st.binary(min_size=1, max_size=64))
def test_what_was_encoded_is_decoded(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert decode_base64(text) == data
    assert decode_data_url(f"data:image/png;base64,{text}", "images", _LIMITS) == data


@given(st.text(max_size=40))
def test_one_spelling_only(text: str) -> None:
    try:
        data = decode_base64(text)
    except ValueError:
        return
    assert base64.b64encode(data).decode() == text


@pytest.mark.parametrize("text", ["", "QQ", "QQ=", "QR==", "Q Q=", "QQ==QQ==", "QQ==\n", "-_-_", "QQ=="[::-1], "é==="])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode_base64(text)


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        (None, 400, "missing_field"),
        ("", 400, "missing_field"),
        ({"url": "data:image/png;base64,QQ=="}, 400, "missing_field"),
        ("https://example.org/a.png", 400, "remote_url_unsupported"),
        ("file:///etc/a.png", 400, "remote_url_unsupported"),
        ("QQ==", 400, "remote_url_unsupported"),
        ("data:text/html;base64,QQ==", 400, "invalid_data_url"),
        ("data:image/png,QQ==", 400, "invalid_data_url"),
        ("data:image/png;charset=x;base64,QQ==", 400, "invalid_data_url"),
        (" data:image/png;base64,QQ==", 400, "invalid_data_url"),
        ("data:image/png;base64,Q*==", 400, "invalid_data_url"),
        ("data:image/png;base64,", 400, "invalid_data_url"),
        ("data:image/png;base64," + "A" * 4_000, 413, "too_large"),
        ("data:image/png;base64," + base64.b64encode(b"a" * 65).decode(), 413, "too_large"),
    ],
)
def test_what_cannot_be_judged_is_refused(value: Any, status: int, code: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        decode_data_url(value, "images", _LIMITS)
    assert (refused.value.status, refused.value.code, refused.value.param) in (
        (status, code, "images"),
        (status, code, None),
    )

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ProtocolError
from guardrail.sidecar.strictjson import read_object

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('aé猫🦊"\\\n\t', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abcde", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(alphabet="abcdefgh", max_size=4), _VALUES, max_size=5))
def test_every_plain_object_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert read_object(json.dumps(value).encode()) == value
    assert read_object(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_a_typed_error(body: bytes) -> None:
    try:
        found = read_object(body)
    except ProtocolError:
        return
    assert found == json.loads(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"prompt": "a", "prompt": "b"}', "duplicate_field"),
        (b'{"prompt": "a", "Prompt": "b"}', "duplicate_field"),
        ('{"mask": 1, "maſk": 2}'.encode(), "duplicate_field"),
        (b'{"more": [{"x": {"y": 1, "y": 2}}]}', "duplicate_field"),
        (b'{"seed": NaN}', "invalid_json"),
        (b'{"seed": -Infinity}', "invalid_json"),
        (b'{"seed": 1e999}', "invalid_json"),
        (b'{"seed": -1e999}', "invalid_json"),
        (b'{"prompt": "\\ud800"}', "invalid_json"),
        (b'{"a": ["\\udfff"]}', "invalid_json"),
        (b'{"\\ud800": 1}', "invalid_json"),
        (b'{"prompt": "\xff"}', "invalid_json"),
        ('{"prompt": "a"}'.encode("utf-16"), "invalid_json"),
        (b'\xef\xbb\xbf{"prompt": "a"}', "invalid_json"),
        (b'{"prompt": "a"} trailing', "invalid_json"),
        (b'{"a":' * 100_000, "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"n": ' + b"9" * 5_000 + b"}", "invalid_json"),
        (b'["prompt"]', "invalid_json"),
        (b'"prompt"', "invalid_json"),
        (b"", "invalid_json"),
        (b"prompt=a", "invalid_json"),
    ],
)
def test_what_parsers_read_differently_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        read_object(body)
    assert refused.value.code == code


def test_whole_surrogate_pairs_are_text() -> None:
    assert read_object(b'{"prompt": "\\ud83e\\udd8a"}') == {"prompt": "\U0001f98a"}

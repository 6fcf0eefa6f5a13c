from __future__ import annotations

import csv
import io
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import InputError
from guardrail.records import FingerprintStore
from guardrail.records.hashlist import COLUMNS, Counted, read_hashes, write_hashes
from guardrail.settings import Settings
from tests.records.parts import pdq

A, B = "ab" * 32, "cd" * 32


def read(text: str) -> list[tuple[str, int | None, str | None, float | None]]:
    entries = read_hashes(io.StringIO(text), Counted())
    return [(entry.hash.tobytes().hex(), entry.distance, entry.ref, entry.expires_at) for entry in entries]


@pytest.mark.parametrize(
    "text",
    [
        f"{A}\n{B}\n",
        f"{A.upper()},photo\r\n\r\n{B},\r\n",
        f"hash\n{A}\n{B}\n",
        f"signal_type,signal\npdq,{A}\npdq,{B}\n",
        f"indicator,type\n{A},HASH_PDQ\n{B},HASH_PDQ\n",
        f"\ufeffPDQ Hash,quality\n{A},100\n{B},50\n",
    ],
)
def test_the_common_shapes_are_read(text: str) -> None:
    assert read(text) == [(A, None, None, None), (B, None, None, None)]


def test_ids_distances_and_ends_are_read() -> None:
    until = int(time.time()) + 1_000
    text = f"id,pdq,distance,expires_at\ncase 7,{A},12,{until}\n,{B},,2100-01-01\n"
    assert read(text) == [(A, 12, "case-7", float(until)), (B, None, None, 4_102_444_800.0)]


def test_other_types_poor_and_expired_rows_are_counted() -> None:
    text = f"type,hash,quality,expires\nmd5,abc,,\npdq,{A},49,\npdq,{A},50,\npdq,{B},,\n"
    counted = Counted()
    assert len(list(read_hashes(io.StringIO(text), counted))) == 2
    assert (counted.other_types, counted.poor, counted.expired) == (1, 1, 0)
    counted = Counted()
    assert list(read_hashes(io.StringIO(f"hash,expires_at\n{A},1000\n{B},2001-01-01T00:00:00Z\n"), counted)) == []
    assert counted.expired == 2


@pytest.mark.parametrize(
    ("text", "row", "why"),
    [
        (f"hash\n{A}\n{A[:-1]}\n", 3, "63 characters"),
        (f"{A}\nzz{A[2:]}\n", 2, "64 hex digits"),
        (f"hash,distance\n{A},65\n", 2, "0 to 64"),
        (f"hash,distance\n{A},near\n", 2, "0 to 64"),
        (f"hash,quality\n{A},101\n", 2, "0 to 100"),
        (f"hash,expires_at\n{A},tomorrow\n", 2, "an expiry is"),
        (f'hash\n{A}\n"open\n', 3, "not CSV"),
        ("name,colour\na,b\n", 1, "header"),
    ],
)
def test_a_broken_row_is_named(text: str, row: int, why: str) -> None:
    with pytest.raises(InputError, match=rf"^row {row}: .*{why}") as refused:
        read(text)
    assert "64 hex digits" in refused.value.advice


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InputError):
        read(text)


def test_an_exported_list_is_read_again(settings: Settings) -> None:
    store = FingerprintStore(settings)
    until = float(int(time.time()) + 5_000)
    store.add(pdq(1), ref="case-1", distance=7, expires_at=until)
    store.add(pdq(2), bank="partner")
    text = io.StringIO()
    csv.writer(text).writerows(write_hashes(store.each()))
    assert tuple(text.getvalue().splitlines()[0].split(",")) == COLUMNS
    assert read(text.getvalue()) == [
        (pdq(1).tobytes().hex(), 7, "case-1", until),
        (pdq(2).tobytes().hex(), 31, None, None),
    ]
    store.close()

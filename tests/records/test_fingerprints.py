import math
import time

import numpy as np
import pytest

from guardrail.errors import RecordError
from guardrail.records import FingerprintStore
from guardrail.settings import Settings
from tests.records.parts import pdq


def test_entries_come_back_as_they_were_listed(settings: Settings) -> None:
    store = FingerprintStore(settings)
    first = store.add(pdq(1))
    second = store.add(pdq(2), distance=0, ref="case-11", expires_at=time.time() + 60)
    listed, expires = store.current()
    assert listed.ids == (first, second)
    assert listed.version == 2
    np.testing.assert_array_equal(listed.hashes, [pdq(1), pdq(2)])
    assert listed.distances.tolist() == [31, 0]
    entries = store.list()
    assert [(entry.hash, entry.ref) for entry in entries] == [
        (pdq(1).tobytes().hex(), None),
        (pdq(2).tobytes().hex(), "case-11"),
    ]
    assert expires == entries[1].expires_at
    with pytest.raises(ValueError, match="read-only"):
        listed.distances[0] = 256
    store.close()


def test_an_empty_list_has_the_right_shape(settings: Settings) -> None:
    listed, expires = FingerprintStore(settings).current()
    assert (listed.hashes.shape, listed.distances.shape, expires) == ((0, 32), (0,), None)


def test_expired_entries_are_listed_but_do_not_act(settings: Settings) -> None:
    store = FingerprintStore(settings)
    store.add(pdq(1), expires_at=time.time() - 1)
    assert len(store.list()) == 1
    listed, expires = store.current()
    assert (listed.ids, expires) == ((), None)
    store.close()


def test_removing_raises_the_version_once(settings: Settings) -> None:
    store = FingerprintStore(settings)
    entry = store.add(pdq(1))
    assert store.remove(entry)
    assert not store.remove(entry)
    assert store.version() == 2
    assert store.list() == []
    store.close()


def test_wrong_entries_are_refused(settings: Settings) -> None:
    store = FingerprintStore(settings)
    for wrong in (np.zeros(31, np.uint8), np.zeros((1, 32), np.uint8), np.zeros(32, np.float32), b"x" * 32):
        with pytest.raises(RecordError, match="is 32 bytes"):
            store.add(wrong)  # type: ignore[arg-type]
    for distance in (-1, 65, 3.5, True):
        with pytest.raises(RecordError, match="0 to 64 bits"):
            store.add(pdq(1), distance=distance)  # type: ignore[arg-type]
    for expiry in (math.nan, math.inf):
        with pytest.raises(RecordError, match="Unix time"):
            store.add(pdq(1), expires_at=expiry)
    with pytest.raises(RecordError, match="a reference must be"):
        store.add(pdq(1), ref="words of a caller")
    assert store.list() == []
    store.close()

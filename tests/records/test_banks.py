from __future__ import annotations

import logging
import sqlite3
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from guardrail.detector import DetectorContext
from guardrail.errors import RecordError
from guardrail.records import DEFAULT_BANK, Bank, FingerprintStore, LocalRegistry, NewFingerprint, fingerprints
from guardrail.records.database import FILE_NAME
from guardrail.settings import Settings
from guardrail.signals import FingerprintList
from guardrail.testing import drawn_picture, picture_subject
from guardrail.vision import fingerprint
from guardrail.vision.fingerprint import FingerprintDetector
from tests.records.parts import all_bytes, pdq, wait_until
from tests.vision.tiny import Listed, TinyModels


@pytest.fixture
def store(settings: Settings) -> FingerprintStore:
    return FingerprintStore(settings)


def test_a_bank_decides_distance_and_end_of_new_entries(store: FingerprintStore) -> None:
    store.set_bank(Bank("partner", distance=20, days=2))
    ids = [store.add(pdq(1), bank="partner"), store.add(pdq(2), bank="partner", distance=5), store.add(pdq(3))]
    entries = {entry.id: entry for entry in store.list()}
    assert [(entries[id].bank, entries[id].distance) for id in ids] == [
        ("partner", 20),
        ("partner", 5),
        (DEFAULT_BANK, 31),
    ]
    assert abs((entries[ids[0]].expires_at or 0) - time.time() - 2 * 86_400) < 60
    assert entries[ids[2]].expires_at is None
    store.set_bank(Bank("partner", distance=8))
    assert store.list("partner")[0].distance == 20
    listed, _ = store.current()
    assert sorted(listed.banks) == ["partner", "partner", DEFAULT_BANK]


def test_pictures_get_a_wider_distance_and_their_cuts_are_encrypted(
    store: FingerprintStore, settings: Settings
) -> None:
    cuts = np.stack([pdq(number) for number in range(10, 15)])
    entry = store.add(pdq(1), variants=cuts)
    listed, _ = store.current()
    assert listed.ids == (entry,)
    np.testing.assert_array_equal(listed.hashes, [pdq(1), *cuts])
    assert listed.distances.tolist() == [40] * 6
    assert listed.owners is not None
    assert listed.owners.tolist() == [0] * 6
    assert store.list()[0].variants == 5
    stored = all_bytes(settings.data_dir)
    assert all(cut.tobytes() not in stored for cut in cuts)
    with pytest.raises(RecordError, match="variants are at most"):
        store.add(pdq(1), variants=cuts[:, :31])


def test_a_roll_out_reaches_its_share_of_entries_and_always_the_same() -> None:
    names = [f"fp-{number}" for number in range(2_000)]
    shares = {
        share: {name for name in names if Bank("partner", rollout=share).acts_on(name)} for share in (0, 10, 50, 100)
    }
    assert shares[0] == set()
    assert len(shares[100]) == 2_000
    assert 140 < len(shares[10]) < 260
    assert 900 < len(shares[50]) < 1_100
    assert shares[10] < shares[50]


def test_what_the_roll_out_has_not_reached_only_flags(store: FingerprintStore) -> None:
    store.set_bank(Bank("partner", rollout=0))
    entry = store.add(pdq(1), bank="partner")
    other = store.add(pdq(2))
    listed, _ = store.current()
    assert dict(listed.inert) == {entry: "rollout"}
    store.set_bank(Bank("partner"))
    assert dict(store.current()[0].inert) == {}
    assert other in store.current()[0].ids


def near(base: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A hash 24 bits from `base` and from every other number's."""
    found = np.unpackbits(base)
    found[number * 12 : number * 12 + 12] ^= 1
    return np.packbits(found)


def test_a_flood_holds_an_entry_back_and_tells_the_operator(
    store: FingerprintStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.set_bank(Bank("partner", flood=4))
    entry = store.add(pdq(1), bank="partner")
    note = store.current()[0].note
    assert note is not None
    with caplog.at_level(logging.WARNING, logger="guardrail.takedown"):
        for _ in range(10):
            note(entry, near(pdq(1), 0))
        for number in range(1, 3):
            note(entry, near(pdq(1), number))
        assert dict(store.current()[0].inert) == {}, "the same picture again is no flood"
        note(entry, near(pdq(1), 3))
    assert dict(store.current()[0].inert) == {entry: "quarantine"}
    assert store.list()[0].held_at is not None
    (line,) = caplog.messages
    assert entry in line
    assert "takedown release" in line
    assert store.release(entry)
    assert not store.release(entry)
    assert dict(store.current()[0].inert) == {}
    note(entry, near(pdq(1), 5))
    assert dict(store.current()[0].inert) == {}, "counting begins anew"


def test_old_sightings_and_banks_without_a_limit_hold_nothing_back(
    store: FingerprintStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set_bank(Bank("partner", flood=2, window_s=10))
    entry, free = store.add(pdq(1), bank="partner"), store.add(pdq(2))
    for number in range(6):
        monkeypatch.setattr(time, "time", lambda at=1_000_000 + 20 * number: at)
        store.note(entry, near(pdq(1), number))
        store.note(free, near(pdq(2), number))
        store.note("fp-gone", near(pdq(2), number))
    monkeypatch.undo()
    assert dict(store.current()[0].inert) == {}
    store.remove_bank("partner")
    assert store.current()[0].note is None


def test_a_bank_is_removed_with_its_entries(store: FingerprintStore) -> None:
    store.add(pdq(1), bank="partner")
    kept = store.add(pdq(2))
    assert store.remove_bank("partner") == 1
    assert store.remove_bank("partner") is None
    assert [entry.id for entry in store.list()] == [kept]
    assert list(store.banks()) == [DEFAULT_BANK]


def test_a_bank_of_another_service_is_asked_and_takes_no_entries(
    store: FingerprintStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set_bank(Bank("remote", url="http://127.0.0.1:9/hma", timeout_s=0.5, required=False, token_env="A_TOKEN"))
    with pytest.raises(RecordError, match="no A_TOKEN"):
        store.current()
    monkeypatch.setenv("A_TOKEN", "secret")
    (remote,) = store.current()[0].remotes
    assert (remote.name, remote.url, remote.timeout_s, remote.required) == (
        "remote",
        "http://127.0.0.1:9/hma",
        0.5,
        False,
    )
    assert remote.token == "secret"
    with pytest.raises(RecordError, match="held by another service"):
        store.add(pdq(1), bank="remote")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "A Bank"},
        {"name": ""},
        {"name": "a", "distance": 65},
        {"name": "a", "days": 0},
        {"name": "a", "rollout": 101},
        {"name": "a", "flood": -1},
        {"name": "a", "window_s": 0},
        {"name": "a", "timeout_s": 0.0},
        {"name": "a", "url": "ftp://host"},
        {"name": "a", "url": "http://"},
    ],
)
def test_a_bank_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordError, match="bank"):
        Bank(**wrong)  # type: ignore[arg-type]


class _Listed(Listed):
    """The list as it is at each look."""

    def __init__(self, store: FingerprintStore) -> None:
        super().__init__()
        self._store = store

    def fingerprints(self) -> FingerprintList:
        return self._store.current()[0]


@pytest.fixture
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MEMORY_ROWS", 50)


@pytest.mark.usefixtures("short_memory")
def test_a_long_list_is_searched_on_disk_and_changes_still_act(store: FingerprintStore, settings: Settings) -> None:
    assert (
        store.load((NewFingerprint(pdq(number), None, f"case-{number}") for number in range(200)), bank="bulk") == 200
    )
    listed, _ = store.current()
    assert listed.ids == ()
    assert listed.archive is not None
    assert len(listed.archive) == 200
    query = near(pdq(7), 0)
    (hit,) = listed.archive.search(np.stack([pdq(900), query]))
    entry = next(item for item in store.list("bulk") if item.ref == "case-7")
    assert (hit.query, hit.distance, hit.limit, hit.id, hit.bank) == (1, 12, 31, entry.id, "bulk")
    store.set_bank(Bank("bulk", rollout=0))
    assert [item.inert for item in listed.archive.search(query[None])] == ["rollout"]
    assert store.remove(entry.id)
    assert listed.archive.search(query[None]) == []
    again = FingerprintStore(settings)
    fresh, _ = again.current()
    assert fresh.archive is not None
    assert len(fresh.archive) == 200
    again.close()


@pytest.mark.usefixtures("short_memory")
def test_an_entry_of_a_long_list_is_held_back_too(store: FingerprintStore, settings: Settings) -> None:
    store.set_bank(Bank("bulk", flood=1))
    picture = picture_subject(drawn_picture("b", size=(480, 360)))
    assert picture.picture is not None
    hashes = [*(pdq(number) for number in range(100)), fingerprint.pdq(picture.picture)[0]]
    entries = (NewFingerprint(hash, ref=f"case-{at}") for at, hash in enumerate(hashes))
    assert store.load(entries, bank="bulk") == 101
    assert store.current()[0].ids == ()
    detector = FingerprintDetector(DetectorContext(settings, TinyModels(), _Listed(store)))
    assert [item.score for item in detector.detect(picture).signals] == [1.0]
    held = next(entry for entry in store.list("bulk") if entry.ref == "case-100")
    assert held.held_at is not None
    found = detector.detect(picture).signals[0]
    assert (found.score, found.evidence[0].ref, found.evidence[0].detail["inert"]) == (0.4, held.id, "quarantine")


@pytest.mark.usefixtures("short_memory")
def test_what_is_added_to_a_long_list_acts_within_two_seconds(store: FingerprintStore, settings: Settings) -> None:
    store.load(NewFingerprint(pdq(number)) for number in range(100))
    local = LocalRegistry(settings)
    assert local.fingerprints().archive is not None
    added = store.add(pdq(500))
    wait_until(lambda: added in local.fingerprints().ids, 2)
    far = store.add(pdq(501), distance=50)
    wait_until(lambda: far in local.fingerprints().ids, 2)
    local.close()


@pytest.mark.usefixtures("short_memory")
def test_a_clock_that_is_set_back_hides_no_entry(store: FingerprintStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.load(NewFingerprint(pdq(number)) for number in range(100))
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    added = store.add(pdq(500))
    assert store.current()[0].ids == (added,)


@pytest.mark.usefixtures("short_memory")
def test_a_damaged_or_missing_index_is_built_anew(store: FingerprintStore, settings: Settings) -> None:
    store.load(NewFingerprint(pdq(number)) for number in range(100))
    store.current()
    for file in (settings.data_dir / "index").rglob("codes.npy"):
        file.write_bytes(b"x")
    again = FingerprintStore(settings)
    listed, _ = again.current()
    assert listed.archive is not None
    assert len(listed.archive.search(pdq(3)[None])) == 1
    again.close()


def test_a_file_of_the_version_before_is_completed(store: FingerprintStore, settings: Settings) -> None:
    store.add(pdq(1))
    store.add(pdq(2), distance=50)
    store.close()
    with sqlite3.connect(settings.data_dir / FILE_NAME) as raw:
        for index in ("fingerprints_hash", "fingerprints_at", "fingerprints_own"):
            raw.execute(f"DROP INDEX {index}")
        for column in ("bank", "variants", "held_at", "own"):
            raw.execute(f"ALTER TABLE fingerprints DROP COLUMN {column}")
        raw.execute("DROP TABLE banks")
        raw.execute("DROP TABLE sightings")
        raw.execute("UPDATE meta SET value = 2 WHERE name = 'schema'")
    raw.close()
    again = FingerprintStore(settings)
    assert [(entry.bank, entry.distance) for entry in again.list()] == [(DEFAULT_BANK, 31), (DEFAULT_BANK, 50)]
    assert len(again.current()[0].ids) == 2
    assert again.add(pdq(3), bank="partner")
    again.close()

"""What is stored never holds content, what is erased is gone, and nothing goes on unrecorded."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from guardrail.errors import RecordError
from guardrail.guard import Guard
from guardrail.records import DecisionLog, FingerprintStore, LocalRegistry, PeopleStore, Vault, database
from guardrail.records.database import FILE_NAME
from guardrail.settings import Settings
from guardrail.signals import GenerationRequest, Picture, Prompt
from tests.records.parts import all_bytes, child, pdq, templates, verdict

_MARKERS = ("prompt-marker", "negative-marker", "picture-marker", "param-marker", "actor-marker", "label-marker")


def test_nothing_of_a_request_reaches_the_data_folder(settings: Settings) -> None:
    request = GenerationRequest(
        prompts=(Prompt("prompt-marker", "negative-marker"),),
        uploads=(Picture(b"picture-marker"),),
        params={"style": "param-marker", "param-marker": 1},
        actor="actor-marker",
        tenant="tenant-kept",
    )
    log = DecisionLog(settings)
    for _ in range(3):
        log.append(verdict(), request)
    log.flush()
    people = PeopleStore(settings)
    people.enrol(templates(1), label="label-marker")
    people.list()
    FingerprintStore(settings).add(pdq(1))
    for moment in ("open", "closed"):
        stored = all_bytes(settings.data_dir)
        assert b"tenant-kept" in stored, moment
        assert [word for word in _MARKERS if word.encode() in stored] == [], moment
        log.close()
        people.close()


def test_templates_are_nowhere_in_the_clear(settings: Settings) -> None:
    store = PeopleStore(settings)
    vectors = templates(3, 2)
    store.enrol(vectors)
    (row, _) = store.gallery().vectors
    stored = all_bytes(settings.data_dir)
    for values in (row, row.astype(np.float64), row.astype(np.float16)):
        assert values[:4].tobytes() not in stored
    store.close()


@pytest.mark.parametrize("how", ["erased", "replaced"])
def test_an_erased_person_leaves_no_bytes_while_others_hold_the_file(settings: Settings, how: str) -> None:
    store = PeopleStore(settings)
    kept = store.enrol(templates(1), person_id="kept")
    person = store.enrol(templates(2, 64), person_id="gone", label="label")
    connection = sqlite3.connect(settings.data_dir / FILE_NAME)
    sealed, label = connection.execute("select templates, label from people where id = 'gone'").fetchone()
    registry, log = LocalRegistry(settings), DecisionLog(settings)
    assert len(registry.faces().ids) == 65
    before = all_bytes(settings.data_dir)
    # Rows are split over pages, so a part of each is looked for: where the nonce is, in the middle, at the end.
    pieces = [sealed[:16], sealed[9000:9016], sealed[-16:], label]
    assert all(piece in before for piece in pieces)
    if how == "erased":
        assert store.erase(person)
    else:
        store.enrol(templates(3), person_id=person)
    after = all_bytes(settings.data_dir)
    assert [piece for piece in pieces if piece in after] == []
    assert kept.encode() in after
    assert (person.encode() in after) == (how == "replaced")
    connection.close()
    for part in (registry, log, store):
        part.close()


def test_an_erasure_that_a_long_reader_delays_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_S", 0.2)
    store = PeopleStore(settings)
    person = store.enrol(templates(1))
    reader = sqlite3.connect(settings.data_dir / FILE_NAME, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("select count(*) from people").fetchone()
    with pytest.raises(RecordError, match="may still hold deleted rows"):
        store.erase(person)
    assert store.gallery().ids == ()
    reader.close()
    assert not store.erase(person)
    store.close()


def test_a_full_disk_closes_the_log_and_space_opens_it_again(settings: Settings) -> None:
    code = """
import resource, signal
from guardrail.errors import RecordError
from guardrail.records import DecisionLog
from tests.records.parts import REQUEST, recover, verdict, wait_until
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = DecisionLog(settings)
log.append(verdict(), REQUEST)
log.flush()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
wal = settings.data_dir / "guardrail.sqlite3-wal"
resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 4096, hard))
recorded = 1
while log.healthy:
    log.append(verdict(), REQUEST)
    try:
        log.flush()
        recorded += 1
    except RecordError as error:
        print(error)
try:
    log.append(verdict(), REQUEST)
    print("accepted")
except RecordError:
    print("refused")
print(len(log.recent(1000)) == recorded)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
recover(log)
log.append(verdict(), REQUEST)
log.close()
print("recovered", recorded + 2)
"""
    process = child(code, settings)
    lines = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == 0
    assert lines[0].startswith("decisions cannot be written: guardrail.sqlite3: SQLITE_")
    assert lines[1:3] == ["refused", "True"]
    connection = sqlite3.connect(settings.data_dir / FILE_NAME)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert f"recovered {connection.execute('select count(*) from decisions').fetchone()[0]}" == lines[3]
    connection.close()


def test_a_guard_without_its_key_does_not_start(settings: Settings) -> None:
    Vault(settings)
    (settings.data_dir / "keys" / "digest.key").write_bytes(b"short")
    with pytest.raises(RecordError, match="does not hold a key"):
        Guard.from_policy("default", settings=settings)

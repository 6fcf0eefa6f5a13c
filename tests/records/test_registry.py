import threading
import time

import pytest
from sqlalchemy import event

from guardrail.errors import RecordError
from guardrail.records import FingerprintStore, LocalRegistry, PeopleStore, registry
from guardrail.records.database import FILE_NAME
from guardrail.settings import Settings
from tests.records.parts import child, pdq, templates, wait_until


def test_a_new_folder_has_nobody_and_nothing(settings: Settings) -> None:
    empty = LocalRegistry(settings)
    assert empty.faces().ids == ()
    assert empty.fingerprints().ids == ()
    empty.close()


def test_changes_by_another_process_act_within_two_seconds(settings: Settings) -> None:
    local = LocalRegistry(settings)
    assert (local.faces().ids, local.fingerprints().ids) == ((), ())
    code = (
        "from guardrail.records import FingerprintStore, PeopleStore\n"
        "from tests.records.parts import pdq, templates\n"
        "people, prints = PeopleStore(settings), FingerprintStore(settings)\n"
        "print(people.enrol(templates(1), person_id='p'), prints.add(pdq(1)), flush=True)\n"
        "input()\n"
        "people.erase('p')\n"
        "print('erased', flush=True)\n"
    )
    process = child(code, settings)
    assert process.stdout is not None
    assert process.stdin is not None
    _, listed = process.stdout.readline().split()
    wait_until(lambda: local.faces().ids == ("p",) and local.fingerprints().ids == (listed,), 2)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "erased\n"
    wait_until(lambda: local.faces().ids == (), 2)
    process.communicate(timeout=30)
    local.close()


def test_an_unchanged_store_costs_one_small_query_a_poll(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    PeopleStore(settings).enrol(templates(1))
    local = LocalRegistry(settings)
    first = local.faces()
    statements: list[str] = []

    def heard(*execution: object) -> None:
        statements.append(str(execution[2]))

    event.listen(local._people._database.engine, "before_cursor_execute", heard)
    assert all(local.faces() is first for _ in range(1000))
    assert statements == []
    monkeypatch.setattr(registry, "POLL_S", 0.0)
    assert local.faces() is first
    assert [line.split()[0] for line in statements] == ["BEGIN", "SELECT"]
    local.close()


def test_an_entry_stops_acting_when_it_expires_and_the_version_tells(settings: Settings) -> None:
    store = FingerprintStore(settings)
    store.add(pdq(1), expires_at=time.time() + 0.5)
    kept = store.add(pdq(2))
    local = LocalRegistry(settings)
    before = local.fingerprints()
    assert len(before.ids) == 2
    wait_until(lambda: local.fingerprints().ids == (kept,), 2.5)
    after = local.fingerprints()
    assert after.version > before.version
    store.add(pdq(3))
    wait_until(lambda: len(local.fingerprints().ids) == 2, 2)
    assert local.fingerprints().version > after.version
    local.close()


def test_many_threads_see_one_list(settings: Settings) -> None:
    FingerprintStore(settings).add(pdq(1))
    local = LocalRegistry(settings)
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(id(local.fingerprints()))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 16
    assert set(seen) == {id(local.fingerprints())}
    local.close()


def test_a_store_that_cannot_be_read_is_an_error_and_never_an_empty_list(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = PeopleStore(settings)
    people.enrol(templates(1))
    people.close()
    local = LocalRegistry(settings)
    assert len(local.faces().ids) == 1
    monkeypatch.setattr(registry, "POLL_S", 0.0)
    local.close()
    file = settings.data_dir / FILE_NAME
    file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(RecordError, match=FILE_NAME):
        local.faces()

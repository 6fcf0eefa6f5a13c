import threading
import time
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import RecordError
from guardrail.records import DecisionLog, Vault, decisions
from guardrail.records.database import Database
from guardrail.settings import Settings
from guardrail.signals import GenerationRequest
from guardrail.verdict import Action, Verdict
from tests.records.parts import REQUEST, child, recover, verdict, wait_until


def _count(settings: Settings) -> int:
    database = Database(settings)
    with database.read() as connection:
        found: int = connection.exec_driver_sql("select count(*) from decisions").scalar_one()
    database.close()
    return found


def test_a_decision_comes_back_as_it_was_given(settings: Settings) -> None:
    log = DecisionLog(settings)
    given = verdict()
    before = time.time()
    log.append(given, REQUEST)
    log.flush()
    found = log.get(given.id)
    assert found is not None
    assert Verdict.from_dict(found.verdict).to_dict() == given.to_dict()
    assert (found.id, found.stage, found.action, found.rule) == (given.id, "prompt", "block", "a-rule")
    assert found.subject == given.subject
    assert found.actor == Vault(settings).digest(b"actor-marker")
    assert found.tenant == "studio"
    assert before <= found.at <= time.time()
    assert log.get("01UNKNOWN") is None
    log.close()


def test_who_asks_may_be_unknown(settings: Settings) -> None:
    log = DecisionLog(settings)
    log.append(verdict(), GenerationRequest())
    log.flush()
    (found,) = log.recent()
    assert (found.actor, found.tenant) == (None, None)
    log.close()


def test_recent_gives_the_newest_first(settings: Settings) -> None:
    log = DecisionLog(settings)
    given = [verdict() for _ in range(5)]
    for item in given:
        log.append(item, REQUEST)
    log.flush()
    assert [item.id for item in log.recent(3)] == [item.id for item in reversed(given)][:3]
    assert log.recent(0) == []
    log.close()


def test_every_thread_s_decisions_are_written(settings: Settings) -> None:
    log = DecisionLog(settings)

    def work() -> None:
        for _ in range(300):
            log.append(verdict(Action.ALLOW), REQUEST)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert _count(settings) == 1200


def test_closing_writes_what_is_queued_and_ends_the_writer(settings: Settings) -> None:
    log = DecisionLog(settings)
    log.append(verdict(), REQUEST)
    log.close()
    log.close()
    assert _count(settings) == 1
    assert not log.healthy
    assert not [thread for thread in threading.enumerate() if thread.name == "guardrail-records"]
    with pytest.raises(RecordError, match="is closed"):
        log.append(verdict(), REQUEST)


def test_a_decision_that_cannot_be_stored_is_refused_and_the_next_one_is_not(settings: Settings) -> None:
    log = DecisionLog(settings)
    wrong_tenants: list[Any] = ["\ud800", b"x", 7]
    for tenant in wrong_tenants:
        with pytest.raises(RecordError, match="cannot be written as JSON"):
            log.append(verdict(), GenerationRequest(tenant=tenant))
    with pytest.raises(RecordError, match="cannot be written as JSON"):
        log.append(verdict(message="\ud800"), REQUEST)
    log.append(verdict(), GenerationRequest(actor="\ud800"))
    log.flush()
    assert log.healthy
    assert _count(settings) == 1
    log.close()


def test_an_id_keeps_its_first_record(settings: Settings) -> None:
    log = DecisionLog(settings)
    first = verdict(Action.BLOCK)
    log.append(first, REQUEST)
    log.flush()
    log.append(Verdict.from_dict({**first.to_dict(), "action": "allow"}), REQUEST)
    log.flush()
    found = log.get(first.id)
    assert found is not None
    assert found.action == "block"
    log.close()


def test_the_log_refuses_while_writing_fails_and_recovers_when_it_works(settings: Settings, tmp_path: Path) -> None:
    log = DecisionLog(settings)
    file = settings.data_dir / "guardrail.sqlite3"
    file.rename(tmp_path / "aside")
    given = verdict()
    log.append(given, REQUEST)
    wait_until(lambda: not log.healthy)
    with pytest.raises(RecordError, match="was removed or replaced"):
        log.append(verdict(), REQUEST)
    with pytest.raises(RecordError, match="was removed or replaced"):
        log.flush()
    (tmp_path / "aside").rename(file)
    recover(log)
    log.append(verdict(), REQUEST)
    log.flush()
    assert log.get(given.id) is not None
    assert _count(settings) == 2
    log.close()


def test_closing_tells_of_decisions_that_were_lost(settings: Settings, tmp_path: Path) -> None:
    log = DecisionLog(settings)
    (settings.data_dir / "guardrail.sqlite3").rename(tmp_path / "aside")
    log.append(verdict(), REQUEST)
    with pytest.raises(RecordError, match="1 decisions could not be written"):
        log.close()


def test_the_queue_is_bounded_and_appending_never_waits_for_a_locked_file(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "QUEUE_LENGTH", 50)
    log = DecisionLog(settings)
    other = Database(settings)
    with other.write():
        began = time.monotonic()
        for _ in range(50):
            log.append(verdict(), REQUEST)
        with pytest.raises(RecordError, match="faster than they can be written"):
            log.append(verdict(), REQUEST)
        with pytest.raises(RecordError, match=r"did not finish writing within 0\.05 s"):
            log.flush(0.05)
        assert time.monotonic() - began < 2
    log.flush()
    assert _count(settings) == 50
    other.close()
    log.close()


def test_prune_deletes_what_is_older_in_portions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_PRUNE_ROWS", 4)
    log = DecisionLog(settings)
    for _ in range(10):
        log.append(verdict(), REQUEST)
    log.flush()
    between = time.time()
    kept = verdict()
    log.append(kept, REQUEST)
    log.flush()
    assert log.prune(between) == 10
    assert [item.id for item in log.recent()] == [kept.id]
    assert log.prune(between) == 0
    log.close()


def test_a_killed_writer_leaves_every_flushed_decision_readable(settings: Settings) -> None:
    code = (
        "from guardrail.records import DecisionLog\n"
        "from tests.records.parts import REQUEST, verdict\n"
        "log = DecisionLog(settings)\n"
        "while True:\n"
        "    for _ in range(20):\n"
        "        last = verdict()\n"
        "        log.append(last, REQUEST)\n"
        "    log.flush()\n"
        "    print(last.id, flush=True)\n"
    )
    process = child(code, settings)
    assert process.stdout is not None
    flushed = [process.stdout.readline().strip() for _ in range(10)]
    process.kill()
    process.communicate(timeout=30)
    database = Database(settings)
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    database.close()
    log = DecisionLog(settings)
    assert all(log.get(id) is not None for id in flushed)
    assert _count(settings) >= 200
    log.append(verdict(), REQUEST)
    log.flush()
    log.close()

"""Decisions on disk: one writer thread, group commit, no content."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import delete, insert, select

from guardrail.errors import RecordError
from guardrail.records.database import Database, decisions
from guardrail.records.vault import Vault
from guardrail.settings import Settings
from guardrail.signals import GenerationRequest
from guardrail.verdict import Verdict

GROUP_WINDOW_S = 0.01
QUEUE_LENGTH = 10_000
_RETRY_S = 1.0
_GROUP_ROWS = 1_000


class _Flush:
    """A mark in the queue: everything before it has been tried."""

    def __init__(self) -> None:
        self.passed = threading.Event()


class DecisionLog:
    """Records why, and nothing of what: verdicts hold keyed digests, scores and spans.

    `append` hands a row to the writer thread and returns at once. When the writer fails (a full disk, a lost file), the
    log turns unhealthy and `append` raises until a write works again: the guard then closes its verdicts, because
    a release that leaves no record is not allowed.

    Args:
        settings: where the data folder is.

    Raises:
        RecordError: the database cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings)
        self._vault = Vault(settings)
        self._queue: queue.Queue[dict[str, Any] | _Flush | None] = queue.Queue(QUEUE_LENGTH)
        self._failed: RecordError | None = None
        self._closed = False
        self._writer = threading.Thread(target=self._write, name="guardrail-records", daemon=True)
        self._writer.start()

    @property
    def healthy(self) -> bool:
        """Whether the last write worked."""
        return self._failed is None and not self._closed

    def append(self, verdict: Verdict, request: GenerationRequest) -> None:
        """Hand over a decision; never waits for the disk.

        Raises:
            RecordError: the log is closed, its writer failed, or its queue is full.
        """
        if self._closed:
            raise RecordError("the decision log is closed")
        if self._failed is not None:
            raise self._failed
        row = {
            "id": verdict.id,
            "at": time.time(),
            "stage": verdict.stage.value,
            "action": verdict.action.value,
            "rule": verdict.rule,
            "subject": verdict.subject,
            "actor": self._vault.digest(request.actor.encode("utf-8", "surrogatepass")) if request.actor else None,
            "tenant": request.tenant,
            "verdict": verdict,
        }
        try:
            self._queue.put_nowait(row)
        except queue.Full:
            raise RecordError("decisions arrive faster than they can be written") from None

    def get(self, id: str) -> Mapping[str, Any] | None:
        """The recorded verdict with this id, as `Verdict.to_dict` gave it, or None."""
        with self._database.begin() as connection:
            found = connection.execute(select(decisions.c.verdict).where(decisions.c.id == id)).scalar_one_or_none()
        return orjson.loads(found) if found is not None else None

    def recent(self, limit: int = 100) -> list[Mapping[str, Any]]:
        """The newest decisions first."""
        newest = select(decisions.c.verdict).order_by(decisions.c.at.desc(), decisions.c.id.desc()).limit(limit)
        with self._database.begin() as connection:
            return [orjson.loads(text) for text in connection.execute(newest).scalars()]

    def prune(self, older_than_s: float) -> int:
        """Delete decisions older than so many seconds; returns how many."""
        with self._database.begin() as connection:
            old = delete(decisions).where(decisions.c.at < time.time() - older_than_s)
            return connection.execute(old).rowcount

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything appended so far has been written.

        Raises:
            RecordError: the writer failed, or did not get there in time.
        """
        mark = _Flush()
        self._queue.put(mark, timeout=timeout_s)
        if not mark.passed.wait(timeout_s):
            raise RecordError("the decision log did not finish writing in time")
        if self._failed is not None:
            raise self._failed

    def close(self) -> None:
        """Write what is queued and end the writer. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join(timeout=30)
        self._database.close()

    def _write(self) -> None:
        pending: list[dict[str, Any]] = []
        while True:
            ended, marks = self._collect(pending)
            if pending and self._commit(pending):
                pending.clear()
            elif pending and not ended:
                time.sleep(_RETRY_S)
            for mark in marks:
                mark.passed.set()
            if ended:
                return

    def _collect(self, pending: list[dict[str, Any]]) -> tuple[bool, list[_Flush]]:
        """Gather rows for one commit: whatever arrives within the window after the first."""
        marks: list[_Flush] = []
        # Rows that a failed write left behind are tried again at once with whatever has come in.
        until = time.monotonic() if pending else None
        while len(pending) < _GROUP_ROWS:
            wait = None if until is None else max(0.0, until - time.monotonic())
            try:
                item = self._queue.get(timeout=wait)
            except queue.Empty:
                break
            if item is None:
                return True, marks
            if isinstance(item, _Flush):
                marks.append(item)
                break
            pending.append(item)
            until = until or time.monotonic() + GROUP_WINDOW_S
        return False, marks

    def _commit(self, rows: list[dict[str, Any]]) -> bool:
        ready = [{**row, "verdict": orjson.dumps(row["verdict"].to_dict()).decode()} for row in rows]
        try:
            with self._database.begin() as connection:
                connection.execute(insert(decisions), ready)
        except Exception as error:
            failed = error if isinstance(error, RecordError) else RecordError(f"a write failed: {type(error).__name__}")
            self._failed = failed
            return False
        self._failed = None
        return True

"""Decisions on disk: one writer thread, group commit, no content."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.sqlite import insert

from guardrail.errors import RecordError
from guardrail.records.database import Database, decisions
from guardrail.records.vault import Vault
from guardrail.settings import Settings
from guardrail.signals import GenerationRequest
from guardrail.verdict import Verdict

GROUP_WINDOW_S = 0.01
QUEUE_LENGTH = 10_000
RETRY_S = 1.0
_GROUP_ROWS = 1_000
_PRUNE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision as it was recorded.

    Attributes:
        id, stage, action, rule, subject: as in the verdict.
        at: Unix time of recording, in seconds.
        actor: keyed digest of who asked, or None.
        tenant: whose deployment it was, or None.
        verdict: what `Verdict.to_dict` gave; `Verdict.from_dict` reads it.
    """

    id: str
    at: float
    stage: str
    action: str
    rule: str | None
    subject: str
    actor: str | None
    tenant: str | None
    verdict: Mapping[str, Any]


class DecisionLog:
    """Records why, and nothing of what: verdicts hold keyed digests, scores and spans.

    `append` hands a row to the writer thread and returns at once. When the writer fails (a full disk, a removed file),
    the log turns unhealthy and `append` raises until a write works again, which is tried every second: the guard then
    closes its verdicts, because a release that leaves no record is not allowed.

    Args:
        settings: where the data folder is.

    Raises:
        RecordError: the database or the keys cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._vault = Vault(settings)
        self._database = Database(settings)
        self._changed = threading.Condition()
        self._rows: deque[dict[str, Any]] = deque()
        self._appended = self._written = 0
        self._hurry = self._closed = False
        self._failed: str | None = None
        self._writer = threading.Thread(target=self._write, name="guardrail-records", daemon=True)
        self._writer.start()

    @property
    def healthy(self) -> bool:
        """Whether decisions can be recorded: open, and the last write worked."""
        return self._failed is None and not self._closed

    def append(self, verdict: Verdict, request: GenerationRequest) -> None:
        """Hand over a decision; never waits for the disk. An id that is already recorded keeps its first record.

        Raises:
            RecordError: the log is closed, its writer failed, its queue is full, or the verdict is not storable.
        """
        row = self._row(verdict, request)
        with self._changed:
            if self._closed:
                raise RecordError("the decision log is closed")
            self._raise_failure()
            if len(self._rows) >= QUEUE_LENGTH:
                raise RecordError("decisions arrive faster than they can be written", advice="Use a faster disk.")
            self._rows.append(row)
            self._appended += 1
            if len(self._rows) == 1:
                self._changed.notify_all()

    def get(self, id: str) -> DecisionRecord | None:
        """The decision with this verdict id, or None.

        Raises:
            RecordError: the database cannot be read.
        """
        with self._database.read() as connection:
            found = connection.execute(select(decisions).where(decisions.c.id == id)).one_or_none()
        return _record(found) if found is not None else None

    def recent(self, limit: int = 100) -> list[DecisionRecord]:
        """At most `limit` decisions, the newest first.

        Raises:
            RecordError: the database cannot be read.
        """
        newest = select(decisions).order_by(decisions.c.at.desc(), decisions.c.id.desc()).limit(max(0, limit))
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(newest)]

    def prune(self, older_than: float) -> int:
        """Delete decisions recorded before the Unix time `older_than`; returns how many.

        Raises:
            RecordError: the database refused; what was deleted until then stays deleted.
        """
        old = select(decisions.c.id).where(decisions.c.at < older_than).limit(_PRUNE_ROWS)
        total = 0
        while True:
            # In portions, so that the writer, which waits for its turn, never waits so long that it counts as failed.
            with self._database.write() as connection:
                count = connection.execute(delete(decisions).where(decisions.c.id.in_(old))).rowcount
            total += count
            if count < _PRUNE_ROWS:
                return total

    def flush(self, timeout: float = 30.0) -> None:
        """Wait until everything appended so far is on the disk, at most `timeout` seconds.

        Raises:
            RecordError: the writer failed, or did not get there in time.
        """
        with self._changed:
            target = self._appended
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._written >= target or self._failed is not None, timeout)
            if self._written >= target:
                return
            self._raise_failure()
            if not done:
                raise RecordError(f"the decision log did not finish writing within {timeout:g} s")

    def close(self) -> None:
        """Write what is queued and end the writer. May be called twice.

        Raises:
            RecordError: some decisions could not be written.
        """
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._writer.join()
        self._database.close()
        if self._rows:
            raise RecordError(f"{len(self._rows)} decisions could not be written: {self._failed}")

    def _row(self, verdict: Verdict, request: GenerationRequest) -> dict[str, Any]:
        try:
            # Made here and not by the writer, so that one verdict that cannot be stored does not stop the others.
            text = orjson.dumps(verdict.to_dict()).decode()
            tenant = request.tenant
            if tenant is not None:
                tenant.encode()
        except (TypeError, ValueError, AttributeError):
            raise RecordError("the verdict or its tenant cannot be written as JSON in UTF-8") from None
        actor = request.actor
        return {
            "id": verdict.id,
            "at": time.time(),
            "stage": verdict.stage.value,
            "action": verdict.action.value,
            "rule": verdict.rule,
            "subject": verdict.subject,
            "actor": None if actor is None else self._vault.digest(actor.encode("utf-8", "surrogatepass")),
            "tenant": tenant,
            "verdict": text,
        }

    def _raise_failure(self) -> None:
        if self._failed is not None:
            raise RecordError(f"decisions cannot be written: {self._failed}")

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._rows or self._closed)
                if self._failed is None:
                    # The window lets decisions that arrive together share one write to the disk.
                    self._changed.wait_for(lambda: self._hurry or self._closed, GROUP_WINDOW_S)
                batch = list(islice(self._rows, _GROUP_ROWS))
                self._hurry = False
            if not batch:
                return
            failed = self._commit(batch)
            with self._changed:
                self._failed = failed
                if failed is None:
                    self._written += len(batch)
                    for _ in batch:
                        self._rows.popleft()
                self._changed.notify_all()
                if failed is not None:
                    if self._closed:
                        return
                    self._changed.wait_for(lambda: self._closed, RETRY_S)

    def _commit(self, batch: list[dict[str, Any]]) -> str | None:
        """Write rows; the reason when that failed."""
        try:
            with self._database.write() as connection:
                connection.execute(insert(decisions).on_conflict_do_nothing(index_elements=["id"]), batch)
        except RecordError as error:
            return error.message
        except Exception as error:  # a dead writer would leave the log looking healthy
            return type(error).__name__
        return None


def _record(row: Row[Any]) -> DecisionRecord:
    fields = row._asdict()
    return DecisionRecord(**{**fields, "verdict": orjson.loads(fields["verdict"])})

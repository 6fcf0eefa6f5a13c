"""A labelled set through the guard, row by row, on every core."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from guardrail.errors import ConfigurationError, GuardrailError, InputError
from guardrail.evaluation.sets import Row
from guardrail.guard import Guard
from guardrail.settings import Deadlines, Settings
from guardrail.signals import GenerationRequest, Picture, Prompt
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, Verdict

_CHUNK = 16
_CHUNKS_AHEAD = 4
_PATIENCE = Deadlines(prompt=60, input=300, output=300)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one row.

    Attributes:
        id: of the row.
        action: the gravest of its verdicts.
        rules: ids of the rules in force that fired.
        signals: best score by signal name. Detectors whose signals the policy does not read leave none.
        ms: wall-clock milliseconds.
        judged: false when a limit or a fault of the guard kept the row back, and no rule of the policy did.
    """

    id: str
    action: Action
    rules: tuple[str, ...]
    signals: dict[str, float]
    ms: float
    judged: bool = True

    @property
    def stopped(self) -> bool:
        """Whether the row was kept back."""
        return not self.action.released

    def to_dict(self) -> dict[str, Any]:
        """The row of a results file."""
        return {
            "id": self.id,
            "action": self.action.value,
            "rules": list(self.rules),
            "signals": self.signals,
            "ms": round(self.ms, 3),
        }


def run(rows: Sequence[Row], policy: str, settings: Settings, *, jobs: int = 0) -> Generator[Result, None, None]:
    """Judge rows; each result comes as soon as it and all before it are there, in the order of the rows.

    Nothing is recorded, every detector looks even when a verdict is settled, so that scores can be compared, and
    deadlines are long, so that a busy machine does not change what is measured.

    Args:
        rows: from `read_set`.
        policy: shipped name or file.
        settings: of the deployment; enrolled people and listed fingerprints of its data folder act.
        jobs: processes; 0 means one a core. Small sets get fewer.

    Raises:
        GuardrailError: the guard does not start.
        ConfigurationError: a picture cannot be read, or a process died.
    """
    settings = settings.model_copy(update={"record": False, "workers": 1, "deadlines": _PATIENCE, "thorough": True})
    jobs = min(jobs or os.cpu_count() or 1, max(1, len(rows) // (2 * _CHUNK)))
    if jobs > 1:
        yield from _spread(rows, policy, settings, jobs)
        return
    with Guard.from_policy(policy, settings=settings) as guard:
        for row in rows:
            yield judge(guard, row)


def judge(guard: Guard, row: Row) -> Result:
    """Judge one row. What the guard refuses to judge counts as blocked by the rule `refused-prompt` or `-picture`.

    Raises:
        ConfigurationError: its picture cannot be read.
    """
    picture = _read(row, guard.settings.limits.max_picture_bytes)
    begun = time.perf_counter()
    try:
        verdicts = _verdicts(guard, row, picture)
    except InputError as error:
        spent = (time.perf_counter() - begun) * 1000
        return Result(row.id, Action.BLOCK, (f"refused-{error.code}",), {}, spent, judged=False)
    spent = (time.perf_counter() - begun) * 1000
    signals: dict[str, float] = {}
    for verdict in verdicts:
        for name, score in verdict.scores.items():
            signals[name] = max(signals.get(name, 0.0), round(score, 4))
    fired = (reason.rule for verdict in verdicts for reason in verdict.reasons if reason.mode != "shadow")
    kept_back = [verdict for verdict in verdicts if not verdict.released]
    return Result(
        id=row.id,
        action=max((verdict.action for verdict in verdicts), key=lambda action: action.severity),
        rules=tuple(dict.fromkeys(fired)),
        signals=signals,
        ms=spent,
        judged=not kept_back or not all(verdict.fault for verdict in kept_back),
    )


def _verdicts(guard: Guard, row: Row, picture: bytes) -> Sequence[Verdict]:
    prompts = (Prompt(row.text),) if row.text is not None else ()
    if row.image is None:
        return (guard.check_prompt_sync(GenerationRequest(prompts)),)
    uploads = (Picture(picture),) if row.stage is Stage.INPUT else ()
    request = GenerationRequest(prompts, uploads, "edit" if uploads else "generate")
    before = (guard.check_prompt_sync(request),) if prompts else ()
    if uploads:
        return (*before, guard.check_inputs_sync(request, before))
    # The row asks about the picture; the prompt that led to it is only what rules may join it with.
    return guard.check_outputs_sync(request, [picture], before)


def _read(row: Row, limit: int) -> bytes:
    if row.image is None:
        return b""
    try:
        with row.image.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise ConfigurationError(f"{row.place}: the picture cannot be read: {error.strerror}") from error


_started: Guard | GuardrailError | None = None


def _start(policy: str, settings: Settings) -> None:
    global _started
    # Ctrl-C reaches the whole group; the parent ends this process in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _started = Guard.from_policy(policy, settings=settings)
    except GuardrailError as error:
        # Raised from here it would only break the pool; with the first rows it reaches the caller as it is.
        _started = error


def _judge_chunk(rows: Sequence[Row]) -> list[Result]:
    if isinstance(_started, GuardrailError):
        raise _started
    assert _started is not None
    return [judge(_started, row) for row in rows]


def _spread(rows: Sequence[Row], policy: str, settings: Settings, jobs: int) -> Generator[Result, None, None]:
    waiting: deque[Future[list[Result]]] = deque()
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start, initargs=(policy, settings)) as pool:
        try:
            for start in range(0, len(rows), _CHUNK):
                waiting.append(pool.submit(_judge_chunk, rows[start : start + _CHUNK]))
                if len(waiting) > jobs * _CHUNKS_AHEAD:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool:
            advice = "Run with fewer --jobs: memory may be short."
            raise ConfigurationError("a process that judges rows died", advice=advice) from None
        finally:
            for future in waiting:
                future.cancel()

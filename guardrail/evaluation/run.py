"""A labelled set through the guard, row by row, on every core."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigurationError
from guardrail.guard import Guard
from guardrail.settings import Settings
from guardrail.signals import GenerationRequest, Picture, Prompt
from guardrail.taxonomy import Stage
from guardrail.verdict import Verdict

_LABELS = ("block", "allow", "ambiguous")
_CHUNK = 64
_guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a set: what to judge, and the raw row for labels."""

    data: dict[str, Any]
    image: Path | None


def read_set(path: Path) -> list[Row]:
    """Read a JSONL set.

    Raises:
        ConfigurationError: a row is not JSON, lacks `id`, `text` or `image`, has an unknown stage or label, or names a
            picture that is not there; the message names file and line.
    """
    rows = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    rows.append(_row(line, path, number))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {type(error).__name__}") from error
    return rows


def run(
    rows: Sequence[Row], policy: str, settings: Settings, *, jobs: int = 0, advance: Callable[[], None] | None = None
) -> list[dict[str, Any]]:
    """Judge every row; results in the order of the rows.

    Args:
        rows: from `read_set`.
        policy: shipped name or file.
        settings: nothing is recorded, whatever they say.
        jobs: processes; 0 means one a core.
        advance: called after each row.

    Raises:
        GuardrailError: the guard does not start.
    """
    settings = settings.model_copy(update={"record": False, "workers": 1})
    results: list[dict[str, Any]] = []
    jobs = min(jobs or os.cpu_count() or 1, max(1, len(rows) // _CHUNK))
    if jobs == 1:
        _start(policy, settings)
        for row in rows:
            results.append(_judge(row))
            if advance:
                advance()
        return results
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start, initargs=(policy, settings)) as pool:
        for result in pool.map(_judge, rows, chunksize=_CHUNK):
            results.append(result)
            if advance:
                advance()
    return results


def _row(line: str, path: Path, number: int) -> Row:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path}:{number}: not JSON: {error.msg}") from error
    if not isinstance(data, dict) or not isinstance(data.get("id"), str):
        raise ConfigurationError(f"{path}:{number}: a row needs an `id`")
    if not isinstance(data.get("text"), str) and not isinstance(data.get("image"), str):
        raise ConfigurationError(f"{path}:{number}: a row needs `text` or `image`")
    stage, label = data.get("stage", "prompt"), data.get("label", "ambiguous")
    if stage not in tuple(Stage) or label not in _LABELS:
        raise ConfigurationError(f"{path}:{number}: unknown stage {stage!r} or label {label!r}")
    image = path.parent / data["image"] if isinstance(data.get("image"), str) else None
    if image is not None and not image.is_file():
        raise ConfigurationError(f"{path}:{number}: no picture at {data['image']}")
    return Row(data, image)


def _start(policy: str, settings: Settings) -> None:
    global _guard
    _guard = Guard.from_policy(policy, settings=settings)


def _judge(row: Row) -> dict[str, Any]:
    assert _guard is not None
    begun = time.perf_counter()
    verdicts = list(_verdicts(_guard, row))
    spent = (time.perf_counter() - begun) * 1000
    gravest = max(verdicts, key=lambda verdict: verdict.action.severity)
    signals: dict[str, float] = {}
    for verdict in verdicts:
        for name, score in verdict.scores.items():
            signals[name] = max(signals.get(name, 0.0), round(score, 4))
    rules = [reason.rule for verdict in verdicts for reason in verdict.reasons if reason.mode != "shadow"]
    return {
        "id": row.data["id"],
        "action": gravest.action.value,
        "rules": rules,
        "signals": signals,
        "ms": round(spent, 3),
    }


def _verdicts(guard: Guard, row: Row) -> Iterator[Verdict]:
    text = row.data.get("text")
    prompts = (Prompt(text),) if isinstance(text, str) else ()
    if row.image is None:
        yield guard.check_prompt_sync(GenerationRequest(prompts))
        return
    picture = row.image.read_bytes()
    if row.data.get("stage") == Stage.INPUT:
        request = GenerationRequest(prompts, (Picture(picture),), "edit")
        before = [guard.check_prompt_sync(request)] if prompts else []
        yield from (*before, guard.check_inputs_sync(request, before))
        return
    yield from guard.check_outputs_sync(GenerationRequest(prompts), [picture])

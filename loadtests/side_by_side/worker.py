"""The process that holds one tool: JSON lines in, JSON lines out, and the clock read around the call alone.

    python -m loadtests.side_by_side.worker CORE

Runs in the environment of the tool it measures and needs nothing but the standard library itself. Requests:

- `{"do": "load", "subject": "module:function", "config": {...}}` -> `{"versions": {...}}`
- `{"do": "time", "warm": [...], "texts": [...]}` -> `{"wall_ns": [...], "cpu_ns": [...], "stopped": 0}`:
  one time for each of `texts`, and how many of them were stopped
- `{"do": "judge", "texts": [...]}` -> `{"stopped": [true, ...]}`
- `{"do": "memory"}` -> `{"rss_mb": 1.0, "peak_mb": 1.0}`

What goes wrong is answered as `{"error": "TypeName: message"}`. The end of standard input ends the process.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.side_by_side.subjects import Subject


class Worker:
    """Answers requests about one subject."""

    def __init__(self) -> None:
        self._subject: Subject | None = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request. Raises whatever the subject raises, ValueError for an unknown request."""
        match request:
            case {"do": "load", "subject": str(reference), "config": dict(config)}:
                module, _, function = reference.partition(":")
                self._subject = getattr(importlib.import_module(module), function)(config)
                return {"versions": dict(self._loaded.versions)}
            case {"do": "time", "warm": list(warm), "texts": list(texts)}:
                return self._time(warm, texts)
            case {"do": "judge", "texts": list(texts)}:
                return {"stopped": [self._loaded.stops(text) for text in texts]}
            case {"do": "memory"}:
                return _memory()
        raise ValueError(f"unknown request with the keys {sorted(request)}")

    def _time(self, warm: list[str], texts: list[str]) -> dict[str, Any]:
        stops = self._loaded.stops
        for text in warm:
            stops(text)
        wall, cpu, stopped = [], [], 0
        for text in texts:
            used, begun = time.process_time_ns(), time.perf_counter_ns()
            verdict = stops(text)
            ended = time.perf_counter_ns()
            wall.append(ended - begun)
            cpu.append(time.process_time_ns() - used)
            stopped += verdict
        return {"wall_ns": wall, "cpu_ns": cpu, "stopped": stopped}

    @property
    def _loaded(self) -> Subject:
        if self._subject is None:
            raise ValueError("nothing is loaded")
        return self._subject


def _memory() -> dict[str, Any]:
    """Resident megabytes now and at most; getrusage would count what the parent held before exec."""
    status = Path("/proc/self/status").read_text()
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
    return {"rss_mb": int(found["VmRSS"]) / 1024, "peak_mb": int(found["VmHWM"]) / 1024}


def main() -> int:
    """Serve requests until standard input ends."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    # Some tools log to standard output: it becomes standard error, and answers get a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

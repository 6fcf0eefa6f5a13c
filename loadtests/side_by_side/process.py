"""The runner's end of a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class WorkerError(RuntimeError):
    """The worker answered with an error, died, or took too long."""


class WorkerProcess:
    """A worker in the environment of `python`, pinned to one core; ends with the `with` block.

    Args:
        python: the interpreter of the environment.
        core: the processor it may run on.
        timeout: seconds that one answer may take.
    """

    def __init__(self, python: Path, core: int, *, timeout: float = 600.0) -> None:
        self._timeout = timeout
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed in __exit__)
        self._begun = time.perf_counter()
        self._process = subprocess.Popen(
            [str(python), "-m", "loadtests.side_by_side.worker", str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=ROOT,
            env={**os.environ, **_OFFLINE, **dict.fromkeys(_THREADS, "1"), "PYTHONPATH": str(ROOT)},
            encoding="utf-8",
        )

    def load(self, subject: str, config: dict[str, Any]) -> tuple[float, dict[str, str]]:
        """Load `subject` ("module:function"). Seconds since the process was started, and versions.

        Raises:
            WorkerError: it did not load.
        """
        versions = self.ask({"do": "load", "subject": subject, "config": config})["versions"]
        return time.perf_counter() - self._begun, versions

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One answer.

        Raises:
            WorkerError: an error instead of an answer, no answer in time, or the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Timer(self._timeout, self._process.kill)
        late.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            late.cancel()
        if not line:
            status = self._process.wait()
            raise WorkerError(f"the worker ended with status {status}; its last words: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"the worker answers: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read()[-2000:].strip() or "none"

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._stderr.close()

"""Verdicts, templates and child processes for the tests of this folder."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guardrail.records import DecisionLog
from guardrail.settings import Settings
from guardrail.signals import Coverage, Evidence, GenerationRequest, Signal
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, PolicyRef, Reason, Verdict

REQUEST = GenerationRequest(actor="actor-marker", tenant="studio")


def verdict(action: Action = Action.BLOCK, *, rule: str = "a-rule", message: str = "why") -> Verdict:
    """A verdict with one reason, one signal and one skip."""
    return Verdict(
        Stage.PROMPT,
        action,
        (Reason(rule, action, message, ("sexual.nudity",)),),
        (Signal("sexual.nudity", 0.9, "text.lexicon", (Evidence(span=(3, 9)),)),),
        Coverage(("text.lexicon",)),
        PolicyRef("default", "1", "sha256:0"),
        subject="blake2b:" + "0" * 64,
    )


def templates(seed: int, count: int = 1) -> NDArray[np.float32]:
    """Random unit vectors, (count, 128)."""
    rows = np.random.default_rng(seed).standard_normal((count, 128)).astype(np.float32)
    found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def pdq(seed: int) -> NDArray[np.uint8]:
    """Random bytes in the shape of a PDQ hash."""
    return np.random.default_rng(seed).integers(0, 256, 32, dtype=np.uint8)


def all_bytes(folder: Path) -> bytes:
    """Every byte of every file below a folder, the database's side files among them."""
    return b"\0".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def child(code: str, settings: Settings) -> subprocess.Popen[str]:
    """A Python process that has `settings` for the same data folder and runs `code`."""
    start = (
        f"from guardrail.settings import load_settings\nsettings = load_settings(data_dir={str(settings.data_dir)!r})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", start + code],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def together(code: str, settings: Settings, count: int, *, imports: str) -> list[str]:
    """What each of `count` processes prints that run `code` at the same moment, after their imports."""
    children = [child(f"{imports}\nprint('ready', flush=True)\ninput()\n{code}", settings) for _ in range(count)]
    for process in children:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in children:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate(timeout=60)[0].strip() for process in children]


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as `true()`; fail the test when that takes too long."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def recover(log: DecisionLog) -> None:
    """Wait for the writer to find that writing works again."""
    wait_until(lambda: log.healthy)

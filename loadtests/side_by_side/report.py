"""One tool's figures, and the tables of docs/PERFORMANCE.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Timed:
    """Nanoseconds of every timed call on one kind of text.

    Attributes:
        wall: what a caller waits.
        cpu: processor time of the process.
        stopped: how many of the calls stopped their harmless text.
    """

    wall: list[int] = field(default_factory=list)
    cpu: list[int] = field(default_factory=list)
    stopped: int = 0

    def summary(self) -> dict[str, float]:
        """Milliseconds: p50 and p95 of the wall clock, median of the processor time; and the count `stopped`."""
        return {
            "p50_ms": statistics.median(self.wall) / 1e6,
            "p95_ms": sorted(self.wall)[-(-len(self.wall) * 95 // 100) - 1] / 1e6,
            "cpu_ms": statistics.median(self.cpu) / 1e6,
            "stopped": self.stopped,
        }


@dataclass
class Row:
    """What was measured of one tool.

    Attributes:
        start: seconds from starting its process until it was loaded.
        versions: distribution name -> version.
        asked: for each prompt of the sample that asks for what must be stopped, whether it was.
        benign: for each harmless prompt of the sample, whether it was stopped.
        memory: megabytes, `rss_mb` after the runs and `peak_mb`.
    """

    start: float
    versions: Mapping[str, str]
    timed: dict[str, Timed] = field(default_factory=dict)
    asked: Sequence[bool] = ()
    benign: Sequence[bool] = ()
    memory: Mapping[str, float] = field(default_factory=dict)

    def add(self, kind: str, answer: Mapping[str, Any]) -> None:
        """Take in a worker's answer to a request to time some texts of `kind`."""
        timed = self.timed.setdefault(kind, Timed())
        timed.wall += answer["wall_ns"]
        timed.cpu += answer["cpu_ns"]
        timed.stopped += answer["stopped"]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "start_s": self.start,
            "versions": dict(self.versions),
            "texts": {kind: timed.summary() for kind, timed in self.timed.items()},
            "asked_stopped": list(self.asked),
            "benign_stopped": list(self.benign),
            "memory": dict(self.memory),
        }


def as_text(found: Mapping[str, Any]) -> str:
    """The measurement as Markdown: one table for speed, one for the rest.

    Args:
        found: what `--json` prints.
    """
    rows: Mapping[str, Any] = found["rows"]
    kinds = list(next(iter(rows.values()))["texts"])
    versions = {name: number for row in rows.values() for name, number in row["versions"].items()}
    before, after = found["load_average"]
    head = [
        f"{found['date']}, {found['machine']}, Python {found['python']}, one core, {found['rounds']} texts of "
        f"each kind; load average {before} before, {after} after",
        ", ".join(f"{name} {number}" for name, number in versions.items()),
    ]
    speed = [["p50 / p95 (CPU), ms", *kinds]]
    for label, row in rows.items():
        speed.append([label, *(_speed(row["texts"][kind]) for kind in kinds)])
    rest = [["", "asks stopped", "benign stopped", "start, s", "resident, MB"]]
    for label, row in rows.items():
        counts = [f"{sum(row[key])} of {len(row[key])}" for key in ("asked_stopped", "benign_stopped")]
        rest.append([label, *counts, f"{row['start_s']:.1f}", f"{row['memory']['rss_mb']:.0f}"])
    return "\n\n".join([*head, _table(speed), _table(rest)])


def _speed(row: Mapping[str, float]) -> str:
    return f"{_short(row['p50_ms'])} / {_short(row['p95_ms'])} ({_short(row['cpu_ms'])})"


def _short(number: float) -> str:
    """Three significant digits."""
    return f"{number:.3f}" if number < 1 else f"{number:.2f}" if number < 10 else f"{number:.3g}"


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(lines[0].strip("|").split("|")), *lines[1:]])

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
        sample: label -> for each prompt of the sample with that label, whether it was stopped.
        memory: megabytes, `rss_mb` after the runs and `peak_mb`.
    """

    start: float
    versions: Mapping[str, str]
    timed: dict[str, Timed] = field(default_factory=dict)
    sample: dict[str, list[bool]] = field(default_factory=dict)
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
            "sample_stopped": self.sample,
            "memory": dict(self.memory),
        }


def as_text(found: Mapping[str, Any]) -> str:
    """The measurement as Markdown: one table for speed, one for what was stopped, start and memory.

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
    rest = [["stopped", "nudity asked", "people named", "benign", "timed texts", "start, s", "resident, MB"]]
    for label, row in rows.items():
        counts = [_share(row["sample_stopped"][key]) for key in ("nudity", "names", "benign")]
        timed = row["texts"].values()
        counts.append(f"{sum(kind['stopped'] for kind in timed)} of {len(kinds) * found['rounds']}")
        rest.append([label, *counts, f"{row['start_s']:.1f}", f"{row['memory']['rss_mb']:.0f}"])
    return "\n\n".join([*head, _table(speed), _table(rest)])


def _share(stopped: Sequence[bool]) -> str:
    return f"{sum(stopped)} of {len(stopped)}"


def _speed(row: Mapping[str, float]) -> str:
    return f"{_short(row['p50_ms'])} / {_short(row['p95_ms'])} ({_short(row['cpu_ms'])})"


def _short(number: float) -> str:
    """Three significant digits."""
    return f"{number:.3f}" if number < 1 else f"{number:.2f}" if number < 10 else f"{number:.3g}"


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(lines[0].strip("|").split("|")), *lines[1:]])

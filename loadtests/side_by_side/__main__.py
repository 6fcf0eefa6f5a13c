"""guardrail's prompt check beside llm-guard's scanners and presidio-analyzer: speed, memory and what each one stops.

    make bench-rivals          (makes build/rivals once, then runs this)
    python -m loadtests.side_by_side --rivals build/rivals/bin/python [--rounds 300] [--json]

Every tool lives in a process of its own on the same single core. They take turns after every few texts, so that a busy
moment of the machine does not hit one of them alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from guardrail.cli.bench import processors
from loadtests.side_by_side.process import ROOT, WorkerError, WorkerProcess
from loadtests.side_by_side.report import Row, as_text
from loadtests.side_by_side.workload import KINDS, lists, sample, texts, write_policy

_SUBJECTS = {
    "guardrail, rules only": ("guardrail_rules", False),
    "guardrail, with networks": ("guardrail_networks", False),
    "llm-guard BanSubstrings": ("ban_substrings", True),
    "llm-guard BanSubstrings, words": ("ban_words", True),
    "llm-guard Regex": ("regex", True),
    "presidio PERSON": ("presidio", True),
}
_NAMES = 50_000
_TURN = 10
_WARM, _FIRST_WARM = 3, 20


def main() -> int:
    """Print the tables, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", type=Path, default=ROOT / "build" / "rivals" / "bin" / "python")
    parser.add_argument("--rounds", type=int, default=300, help="different texts of each kind")
    parser.add_argument("--names", type=int, default=_NAMES, help="names on guardrail's own list")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    if not options.rivals.exists():
        print(f"{options.rivals} is missing: run `make bench-rivals`", file=sys.stderr)
        return 2
    try:
        found = measured(options.rivals, options.rounds, options.names)
    except WorkerError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(found, ensure_ascii=False) if options.as_json else as_text(found))
    return 0


def measured(rivals: Path, rounds: int, names: int) -> dict[str, Any]:
    """Machine, versions, and a row for each tool.

    Args:
        rivals: the interpreter of the rivals' environment.
        rounds: different texts of each kind.
        names: names on guardrail's own list, beside the shipped ones.

    Raises:
        WorkerError: a tool could not be started or failed.
    """
    core = max(os.sched_getaffinity(0))
    phrases, patterns = lists()
    before = os.getloadavg()[0]
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        write_policy(Path(folder))
        config = {"folder": folder, "names": names, "phrases": phrases, "patterns": patterns}
        workers: dict[str, WorkerProcess] = {}
        for label, (function, elsewhere) in _SUBJECTS.items():
            python = rivals if elsewhere else Path(sys.executable)
            workers[label] = stack.enter_context(WorkerProcess(python, core))
            started, versions = workers[label].load(f"loadtests.side_by_side.subjects:{function}", config)
            rows[label] = Row(started, versions)
        for kind in KINDS:
            _take_turns(workers, rows, kind, rounds)
        for label, worker in workers.items():
            for kind, prompts in sample().items():
                rows[label].sample[kind] = worker.ask({"do": "judge", "texts": prompts})["stopped"]
            rows[label].memory = worker.ask({"do": "memory"})
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": processors(),
        "python": platform.python_version(),
        "rounds": rounds,
        "names": names,
        "load_average": [round(before, 1), round(os.getloadavg()[0], 1)],
        "rows": {label: row.as_dict() for label, row in rows.items()},
    }


def _take_turns(workers: dict[str, WorkerProcess], rows: dict[str, Row], kind: str, rounds: int) -> None:
    # No text comes twice: some tools remember the last ones.
    fresh = iter(texts(kind, rounds + _FIRST_WARM + _WARM * rounds // _TURN + _WARM))
    for begin in range(0, rounds, _TURN):
        warm = list(islice(fresh, _WARM if begin else _FIRST_WARM))
        turn = list(islice(fresh, min(_TURN, rounds - begin)))
        for label, worker in workers.items():
            rows[label].add(kind, worker.ask({"do": "time", "warm": warm, "texts": turn}))


if __name__ == "__main__":
    sys.exit(main())

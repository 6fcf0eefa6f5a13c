"""Cut a labelled set and its results into two halves by hash of the id, to see whether figures hold on both.

    python models/training/halves.py SET.jsonl RESULTS.jsonl OUT
    guardrail eval OUT/tuned.jsonl --results OUT/tuned.results.jsonl --slices models/training/slices.yaml
    guardrail eval OUT/other.jsonl --results OUT/other.results.jsonl --slices models/training/slices.yaml

The first half is the one to tune on. Over-fitting shows as a gap.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path


def tuned(name: str) -> bool:
    """Whether a row belongs to the half to tune on."""
    return hashlib.sha256(name.encode()).digest()[0] < 128


def main(rows: str, results: str, out: str) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for source, suffix in ((rows, ""), (results, ".results")):
        halves: dict[bool, list[str]] = {True: [], False: []}
        for line in Path(source).read_text(encoding="utf-8").split("\n"):
            if line:
                halves[tuned(json.loads(line)["id"])].append(line)
        for first, name in ((True, "tuned"), (False, "other")):
            (folder / f"{name}{suffix}.jsonl").write_text("\n".join(halves[first]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:4])

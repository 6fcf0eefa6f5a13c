"""`python -m tests.fuzz --cases 200000`: prints outcomes; keeps files that break a rule; exits 1 when there are any."""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import sys
import time
from pathlib import Path

from tests.fuzz.cases import MEGABYTES, peak, run
from tests.fuzz.seeds import seeds

HANG = 300
"""Seconds after which a batch of cases is taken to hang, long enough for a machine that is busy with other work: its
stack is printed and the process ends."""
BATCH = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    given = parser.parse_args()
    samples, broken, done, slowest = seeds(), 0, 0, 0.0
    begun, outcomes, settled = time.monotonic(), dict[str, int](), 0
    while done < given.cases:
        faulthandler.dump_traceback_later(HANG, exit=True)
        report = run(samples, given.seed * 1_000_003 + done, min(BATCH, given.cases - done))
        faulthandler.cancel_dump_traceback_later()
        done += report.cases
        slowest = max(slowest, report.slowest)
        for name, count in report.outcomes.items():
            outcomes[name] = outcomes.get(name, 0) + count
        for message, data in report.failures:
            broken += 1
            given.keep.mkdir(parents=True, exist_ok=True)
            path = given.keep / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
            path.write_bytes(data)
            print(f"{message}: {path}", flush=True)
        settled = settled or peak()
        if done % 10_000 < BATCH:
            print(f"{done} cases, {time.monotonic() - begun:.0f} s", flush=True)
    grown = peak() - settled
    if grown > MEGABYTES:
        broken += 1
        print(f"memory grew by {grown} MB")
    print(f"{done} cases from {len(samples)} files, slowest {1000 * slowest:.0f} ms CPU, memory grew by {grown} MB")
    print(f"{broken} broke a rule")
    print(", ".join(f"{name} {count}" for name, count in sorted(outcomes.items(), key=lambda item: -item[1])))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

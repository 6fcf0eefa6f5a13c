"""A tool small enough to be understood at a glance, for a worker in a test."""

from __future__ import annotations

import os
import time
from typing import Any

from loadtests.side_by_side.subjects import Subject


def build(config: dict[str, Any]) -> Subject:
    """Stops texts that hold `config["word"]`; talks on standard output as some tools do."""
    word: str = config["word"]
    print("loaded, says a tool that logs to standard output", flush=True)

    def stops(text: str) -> bool:
        if text == "hang":
            time.sleep(60)
        if text == "die":
            os._exit(7)
        os.write(1, b"scanned\n")
        return word in text

    return Subject(stops, {"tiny": "1.0", "core": ",".join(map(str, sorted(os.sched_getaffinity(0))))})

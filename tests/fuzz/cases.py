"""One case of the fuzzer, and what must hold: a picture or a typed error, soon, in little memory, and nothing else."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from guardrail.errors import PictureError
from guardrail.settings import Limits
from guardrail.signals import Picture
from guardrail.vision.containers.header import ADVICE
from guardrail.vision.decode import decode, structure
from guardrail.vision.hidden.bits import low_bit_texts, written_share
from guardrail.vision.hidden.planes import planes
from tests.fuzz.mutate import mutated

LIMITS = Limits(max_pixels=200_000, max_total_pixels=400_000, max_frames=16, max_picture_bytes=1 << 20)
SECONDS = 2.0
"""CPU seconds of one case."""
MEGABYTES = 96
"""Growth of the process over all cases after the first ones."""


@dataclass(slots=True)
class Report:
    """What cases came to."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_data: bytes = b""
    failures: list[tuple[str, bytes]] = field(default_factory=list)


def case(data: bytes) -> str:
    """Run one file through the structure pass and, where it stands, the decoder and the hidden planes.

    Returns:
        the reason of a typed error, or "decoded".

    Raises:
        whatever else happens: that is the finding.
    """
    try:
        header, orientation = structure(data, LIMITS)
        assert 1 <= orientation <= 8
        assert all(item.text for item in header.texts.items)
        picture = decode(Picture(data), LIMITS)
    except PictureError as error:
        return error.reason if error.reason in ADVICE else f"unknown reason {error.reason}"
    assert picture.frames
    assert all(note.what.startswith("picture.") for note in picture.notes)
    assert sum(frame.rgb.size for frame in picture.frames) <= 3 * (LIMITS.max_total_pixels + LIMITS.max_pixels)
    list(planes(picture))
    low_bit_texts(picture)
    written_share(picture.frames[0].rgb)
    return "decoded"


def files(samples: Mapping[str, bytes], seed: int, count: int) -> Iterator[bytes]:
    """`count` mutated files, the same for the same seed."""
    rng, pool = random.Random(seed), list(samples.values())
    for _ in range(count):
        yield mutated(rng.choice(pool), rng.choice(pool), rng)


def run(samples: Mapping[str, bytes], seed: int, count: int) -> Report:
    """Run `count` cases and collect what broke the rules."""
    report = Report()
    for data in files(samples, seed, count):
        begun = time.process_time()
        try:
            outcome = case(data)
            report.outcomes[outcome] += 1
            if outcome.startswith("unknown reason"):
                report.failures.append((outcome, data))
        except Exception as error:
            report.failures.append((f"{type(error).__name__}: {error}", data))
        spent = time.process_time() - begun
        if spent > report.slowest:
            report.slowest, report.slowest_data = spent, data
        if spent > SECONDS:
            report.failures.append((f"took {spent:.1f} s", data))
        report.cases += 1
    return report


def peak() -> int:
    """Megabytes of resident memory that the process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

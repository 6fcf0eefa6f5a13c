"""A few seconds of the fuzzer, with other files every time it is changed; `make fuzz` runs 200,000."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.cases import case, files, run
from tests.fuzz.mutate import MAX_BYTES, mutated
from tests.fuzz.seeds import seeds

SAMPLES = seeds()
FOUND = sorted((Path(__file__).parent / "found").glob("*.bin"))
"""Files that once broke a rule."""


@pytest.mark.parametrize("name", SAMPLES)
def test_every_seed_is_a_picture(name: str) -> None:
    assert case(SAMPLES[name]) == "decoded"


def test_mutated_files_end_in_a_picture_or_a_typed_error() -> None:
    report = run(SAMPLES, 20_261_125, 2_500)
    assert report.failures == []
    assert len(report.outcomes) > 4
    assert report.outcomes["decoded"] > 250


def test_the_mutator_repeats_itself_and_keeps_its_bound() -> None:
    assert list(files(SAMPLES, 7, 50)) == list(files(SAMPLES, 7, 50))
    assert len(mutated(bytes(MAX_BYTES), bytes(99), random.Random(3))) <= MAX_BYTES


def test_what_was_found_stays_mended() -> None:
    for path in FOUND:
        assert not case(path.read_bytes()).startswith("unknown"), path.stem

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from guardrail.cli._bench_hidden import counted, judged, kit
from guardrail.cli._bench_resample import ssim
from guardrail.cli.bench import command
from guardrail.errors import ConfigurationError


@pytest.mark.slow
@pytest.mark.models
def test_a_corpus_is_judged_once_and_counted(tmp_path: Path) -> None:
    counts = {"metadata": 1, "typographic": 1, "benign": 1}
    labels = kit()(tmp_path, "train", 3, counts)
    first = list(judged(tmp_path, labels, "default", 1))
    verdicts = tmp_path / "verdicts.jsonl"
    assert len(verdicts.read_text().splitlines()) == 3
    rows = [json.loads(line) for line in verdicts.read_text().splitlines()]
    # the second run believes what the first has written: a changed line shows in its figures
    verdicts.write_text("".join(json.dumps({**row, "suspected": True}) + "\n" for row in rows) + '{"file": "cut')
    again = counted(judged(tmp_path, labels, "default", 1))
    held = counted(first)
    assert held["metadata"][0].hits == again["metadata"][0].hits == 1
    assert held["all benign"][0].hits == 0
    assert (again["all attacks"][1].hits, again["all attacks"][1].n) == (2, 2)
    assert set(held) == {"metadata", "typographic", "benign photo", "all benign", "natural, screenshots", "all attacks"}


@pytest.mark.slow
@pytest.mark.models
def test_copies_of_attacks_are_said_to_hide_nothing(tmp_path: Path) -> None:
    arguments = ["hidden", "--half", "train", "--count", "sparse=1", "--jobs", "1", "--resample", "--json"]
    done = CliRunner().invoke(command, [*arguments, "--keep", str(tmp_path)], catch_exceptions=False)
    found = json.loads(done.stdout)["sparse"]
    assert found["gone"]["n"] == found["gone"]["hits"] == 1
    assert 0.9 < found["ssim_least"] <= found["ssim_mean"] <= 1.0


def test_a_set_that_is_unknown_is_told_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Known: sparse"):
        CliRunner().invoke(command, ["hidden", "--count", "tiny=1", "--keep", str(tmp_path)], catch_exceptions=False)


def test_likeness_is_one_for_the_same_and_falls_with_noise() -> None:
    rng = np.random.default_rng(2)
    plane = np.cumsum(rng.normal(0, 3, (64, 80)), axis=1).astype(np.float32) + 120
    noise = rng.normal(0, 1, plane.shape).astype(np.float32)
    assert ssim(plane, plane) == pytest.approx(1.0)
    little, much = ssim(plane, plane + 2 * noise), ssim(plane, plane + 20 * noise)
    assert 1 > little > much > 0
    flat = np.full((32, 32), 100, np.float32)
    # of flat planes only the means count: (2ab + C1) / (a^2 + b^2 + C1)
    assert ssim(flat, flat + 20) == pytest.approx((2 * 100 * 120 + 6.5025) / (100**2 + 120**2 + 6.5025), rel=1e-4)

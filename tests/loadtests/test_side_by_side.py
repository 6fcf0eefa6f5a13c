"""The benchmark beside other tools: its protocol with a real worker process, its texts, its tables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.policy import load_policy
from guardrail.text.normalise import clean, skeleton
from loadtests.side_by_side.process import ROOT, WorkerError, WorkerProcess
from loadtests.side_by_side.report import Row, Timed, as_text
from loadtests.side_by_side.subjects import guardrail_rules
from loadtests.side_by_side.workload import COUNT, KINDS, lists, sample, texts, write_policy

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins to a core, which needs Linux")

_TINY = "tests.loadtests.tiny_subject:build"
_RIVALS = ROOT / "build" / "rivals" / "bin" / "python"


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    """A worker of this environment on the first core that this process may use."""
    with WorkerProcess(Path(sys.executable), min(os.sched_getaffinity(0)), timeout=30) as process:
        yield process


def test_worker_times_and_judges_on_one_core(worker: WorkerProcess) -> None:
    started, versions = worker.load(_TINY, {"word": "nude"})
    assert started > 0
    assert versions == {"tiny": "1.0", "core": str(min(os.sched_getaffinity(0)))}
    timed = worker.ask({"do": "time", "warm": ["a nude figure"], "texts": ["a boat", "a nude figure", "a mill"]})
    assert [len(timed["wall_ns"]), len(timed["cpu_ns"]), timed["stopped"]] == [3, 3, 1]
    assert min(timed["wall_ns"]) > 0
    assert worker.ask({"do": "judge", "texts": ["nüde", "nude"]}) == {"stopped": [False, True]}
    memory = worker.ask({"do": "memory"})
    assert 1 < memory["rss_mb"] <= memory["peak_mb"]


def test_worker_answers_with_an_error_and_lives_on(worker: WorkerProcess) -> None:
    with pytest.raises(WorkerError, match="ValueError: nothing is loaded"):
        worker.ask({"do": "judge", "texts": ["a boat"]})
    with pytest.raises(WorkerError, match="ValueError: unknown request"):
        worker.ask({"do": "dance"})
    with pytest.raises(WorkerError, match="ModuleNotFoundError"):
        worker.load("no_such_module_here:build", {})
    worker.load(_TINY, {"word": "nude"})
    assert worker.ask({"do": "judge", "texts": ["nude"]}) == {"stopped": [True]}


def test_death_of_a_worker_is_told_with_its_last_words(worker: WorkerProcess) -> None:
    worker.load(_TINY, {"word": "nude"})
    with pytest.raises(WorkerError, match=r"(?s)status 7.*loaded, says a tool"):
        worker.ask({"do": "judge", "texts": ["die"]})
    with pytest.raises(WorkerError, match="status 7"):
        worker.ask({"do": "memory"})


def test_hanging_worker_is_ended() -> None:
    with WorkerProcess(Path(sys.executable), min(os.sched_getaffinity(0)), timeout=10) as worker:
        worker.load(_TINY, {"word": "nude"})
        worker._timeout = 0.3
        with pytest.raises(WorkerError, match="status -9"):
            worker.ask({"do": "judge", "texts": ["hang"]})


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_as_long_as_they_say_and_never_repeat(kind: str) -> None:
    found = texts(kind, 60)
    assert {len(text.split()) for text in found} == {int(kind.split()[0])}
    assert len(set(found)) == 60
    assert texts(kind, 60) == found, "the same in every run"


def test_hostile_texts_hide_ordinary_words() -> None:
    text = texts(KINDS[2], 1)[0]
    assert sum(not letter.isascii() for letter in text) > len(text) / 3
    assert {"Cf", "Mn"} <= {unicodedata.category(letter) for letter in text}
    known = {word for plain in texts(KINDS[1], 40) for word in plain.replace(",", "").split()}
    read = skeleton(clean(text)).replace(",", "").split()
    assert sum(word in known for word in read) > 0.9 * len(read)


def test_lists_are_full_and_match_no_timed_text() -> None:
    phrases, patterns = lists()
    assert [len(set(phrases)), len(set(patterns))] == [COUNT, COUNT]
    for text in (text for kind in KINDS for text in texts(kind, 30)):
        assert not any(phrase.lower() in text.lower() for phrase in phrases)
        assert not any(re.search(pattern, text) for pattern in patterns)


def test_sample_is_ten_against_ten() -> None:
    found = sample()
    assert [len(found["nudity"]) + len(found["names"]), len(found["benign"])] == [10, 10]


def test_guardrails_rules_decide_and_the_lists_only_flag(tmp_path: Path) -> None:
    write_policy(tmp_path)
    assert len(load_policy(tmp_path / "policy.yaml").rules) >= COUNT
    subject = guardrail_rules({"folder": str(tmp_path), "names": 10})
    assert subject.stops("a n u d e woman on a beach")
    assert not subject.stops("lipstick in nude tones on a marble table"), "the list holds the word and flags"


def test_percentiles_are_of_all_turns() -> None:
    row = Row(1.5, {"tiny": "1.0"})
    for turn in range(10):
        wall = [(turn * 10 + place + 1) * 1_000_000 for place in range(10)]
        row.add("77 words", {"wall_ns": wall, "cpu_ns": [2_000_000] * 10, "stopped": 1})
    assert row.timed["77 words"].summary() == {"p50_ms": 50.5, "p95_ms": 95.0, "cpu_ms": 2.0, "stopped": 10}
    assert Timed([3_000_000], [1_000_000]).summary()["p95_ms"] == 3.0


def test_tables_have_a_row_for_each_tool() -> None:
    row = Row(1.5, {"tiny": "1.0"}, memory={"rss_mb": 12.0, "peak_mb": 13.0})
    row.add("77 words", {"wall_ns": [100_000, 200_000], "cpu_ns": [1_000_000, 1_000_000], "stopped": 1})
    row.sample = {"nudity": [True, False], "names": [True], "benign": [False]}
    head = {"date": "2026-11-23", "machine": "1 x Tiny", "python": "3.11.7", "rounds": 2, "load_average": [0.1, 0.2]}
    shown = as_text({**head, "rows": {"tool": row.as_dict()}})
    assert "| tool | 0.150 / 0.200 (1.00) |" in shown
    assert "| tool | 1 of 2 | 1 of 1 | 0 of 1 | 1 of 2 | 1.5 | 12 |" in shown


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(600)
@pytest.mark.skipif(not _RIVALS.exists(), reason="build/rivals is absent: make bench-rivals")
def test_every_tool_answers_in_one_run() -> None:
    command = [sys.executable, "-m", "loadtests.side_by_side", "--rounds", "3", "--names", "100", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 6
    for row in rows.values():
        assert all(kind["p50_ms"] > 0 for kind in row["texts"].values())
        assert any(any(stopped) for stopped in row["sample_stopped"].values()), (
            "a tool that finds nothing is not set up"
        )


def test_missing_rivals_are_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadtests.side_by_side", "--rivals", str(tmp_path / "python")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "make bench-rivals" in done.stderr
    assert not done.stdout

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from guardrail.cli.eval import command
from guardrail.errors import ConfigurationError, PolicyError
from guardrail.settings import load_settings
from tests.evaluation.parts import write_policy, write_set
from tests.records.parts import child

Run = Callable[..., Result]
_ROWS = (
    {"id": "1", "text": "a nude woman", "label": "block", "category": "[bold]said"},
    {"id": "2", "text": "a red barn", "label": "allow", "category": "plain"},
    {"id": "3", "text": "a naked tree", "category": "plain"},
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("GUARDRAIL_MODELS_DIR", str(load_settings().models_dir))
    monkeypatch.setenv("GUARDRAIL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GUARDRAIL_POLICY", write_policy(tmp_path))
    return lambda *arguments: CliRunner().invoke(command, [str(part) for part in arguments])


@pytest.mark.models
def test_results_are_written_and_the_rates_printed(run: Run, tmp_path: Path) -> None:
    labelled, out = write_set(tmp_path / "set.jsonl", *_ROWS), tmp_path / "results.jsonl"
    printed = run(labelled, "--out", out, "--jobs", 1)
    assert printed.exit_code == 0
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [list(line) for line in lines] == [["id", "action", "rules", "signals", "ms"]] * 3
    assert [(line["id"], line["action"]) for line in lines] == [("1", "block"), ("2", "allow"), ("3", "allow")]
    assert "stopped of block: 1 of 1 = 100.00% (20.7% to 100.0%)" in printed.stdout
    assert "at block: precision 1.000, recall 1.000" in printed.stdout
    assert "left out as ambiguous: 1 of 3" in printed.stdout
    assert "[bold]said" in printed.stdout
    assert "by a limit or a fault" not in printed.stdout
    assert printed.stderr == "3 of 3 rows\n"


@pytest.mark.models
def test_json_is_alone_on_standard_output(run: Run, tmp_path: Path) -> None:
    first = write_set(tmp_path / "a.jsonl", *_ROWS)
    second = write_set(tmp_path / "b.jsonl", {"id": "4", "text": "a" * 40_000, "label": "block"})
    found = orjson.loads(run(first, second, "--json", "--policy", tmp_path / "policy.yaml").stdout)
    assert (found["policy"], found["rows"], found["unjudged"]) == (str(tmp_path / "policy.yaml"), 4, 1)
    assert found["stopped_of_block"]["n"] == 2


def test_a_set_that_is_wrong_is_refused_before_anything_is_judged_or_written(run: Run, tmp_path: Path) -> None:
    labelled, out = write_set(tmp_path / "set.jsonl", *_ROWS, {"id": "9"}), tmp_path / "results.jsonl"
    refused = run(labelled, "--out", out)
    assert isinstance(refused.exception, ConfigurationError)
    assert f"{labelled}:4: " in refused.exception.message
    assert not out.exists()
    assert not (tmp_path / "data").exists()


def test_results_never_overwrite_a_set(run: Run, tmp_path: Path) -> None:
    labelled = write_set(tmp_path / "set.jsonl", *_ROWS)
    before = labelled.read_bytes()
    assert run(labelled, "--out", tmp_path / "." / "set.jsonl").exit_code == 2
    (tmp_path / "link.jsonl").symlink_to(labelled)
    assert run(labelled, "--out", tmp_path / "link.jsonl").exit_code == 2
    assert labelled.read_bytes() == before


@pytest.mark.parametrize("arguments", [("--jobs", "-1"), ("--jobs", "x"), ("gone.jsonl",)])
def test_arguments_that_make_no_sense_are_usage_errors(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(write_set(tmp_path / "set.jsonl", *_ROWS), *arguments).exit_code == 2
    assert run().exit_code == 2


def test_results_that_cannot_be_written_are_typed_errors(run: Run, tmp_path: Path) -> None:
    labelled = write_set(tmp_path / "set.jsonl", *_ROWS)
    refused = run(labelled, "--out", tmp_path / "no" / "folder")
    assert isinstance(refused.exception, ConfigurationError)
    assert "cannot be written: No such file" in refused.exception.message
    unknown = run(labelled, "--policy", "nosuch")
    assert isinstance(unknown.exception, PolicyError)


@pytest.mark.models
def test_a_full_disk_ends_the_run_and_keeps_whole_rows(run: Run, tmp_path: Path) -> None:
    rows = [{"id": str(number), "text": "a red barn"} for number in range(30)]
    labelled, out = write_set(tmp_path / "set.jsonl", *rows), tmp_path / "results.jsonl"
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from guardrail.cli import eval as verb, main
write = verb._write
def full(file, result):
    if result.id == "20":
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.tell(), resource.RLIM_INFINITY))
    write(file, result)
verb._write = full
sys.argv = ["guardrail", "eval", {str(labelled)!r}, "--jobs", "1", "--out", {str(out)!r}]
sys.stderr = sys.stdout
main()
"""
    process = child(code, load_settings(data_dir=tmp_path / "data"))
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "results.jsonl cannot be written further" in printed
    assert "what to do: Make space" in printed
    assert [json.loads(line)["id"] for line in out.read_text("utf-8").splitlines()] == [str(id) for id in range(20)]

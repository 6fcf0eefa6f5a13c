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
    assert "at block: precision 1.000 (0.207 to 1.000), recall 1.000 (0.207 to 1.000)" in printed.stdout
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


_SLICES = """
slices:
  - {name: said, what: said in the text, label: block, families: [sexual.], against: plain}
  - {name: plain, what: everyday, families: [sexual.], where: {category: plain, label: allow}}
reliability:
  - {signals: [sexual.nudity], yes: [said], no: [plain]}
"""


def _results(path: Path, *actions: str) -> Path:
    rows = [
        {"id": str(at), "action": action, "rules": [], "signals": {"sexual.nudity": score}, "ms": at}
        for at, (action, score) in enumerate(zip(actions, (0.9, 0.2, 0.3), strict=True), 1)
    ]
    return write_set(path, *rows)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "slices.yaml").write_text(_SLICES, "utf-8")
    return {
        "set": write_set(tmp_path / "set.jsonl", *_ROWS),
        "now": _results(tmp_path / "now.jsonl", "block", "allow", "allow"),
        "old": _results(tmp_path / "old.jsonl", "allow", "allow", "hold"),
        "slices": tmp_path / "slices.yaml",
        "report": tmp_path / "report.html",
    }


def test_results_of_a_file_are_scored_without_the_guard(run: Run, files: dict[str, Path], tmp_path: Path) -> None:
    printed = run(files["set"], "--results", files["now"])
    assert printed.exit_code == 0
    assert "stopped of block: 1 of 1 = 100.00% (20.7% to 100.0%)" in printed.stdout
    assert "AUROC by family: sexual 1.000 (" in printed.stdout
    assert "reliability of sexual.nudity: ECE 0.150 over 2 of 2 rows, 0 of 2 bins off" in printed.stdout
    assert printed.stderr == ""
    assert not (tmp_path / "data").exists()
    found = orjson.loads(run(files["set"], "--results", files["now"], "--json").stdout)
    assert (found["policy"], found["unjudged"], found["rows"]) == (None, None, 3)
    missing = run(files["set"], "--results", write_set(tmp_path / "none.jsonl"))
    assert isinstance(missing.exception, ConfigurationError)
    assert "3 of the set's 3 rows have no result" in missing.exception.message


def test_slices_of_a_file_and_of_a_field(run: Run, files: dict[str, Path]) -> None:
    printed = run(files["set"], "--results", files["now"], "--slices", files["slices"])
    assert printed.exit_code == 0
    assert "100.0% [20.7, 100.0]" in printed.stdout
    assert "of plain" in printed.stdout
    assert "[bold]said" not in printed.stdout
    found = orjson.loads(run(files["set"], "--results", files["now"], "--slices", files["slices"], "--json").stdout)
    assert [row["name"] for row in found["slices"]] == ["said", "plain"]
    assert (found["reliability"]["sexual.nudity"]["yes"], found["reliability"]["sexual.nudity"]["rows"]) == ("said", 2)
    by = orjson.loads(
        run(files["set"], "--results", files["now"], "--by", "category", "--families", "sexual.,", "--json").stdout
    )
    assert [(row["name"], row["families"], row["n"]) for row in by["slices"]] == [
        ("[bold]said: block", ["sexual."], 1),
        ("plain: allow", ["sexual."], 1),
    ]
    assert "[bold]said: block" in run(files["set"], "--results", files["now"], "--by", "category").stdout


def test_a_comparison_counts_flips_and_lists_their_ids_when_asked(run: Run, files: dict[str, Path]) -> None:
    base = (files["set"], "--results", files["now"], "--against", files["old"])
    printed = run(*base, "--flips")
    assert printed.exit_code == 0
    assert "now stopped: 1\n" in printed.stdout
    assert "now released: 3\n" in printed.stdout
    assert "now stopped: 1" not in run(*base).stdout
    found = orjson.loads(run(*base, "--json").stdout)["against"]
    assert [(row["name"], row["gained"], row["lost"]) for row in found["groups"]] == [
        ("all rows", 1, 1),
        ("[bold]said: block", 1, 0),
        ("plain: allow", 0, 0),
    ]
    assert (found["file"], "flips" in found) == ("old.jsonl", False)
    listed = orjson.loads(run(*base, "--slices", files["slices"], "--flips", "--json").stdout)["against"]
    assert listed["flips"] == {"gained": ["1"], "lost": ["3"]}
    assert [row["name"] for row in listed["groups"]] == ["all rows", "said", "plain"]


def test_the_report_holds_figures_and_ids_and_no_prompt(run: Run, files: dict[str, Path]) -> None:
    options = ("--slices", files["slices"], "--against", files["old"], "--flips", "--report", files["report"])
    printed = run(files["set"], "--results", files["now"], "--policy", "mine", *options)
    assert printed.exit_code == 0
    page = files["report"].read_text("utf-8")
    for wanted in ("<svg", "mine", "set.jsonl", "old.jsonl", "ROC by slice", "Reliability of sexual.nudity"):
        assert wanted in page
    for row in _ROWS:
        assert row["text"] not in page
        assert row["text"] not in printed.stdout
    assert "<script" not in page
    assert run(files["set"], "--results", files["now"], *options).exit_code == 0
    assert "not known: the results were read from a file" in files["report"].read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--skip-empty",), "goes with --slices"),
        (("--families", "sexual."), "goes with --by"),
        (("--flips",), "goes with --against"),
        (("--by", "category", "--slices", "slices.yaml"), "not both"),
        (("--results", "now.jsonl", "--out", "x.jsonl"), "goes with a run"),
        (("--report", "set.jsonl"), "would overwrite"),
        (("--results", "now.jsonl", "--report", "now.jsonl"), "would overwrite"),
        (("--against", "old.jsonl", "--report", "old.jsonl"), "would overwrite"),
        (("--slices", "slices.yaml", "--out", "slices.yaml"), "would overwrite"),
        (("--out", "x", "--report", "x"), "would overwrite"),
        (("--results", "gone.jsonl"), "does not exist"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    run: Run, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(files["set"].parent)
    before = {name: path.read_bytes() for name, path in files.items() if path.exists()}
    refused = run("set.jsonl", *options)
    assert refused.exit_code == 2
    assert problem in " ".join(refused.stderr.split())
    assert {name: path.read_bytes() for name, path in files.items() if path.exists()} == before


def test_a_report_that_cannot_be_written_is_a_typed_error(run: Run, files: dict[str, Path], tmp_path: Path) -> None:
    refused = run(files["set"], "--results", files["now"], "--report", tmp_path / "no" / "report.html")
    assert isinstance(refused.exception, ConfigurationError)
    assert "no such folder" in refused.exception.message
    long = run(files["set"], "--results", files["now"], "--report", tmp_path / ("x" * 300))
    assert isinstance(long.exception, ConfigurationError)
    assert "--results saves judging again" in long.exception.advice


@pytest.mark.models
def test_a_run_can_be_sliced_compared_and_reported_at_once(run: Run, files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    options = ("--slices", files["slices"], "--against", files["old"], "--report", files["report"], "--out", out)
    first = run(files["set"], *options, "--jobs", 1, "--json")
    again = run(files["set"], *options[:-2], "--results", out, "--json")
    fresh, read = orjson.loads(first.stdout), orjson.loads(again.stdout)
    assert fresh["slices"] == read["slices"]
    assert fresh["against"]["groups"][0]["gained"] == 1
    assert str(tmp_path / "policy.yaml") in fresh["policy"]

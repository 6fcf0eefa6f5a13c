from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from guardrail.cli.policy import command
from guardrail.errors import PolicyError
from guardrail.policy import json_schema
from tests.policy.parts import rule, write

BODY = rule("when: sexual.nudity >= 0.5") + "\n"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    return result.exit_code, result.stdout


def test_lint_of_shipped_policies() -> None:
    status, printed = run("lint", "default", "art")
    assert status == 0
    assert "default: loads, 0 remarks" in printed
    assert "warning: inherited rule 'nudity-prompt' is relaxed" in printed


def test_lint_names_file_and_line_once(tmp_path: Path) -> None:
    bad = write(tmp_path, rule("when: sexual.nudty >= 0.5"))
    status, printed = run("lint", "default", str(bad))
    assert status == 1
    assert f"{bad}:9: error: no signal or fact is called 'sexual.nudty' (did you mean 'sexual.nudity'?)\n" in printed


def test_lint_as_json(tmp_path: Path) -> None:
    bad = write(tmp_path, "rules: 5\n")
    status, printed = run("lint", "default", str(bad), "--json")
    data = json.loads(printed)
    assert (status, data["passed"]) == (1, False)
    assert [len(item["findings"]) for item in data["files"]] == [0, 1]
    assert data["files"][1]["findings"][0]["line"] == 4


def test_lint_without_a_line(tmp_path: Path) -> None:
    status, printed = run("lint", str(tmp_path / "missing.yaml"))
    assert status == 1
    assert "missing.yaml: error: there is no such file" in printed


def test_tests_that_pass_and_fail(tmp_path: Path) -> None:
    good = write(tmp_path, BODY + "tests: [{name: n, signals: {sexual.nudity: 0.5}, expect: block}]\n", "good.yaml")
    bad = write(tmp_path, BODY + "tests: [{name: sky, signals: {sexual.nudity: 0.4}, expect: block}]\n", "bad.yaml")
    assert run("test", str(good)) == (0, f"{good}: policy mine, 1 of 1 passed\n")
    status, printed = run("test", str(good), str(bad))
    assert status == 1
    assert f"{bad}:10: sky\n  - expected block\n  + got      allow by no rule\n" in printed
    status, printed = run("test", str(bad), "--json")
    assert (status, json.loads(printed)["files"][0]["failures"][0]["test"]) == (1, "sky")


def test_a_file_that_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="holds no tests"):
        run("test", str(write(tmp_path, BODY)))


def test_schema(tmp_path: Path) -> None:
    assert json.loads(run("schema")[1]) == json_schema()
    assert run("schema", "--out", str(tmp_path / "schema.json")) == (0, "")
    assert json.loads((tmp_path / "schema.json").read_text("utf-8")) == json_schema()


def test_files_are_asked_for() -> None:
    assert run("lint")[0] == 2
    assert run("test")[0] == 2


CONCEPT = 'schema: guardrail/v1\nname: c\nversion: "1"\nconcepts:\n  snow: {like: [a village covered in snow]}\n'


@pytest.mark.models
def test_try_concept_lists_what_it_catches(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONCEPT, encoding="utf-8")
    (tmp_path / "prompts.txt").write_text("a red lantern\nein verschneites Dorf\n", encoding="utf-8")
    arguments = ("try-concept", str(tmp_path / "c.yaml"), "snow", str(tmp_path / "prompts.txt"))
    status, printed = run(*arguments)
    assert status == 0
    assert "line 2: ein verschneites Dorf" in printed
    assert "line 1" not in printed
    assert "1 of 2 prompts" in printed
    status, printed = run(*arguments, "--json", "--at", "0")
    data = json.loads(printed)
    assert (data["prompts"], data["caught"], [item["line"] for item in data["scores"]]) == (2, 2, [1, 2])


def test_try_concept_without_such_a_concept_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a barn\n", encoding="utf-8")
    with pytest.raises(PolicyError, match="it has: none"):
        run("try-concept", "default", "snow", str(tmp_path / "prompts.txt"))

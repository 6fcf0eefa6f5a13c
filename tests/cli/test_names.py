from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from guardrail.cli.names import command
from guardrail.errors import InputError
from guardrail.settings import Settings
from tests.records.parts import all_bytes

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("GUARDRAIL_DATA_DIR", str(settings.data_dir))
    return lambda *arguments: CliRunner().invoke(command, [str(part) for part in arguments])


def test_one_person_is_listed_shown_and_removed(run: Run, settings: Settings) -> None:
    added = run("add", "Ottoline Quarrywick", "--alias", "Otti Quarry", "--kind", "staff", "--protected", "--id", "c-7")
    assert (added.exit_code, added.output) == (0, "listed c-7\n")
    assert run("list").output == "c-7  staff  protected  Ottoline Quarrywick | Otti Quarry\n"
    (shown,) = json.loads(run("list", "--json").output)
    assert (shown["id"], shown["aliases"], shown["protected"]) == ("c-7", ["Otti Quarry"], True)
    assert run("remove", "c-7").output == "removed c-7\n"
    gone = run("remove", "c-7", "--json")
    assert (gone.exit_code, json.loads(gone.output)) == (1, {"id": "c-7", "removed": False})
    assert b"Quarrywick" not in all_bytes(settings.data_dir)


def test_a_file_is_listed_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("name,id\nPerrin Quarrywick,a\nTamsin Quarrywick,b\n", encoding="utf-8")
    bad.write_text("name,id\nCorin Quarrywick,c\nx,d\n", encoding="utf-8")
    refused = run("import", bad)
    assert isinstance(refused.exception, InputError)
    assert f"{bad}: line 3" in str(refused.exception)
    assert run("list").output == ""
    assert run("import", good).output == "listed 2\n"
    assert json.loads(run("import", good, "--json").output) == {"ids": ["a", "b"]}
    assert len(run("list").output.splitlines()) == 2
    assert "Columns: name" in " ".join(run("import", "--help").output.split())

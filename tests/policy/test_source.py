from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.errors import PolicyError
from guardrail.policy.schema import PolicyFile
from guardrail.policy.source import locate, parse, read_file, read_text
from guardrail.policy.tree import read
from tests.policy.parts import HEAD


def test_shipped_names_and_paths(tmp_path: Path) -> None:
    assert locate("default").name == "default.yaml"
    assert locate("x.yaml", tmp_path / "base.yaml") == (tmp_path / "x.yaml").resolve()
    assert locate(tmp_path / "x") == (tmp_path / "x").resolve()


@pytest.mark.parametrize("name", ["defualt", "schema", "lists"])
def test_names_that_are_not_shipped(name: str) -> None:
    with pytest.raises(PolicyError, match="no shipped policy"):
        locate(name)


def test_the_nearest_shipped_name_and_the_place() -> None:
    with pytest.raises(PolicyError, match=r"^base\.yaml:3: .*did you mean 'default'"):
        locate("defualt", Path("base.yaml"), 3)


@pytest.mark.parametrize("base", [None, Path("base.yaml")])
def test_text_that_is_no_path(base: Path | None) -> None:
    with pytest.raises(PolicyError, match="not a usable path"):
        locate("a\0.yaml", base)


def test_files_that_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 11)
    (tmp_path / "latin").write_bytes(b"\xe9")
    for name, message in [("missing", "no such file"), ("large", "more than 10"), ("latin", "UnicodeDecodeError")]:
        with pytest.raises(PolicyError, match=message):
            read_text(tmp_path / name, 10)
    with pytest.raises(PolicyError, match="no such file"):
        read_file(tmp_path)


def test_a_byte_order_mark_is_not_content(tmp_path: Path) -> None:
    (tmp_path / "marked.yaml").write_bytes("\ufeffa: 1".encode())
    assert read_file(tmp_path / "marked.yaml").data == {"a": 1}


@pytest.mark.parametrize(
    ("body", "message", "nearest", "line"),
    [
        ("rulse: []", "no field is called 'rulse'", "rules", 4),
        ("concept: {}", "no field is called 'concept'", "concepts", 4),
        ("zzzzzzzz: 1", "no field is called 'zzzzzzzz'", None, 4),
        ("on_error: blok", "'blok' is not one of hold, block", "block", 4),
        ("rules:\n  - id: x\n    stage: promt\n    then: block\n    message: m", "not one of prompt", "prompt", 6),
        ("rules:\n  - id: x\n    stage: [prompt, outptu]\n    then: block\n    message: m", "not one of", "output", 6),
        ("rules:\n  - id: x\n    stage: prompt\n    then: blok\n    message: m", "not one of allow", "block", 7),
        ("rules:\n  - id: x\n    stage: prompt\n    then: block", "'message' is missing", None, 5),
        ("rules:\n  - id: x\n    mesage: m\n    stage: prompt\n    then: block", "missing", None, 5),
        ("rules:\n  - id: X y\n    stage: prompt\n    then: block\n    message: m", "pattern", None, 5),
        ("rules:\n  - {id: x, stage: prompt, then: block, message: m, mesage: m}", "'mesage'", "message", 5),
        ("lists: {words: {trems: [a]}}", "no field is called 'trems'", "terms", 4),
        ("tests: [{name: n, expect: block, request: {tenent: a}}]", "'tenent'", "tenant", 4),
        ("relax: [{rule: one, because: short}]", "at least 10", None, 4),
        ("rules:\n  - {id: x, stage: prompt, then: block, message: m, rollout: true}", "valid integer", None, 5),
        ("rules:\n  - {id: x, stage: prompt, then: block, message: m, rollout: 101}", "less than or equal", None, 5),
        ("on_error: allow", "not one of hold, block", None, 4),
    ],
)
def test_faults_name_line_and_nearest(body: str, message: str, nearest: str | None, line: int) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(PolicyFile, read(HEAD + body, "f.yaml"))
    assert message in caught.value.message
    assert (caught.value.nearest, caught.value.line) == (nearest, line)
    assert caught.value.message.startswith(f"f.yaml:{line}: ")


def test_a_file_that_is_no_mapping() -> None:
    with pytest.raises(PolicyError, match=r"^f\.yaml:1: Input should be"):
        parse(PolicyFile, read("- a", "f.yaml"))

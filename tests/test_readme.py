"""The README's own examples work."""

import re
from pathlib import Path

import click
import pytest

from guardrail.cli import cli
from guardrail.policy import load_policy, run_suite

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_policy_loads_and_its_test_passes(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(_blocks("yaml")[0])
    assert load_policy(path).ref.name == "our-gallery"
    assert not run_suite(path).failures


@pytest.mark.parametrize("code", _blocks("python"))
def test_the_python_compiles_and_its_imports_exist(code: str) -> None:
    compile(code, "README.md", "exec")
    for line in code.splitlines():
        if line.startswith("from guardrail"):
            exec(line, {})


def test_every_command_named_exists() -> None:
    named = {line.split()[1] for block in _blocks("sh") for line in block.splitlines() if line.startswith("guardrail ")}
    context = click.Context(cli)
    for verb in named:
        assert cli.get_command(context, verb) is not None, verb


def test_every_linked_page_exists() -> None:
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (Path(__file__).resolve().parents[1] / target).exists(), target

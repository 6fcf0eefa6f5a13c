"""The complete policies in docs/POLICY.md load and pass their own tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guardrail.policy.lint import lint
from guardrail.policy.suite import run_suite

REFERENCE = Path(__file__).parents[2] / "docs" / "POLICY.md"
WHOLE = [
    block for block in re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text("utf-8"), re.DOTALL) if "tests:" in block
]


def test_there_are_some() -> None:
    assert any("poster-shop" in block for block in WHOLE)


@pytest.mark.parametrize("block", [block for block in WHOLE if block.startswith("schema:")])
def test_a_policy_of_the_reference_passes_its_tests(tmp_path: Path, block: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(block, encoding="utf-8")
    assert not [item for item in lint(path) if item.level == "error"]
    assert not run_suite(path).failures

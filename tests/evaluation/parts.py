"""Rows, results and a small policy for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path

from guardrail.evaluation import Result, Row
from guardrail.evaluation.sets import Value
from guardrail.taxonomy import Stage
from guardrail.verdict import Action

POLICY = """
schema: guardrail/v1
name: test
version: "1"
rules:
  - {id: nude, stage: prompt, when: sexual.nudity >= 0.9, then: block, message: nudity}
"""


def write_set(path: Path, *rows: object) -> Path:
    """A JSONL file; text is written as it is, anything else as JSON."""
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), "utf-8")
    return path


def write_policy(folder: Path) -> str:
    """A policy whose one rule blocks nudity in prompts."""
    path = folder / "policy.yaml"
    path.write_text(POLICY, "utf-8")
    return str(path)


def pair(
    label: str, action: Action, category: str = "", *, ms: float = 1.0, judged: bool = True, **scores: float
) -> tuple[Row, Result]:
    """A row and what came of it; `sexual_nudity=0.9` is the score of `sexual.nudity`."""
    signals = {name.replace("_", ".", 1): score for name, score in scores.items()}
    row = Row("1", "text", None, Stage.PROMPT, label, category, "set.jsonl:1")
    return row, Result("1", action, (), signals, ms, judged)


def row(id: str, label: str = "block", category: str = "", *, text: str = "text", **extra: Value) -> Row:
    """A row with further fields."""
    return Row(id, text, None, Stage.PROMPT, label, category, f"set.jsonl:{id}", extra)


def result(id: str, action: Action = Action.ALLOW, **scores: float) -> Result:
    """What came of a row; `sexual_nudity=0.9` is the score of `sexual.nudity`."""
    return Result(id, action, (), {name.replace("_", ".", 1): score for name, score in scores.items()}, 1.0)

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.errors import ConfigurationError, PolicyError
from guardrail.evaluation.concepts import concept_scores, read_prompts
from guardrail.policy import load_policy

POLICY = """\
schema: guardrail/v1
name: snowy
version: "1"
concepts:
  snow: {like: [a village covered in snow, children build a snowman]}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "snowy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def test_lines_and_json_lines_are_read_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text('a barn\n\n{"id": 1, "text": "a hut"}\n', encoding="utf-8")
    assert read_prompts(path) == [(1, "a barn"), (3, "a hut")]


@pytest.mark.parametrize("line", ["{", '{"prompt": "a"}', '{"text": 3}'])
def test_a_json_line_without_text_is_an_error_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(f"a barn\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"prompts\.jsonl:2"):
        read_prompts(path)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_file_is_prompts_or_a_typed_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.txt"
    path.write_bytes(data)
    with contextlib.suppress(ConfigurationError):
        assert all(text.strip() for _, text in read_prompts(path))


def test_an_unknown_concept_is_an_error_that_names_the_known(policy: Path) -> None:
    with pytest.raises(PolicyError, match="it has: snow"):
        concept_scores(load_policy(policy), "rain", [(1, "a barn")])
    with pytest.raises(PolicyError, match="it has: none"):
        concept_scores(load_policy("default"), "rain", [(1, "a barn")])


@pytest.mark.models
def test_prompts_are_scored_by_meaning(policy: Path) -> None:
    prompts = [(1, "ein verschneites Dorf in den Bergen"), (2, "a bowl of tomato soup")]
    found = concept_scores(load_policy(policy), "snow", prompts)
    assert [item.line for item in found] == [1, 2]
    assert found[0].score >= 0.5 > found[1].score

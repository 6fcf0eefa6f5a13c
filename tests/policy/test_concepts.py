"""Concepts of a policy: declared, read by rules, part of the digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.errors import PolicyError
from guardrail.policy import load_policy
from guardrail.signals import GenerationRequest, Prompt, Signal
from guardrail.taxonomy import Stage, is_signal
from guardrail.verdict import Action

HEAD = 'schema: guardrail/v1\nname: mine\nversion: "1"\n'
CONCEPT = """\
concepts:
  guns:
    like: [a gunfight in the street, soldiers firing machine guns]
    unlike: [a water pistol on the lawn]
"""
RULE = "rules:\n  - {id: guns, stage: prompt, when: concept.guns >= 0.5, then: hold, message: guns}\n"


def _written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_rule_reads_a_concept(tmp_path: Path) -> None:
    policy = load_policy(_written(tmp_path, HEAD + CONCEPT + RULE))
    (concept,) = policy.concepts
    assert (concept.signal, concept.like[0], concept.line) == ("concept.guns", "a gunfight in the street", 5)
    assert "concept.guns" in policy.signals_used(Stage.PROMPT)
    request = GenerationRequest((Prompt("x"),))
    for score, action in ((0.6, Action.HOLD), (0.4, Action.ALLOW)):
        found = policy.decide(Stage.PROMPT, [Signal("concept.guns", score, "text.concepts")], request=request)
        assert found.action is action


def test_a_later_stage_reads_what_the_prompt_meant(tmp_path: Path) -> None:
    rule = "rules:\n  - {id: g, stage: output, when: prompt.concept.guns >= 0.5, then: block, message: guns}\n"
    policy = load_policy(_written(tmp_path, HEAD + CONCEPT + rule))
    assert "concept.guns" in policy.signals_used(Stage.PROMPT)
    prior = {Stage.PROMPT: [Signal("concept.guns", 0.9, "text.concepts")]}
    request = GenerationRequest((Prompt("x"),))
    assert policy.decide(Stage.OUTPUT, (), request=request, prior=prior).action is Action.BLOCK


def test_sentences_shape_the_digest(tmp_path: Path) -> None:
    first = load_policy(_written(tmp_path, HEAD + CONCEPT + RULE)).ref.digest
    other = load_policy(_written(tmp_path, HEAD + CONCEPT.replace("lawn", "grass") + RULE)).ref.digest
    assert first != other


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (CONCEPT + RULE.replace("concept.guns", "concept.gums"), "concept.gums", 9),
        ("concepts: {guns: {like: []}}\n", "like", 4),
        ("concepts: {guns: {unlike: [a lawn]}}\n", "like", 4),
        ("concepts: {Guns: {like: [a gun]}}\n", "Guns", 4),
        ("concepts: {guns: {like: ['']}}\n", "like", 4),
        ("concepts: {guns: {like: [a gun], near: [b]}}\n", "near", 4),
    ],
)
def test_mistakes_are_errors_with_a_line(tmp_path: Path, text: str, message: str, line: int) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(_written(tmp_path, HEAD + text))
    assert message in str(caught.value)
    assert caught.value.line == line


def test_a_layer_cannot_redefine_an_inherited_concept(tmp_path: Path) -> None:
    _written(tmp_path, HEAD + CONCEPT + RULE, "base.yaml")
    child = _written(tmp_path, HEAD + "extends: base.yaml\n" + CONCEPT, "child.yaml")
    with pytest.raises(PolicyError, match="inherited") as caught:
        load_policy(child)
    assert caught.value.line == 6
    fine = _written(tmp_path, HEAD + "extends: base.yaml\n" + CONCEPT.replace("guns", "arms"), "fine.yaml")
    assert [concept.name for concept in load_policy(fine).concepts] == ["guns", "arms"]


def test_only_well_formed_names_are_signals() -> None:
    assert is_signal("concept.guns")
    for name in ("concept.", "concept.Guns", "concept.a.b", "concept.a-b", "xconcept.a", "concept." + "a" * 65):
        assert not is_signal(name)

"""What is wrong or worth a look in a policy file, without judging anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from guardrail.errors import PolicyError
from guardrail.policy.load import load_policy
from guardrail.policy.policy import Policy, Rule
from guardrail.policy.source import locate
from guardrail.signals import PICTURE_PARTS, GenerationRequest
from guardrail.taxonomy import Stage
from guardrail.verdict import Action

_PART = re.compile(r"['\"](picture[^'\"]*)['\"]")
_PARAM = re.compile(r"request\s*\.\s*params\s*(?:\[\s*(['\"])(\w+)\1\s*\]|\.\s*(\w+))")


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark.

    Attributes:
        level: "error": the policy does not load; "warning": it may not do what it says; "note": good to know.
        file, line: where, as far as it is known.
        message: what.
    """

    level: Literal["error", "warning", "note"]
    file: str | None
    line: int | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def lint(source: str | Path) -> tuple[Finding, ...]:
    """Findings on a policy file or shipped policy, gravest first. Never raises for what the file holds."""
    try:
        file = locate(source)
        policy = load_policy(source)
    except PolicyError as error:
        return (Finding("error", error.file or str(source), error.line, error.message),)
    order = ("error", "warning", "note")
    return tuple(sorted(_remarks(policy, str(file)), key=lambda item: order.index(item.level)))


def _remarks(policy: Policy, file: str) -> Iterator[Finding]:
    for item in policy.relaxed:
        yield Finding("warning", item.file, item.line, f"inherited rule {item.rule!r} is relaxed: {item.because}")
    for stage in Stage:
        if policy.signals_used(stage) and not policy.required(stage):
            yield Finding("note", file, None, f"`require` names no detector for stage {stage.value}")
    yield from _about_concepts(policy, file)
    for rule in policy.rules:
        for message in _about_rule(rule):
            yield Finding("warning", rule.source, rule.line, message)
        if rule.mode == "shadow":
            yield Finding("note", rule.source, rule.line, f"rule {rule.id!r} only watches (shadow)")
        elif rule.rollout < 100:
            yield Finding("note", rule.source, rule.line, f"rule {rule.id!r} acts on {rule.rollout} % of subjects")
    known = {rule.id: rule for rule in policy.rules}
    for stage in Stage:
        for reason in policy.decide(stage, (), request=GenerationRequest()).reasons:
            if reason.mode != "fault" and not known[reason.rule].textual:
                rule = known[reason.rule]
                message = f"rule {rule.id!r} holds at stage {stage.value} although nothing is raised"
                yield Finding("warning", rule.source, rule.line, message)


def _about_concepts(policy: Policy, file: str) -> Iterator[Finding]:
    """Concepts that a stage reads and nothing raises there, and what the picture side needs."""
    read = {stage: policy.signals_used(stage) for stage in Stage}
    for item in policy.concepts:
        place = item.file or file
        if item.signal in read[Stage.PROMPT] and not item.like:
            message = f"concept {item.name!r} is read from prompts, where only `like` sentences raise it"
            yield Finding("warning", place, item.line, message)
        if item.signal in read[Stage.INPUT] | read[Stage.OUTPUT] and item.shown is None:
            message = f"concept {item.name!r} is read from pictures, where only `shown` raises it"
            yield Finding("warning", place, item.line, message)
        if item.shown is not None:
            yield Finding("note", place, item.line, f"concept {item.name!r} needs a CLIP: `guardrail models export`")
            if item.shown.calibration is None:
                message = f"concept {item.name!r} is not calibrated: `guardrail policy calibrate-concepts`"
                yield Finding("warning" if item.shown.examples else "note", place, item.line, message)


def _about_rule(rule: Rule) -> Iterator[str]:
    if rule.action is Action.TRANSFORM and Stage.PROMPT in rule.stages:
        yield f"rule {rule.id!r} transforms at stage prompt, where the verdict closes: use stage input or output"
    if rule.action is Action.TRANSFORM and Stage.OUTPUT in rule.stages and rule.hide is None:
        yield f"rule {rule.id!r} transforms outputs without saying how, so the verdict closes: add `hide`"
    if rule.hide is not None and Stage.OUTPUT not in rule.stages:
        yield f"rule {rule.id!r} hides nothing at stage input, where copies go on: use stage output"
    source = rule.condition.source if rule.condition else ""
    if rule.condition and rule.condition.reads_coverage:
        for part in _PART.findall(source):
            if not any(known.startswith(part) or part.startswith(f"{known}:") for known in PICTURE_PARTS):
                yield f"rule {rule.id!r} asks for {part!r}, which is never skipped: one of {', '.join(PICTURE_PARTS)}"
    for _, quoted, selected in _PARAM.findall(source):
        name = quoted or selected
        if not re.search(rf"['\"]{name}['\"]\s+in\s+request|has\(\s*request\s*\.\s*params\s*\.\s*{name}\s*\)", source):
            yield f"rule {rule.id!r} fails on requests without {name!r}: write `'{name}' in request.params && ...`"

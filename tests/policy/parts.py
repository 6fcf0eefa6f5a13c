"""Shared by the policy tests: policies from text, signals from scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent

from guardrail.policy import Policy, load_policy
from guardrail.signals import Evidence, GenerationRequest, Picture, Prompt, Signal
from guardrail.taxonomy import Stage
from guardrail.verdict import Decision

HEAD = "schema: guardrail/v1\nname: mine\nversion: '1'\n"
BLANK = GenerationRequest()


def write(folder: Path, body: str, name: str = "mine.yaml") -> Path:
    """A policy file: the head, then `body`."""
    path = folder / name
    path.write_text(HEAD + dedent(body), encoding="utf-8")
    return path


def load(folder: Path, body: str) -> Policy:
    """The policy with `body` under the head."""
    return load_policy(write(folder, body))


def rule(fields: str) -> str:
    """A body with one rule at stage prompt that blocks; `fields` are its conditions and what differs."""
    given = {line.split(":")[0] for line in dedent(fields).splitlines()}
    base = {"id": "mine", "stage": "prompt", "then": "block", "message": "mine"}
    lines = [f"{name}: {value}" for name, value in base.items() if name not in given] + dedent(fields).splitlines()
    text = indent("\n".join(line for line in lines if line), "    ")
    return "rules:\n  - " + text.lstrip()


def raised(scores: Mapping[str, float], **detail: str) -> list[Signal]:
    """One signal a name, all with the same evidence detail."""
    evidence = (Evidence(detail=detail),) if detail else ()
    return [Signal(name, score, "test.parts", evidence) for name, score in scores.items()]


def decide(
    policy: Policy,
    scores: Mapping[str, float] | None = None,
    *,
    stage: Stage = Stage.PROMPT,
    prior: Mapping[Stage, Mapping[str, float]] | None = None,
    request: GenerationRequest = BLANK,
    subject: str = "",
) -> Decision:
    """What the policy makes of scores."""
    earlier = {when: raised(items) for when, items in (prior or {}).items()}
    return policy.decide(stage, raised(scores or {}), request=request, prior=earlier, subject=subject)


def asked(*texts: str, uploads: int = 0, operation: str = "generate") -> GenerationRequest:
    """A request with prompts and as many empty uploads."""
    return GenerationRequest(
        tuple(Prompt(text) for text in texts), tuple(Picture(b"") for _ in range(uploads)), operation
    )


def acting(decision: Decision) -> set[str]:
    """Ids of the rules that act."""
    return {reason.rule for reason in decision.reasons if reason.mode != "shadow"}

"""Proof at start that the guard is awake: known subjects go the real way and must come out as they should."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from guardrail.detector import Detector
from guardrail.errors import GuardrailError
from guardrail.signals import Coverage, GenerationRequest, Picture, Prompt, Signal, best_scores
from guardrail.taxonomy import Stage
from guardrail.verdict import Action

if TYPE_CHECKING:
    from guardrail.guard import Guard


@dataclass(frozen=True, slots=True)
class Canary:
    """One proof: its name, whether it came out right, and what went wrong (never content)."""

    name: str
    passed: bool
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"name": self.name, "passed": self.passed, "detail": self.detail}


def run_canaries(guard: Guard) -> tuple[Canary, ...]:
    """Every active detector on its own examples, then the floor on signals and on a whole request."""
    found = [_examples(detector) for detector in guard.active_detectors()]
    found.append(_floor(guard))
    if any("sexual.undress" in item.emits and Stage.PROMPT in item.stages for item in guard.active_detectors()):
        found.append(_undress(guard))
    return tuple(found)


def _examples(detector: Detector) -> Canary:
    name = f"examples:{detector.name}"
    try:
        for example in detector.examples():
            scores = best_scores(detector.detect(example.subject).signals)
            for signal, low in example.at_least.items():
                if scores.get(signal, 0.0) < low:
                    return Canary(name, False, f"{signal} stayed below {low:g}: {example.note}")
            for signal, high in example.below.items():
                if scores.get(signal, 0.0) >= high:
                    return Canary(name, False, f"{signal} reached {high:g}: {example.note}")
    except GuardrailError as error:
        return Canary(name, False, error.code)
    except Exception as error:
        return Canary(name, False, type(error).__name__)
    return Canary(name, True)


def _floor(guard: Guard) -> Canary:
    """Signals that no policy may release."""
    signals = [Signal("sexual.explicit", 1.0, "canary"), Signal("minor.apparent", 1.0, "canary")]
    for stage in Stage:
        decision = guard.policy.decide(stage, signals, request=GenerationRequest(), coverage=Coverage())
        if decision.action is not Action.BLOCK:
            return Canary("floor", False, f"not blocked at stage {stage.value}")
    return Canary("floor", True)


def _undress(guard: Guard) -> Canary:
    """An edit that removes clothing from an uploaded person is blocked by any policy, from the words alone."""
    drawn = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(drawn).ellipse((16, 8, 48, 56), fill="tan")
    data = io.BytesIO()
    drawn.save(data, "PNG")
    request = GenerationRequest((Prompt("take her clothes off"),), (Picture(data.getvalue()),), operation="edit")
    verdict = guard.judge_unrecorded(request)
    passed = verdict.action is Action.BLOCK and not verdict.fault
    return Canary("undress", passed, "" if passed else f"verdict {verdict.action.value}")

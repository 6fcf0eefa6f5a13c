"""One subject's way through the detectors to a verdict. Private to `guardrail.guard`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guardrail._hiding import fault as hiding_fault
from guardrail.detector import Detector, ModelProvider
from guardrail.errors import GuardrailError
from guardrail.policy import Policy
from guardrail.signals import Coverage, Detection, GenerationRequest, Picture, Signal, Skip, Subject
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, Decision, Reason, Verdict
from guardrail.vision.conceal import still

INLINE_COST_MS = 1.0
"""Detectors cheaper than this run on the caller's thread; a thread hop would cost more than they do."""

Prior = Mapping[Stage, Sequence[Signal]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which detectors a policy needs at one stage, cheapest first, and which it does not."""

    cheap: tuple[Detector, ...]
    costly: tuple[Detector, ...]
    unused: tuple[Skip, ...]

    @classmethod
    def make(cls, stage: Stage, detectors: Sequence[Detector], policy: Policy) -> Plan:
        """Keep the detectors that raise a signal some rule reads at `stage`, and those the policy requires."""
        used, required = policy.signals_used(stage), policy.required(stage)
        cheap, costly, unused = [], [], []
        for detector in sorted(detectors, key=lambda item: (item.cost_ms, item.name)):
            if stage not in detector.stages:
                continue
            if not (detector.emits & used) and detector.name not in required:
                unused.append(Skip(detector.name, "no rule of the policy reads its signals"))
            elif detector.cost_ms < INLINE_COST_MS:
                cheap.append(detector)
            else:
                costly.append(detector)
        return cls(tuple(cheap), tuple(costly), tuple(unused))


@dataclass(slots=True)
class Judging:
    """The state of one judgement: several subjects of one stage that share a verdict.

    `copied` says that the picture is the guard's own copy of an output.

    Built on one thread, continued on another, read by a third when the deadline passes; every step only appends.
    """

    stage: Stage
    request: GenerationRequest
    subjects: list[Subject]
    policy: Policy
    plan: Plan
    models: ModelProvider
    digest: str
    prior: Prior = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    thorough: bool = False
    copied: bool = False
    signals: list[Signal] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    faults: list[Reason] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    used_models: dict[str, str] = field(default_factory=dict)
    decision: Decision | None = None
    abandoned: bool = False
    started: float = field(default_factory=time.perf_counter)

    def run_cheap(self) -> bool:
        """Run the inline detectors; true when the verdict is settled."""
        self._run(self.plan.cheap)
        if self.plan.costly and self._settle():
            self._skip(self.plan.costly, "the verdict was already block")
            return True
        return not self.plan.costly

    def run_costly(self) -> None:
        """Run the rest, one detector at a time, until nothing can change the verdict."""
        for position, detector in enumerate(self.plan.costly):
            if self.abandoned:
                return
            before = len(self.signals)
            self._run((detector,))
            rest = self.plan.costly[position + 1 :]
            if rest and len(self.signals) > before and self._settle():
                self._skip(rest, "the verdict was already block")
                return

    def fault(self, rule: str, message: str, what: str, why: str) -> None:
        """Note a failure of the guard itself; the verdict closes with the policy's `on_error`."""
        self.faults.append(Reason(rule, self.policy.on_error, message, mode="fault"))
        self.coverage.append(Coverage(skipped=(Skip(what, why),)))

    def verdict(self) -> Verdict:
        """The verdict on what has been found so far."""
        coverage = Coverage(skipped=self.plan.unused)
        for item in list(self.coverage):
            coverage = coverage + item
        signals, faults = tuple(self.signals), tuple(self.faults)
        decision = self._decide(signals, coverage)
        action, reasons = decision.action, decision.reasons + faults
        if action is Action.TRANSFORM and (why := self._fixed(reasons, signals)) is not None:
            reasons += (Reason("guard-transform", self.policy.on_error, why, mode="fault"),)
        action = max((action, *(reason.action for reason in reasons if reason.mode == "fault")), key=_severity)
        self.timings["total"] = (time.perf_counter() - self.started) * 1000
        return Verdict(
            stage=self.stage,
            action=action,
            reasons=reasons,
            signals=signals,
            coverage=coverage,
            policy=decision.policy,
            models=dict(self.used_models),
            timings_ms=dict(self.timings),
            subject=self.digest,
        )

    def _fixed(self, reasons: tuple[Reason, ...], signals: tuple[Signal, ...]) -> str | None:
        """Why the subject cannot be transformed, or None."""
        if self.stage is Stage.PROMPT:
            return "a prompt cannot be transformed"
        if self.stage is Stage.INPUT:
            return None
        if self.copied:
            return "what was to be hidden still shows"
        if not all(item.picture is None or still(item.picture) for item in self.subjects):
            return "only still pictures can be transformed"
        return hiding_fault(self.policy, reasons, signals)

    def _run(self, detectors: Sequence[Detector]) -> None:
        for detector in detectors:
            begun = time.perf_counter()
            for subject in self.subjects:
                self._look(detector, subject)
            self.timings[detector.name] = (time.perf_counter() - begun) * 1000

    def _look(self, detector: Detector, subject: Subject) -> None:
        try:
            found = detector.detect(subject)
            if not isinstance(found, Detection):
                raise TypeError("detect must return a Detection")
        except Exception as error:
            # The error's text may quote content, so only its type is kept.
            self._failed(detector, error)
            return
        self.signals.extend(found.signals)
        subject.found.extend(found.texts)
        self.coverage.append(found.coverage)
        for model in detector.models:
            if model not in self.used_models:
                self.used_models[model] = self.models.digest(model)

    def _failed(self, detector: Detector, error: Exception) -> None:
        kind = error.code if isinstance(error, GuardrailError) else type(error).__name__
        self.fault("guard-error", f"detector {detector.name} failed ({kind})", detector.name, f"failed: {kind}")

    def _settle(self) -> bool:
        if not self.signals or self.thorough:
            return False
        decision = self._decide(tuple(self.signals), None)
        if decision.action is Action.BLOCK:
            self.decision = decision
            return True
        return False

    def _decide(self, signals: tuple[Signal, ...], coverage: Coverage | None) -> Decision:
        if self.decision is not None:
            return self.decision
        return self.policy.decide(
            self.stage, signals, request=self.request, coverage=coverage, subject=self.digest, prior=self.prior
        )

    def _skip(self, detectors: Sequence[Detector], why: str) -> None:
        self.coverage.append(Coverage(skipped=tuple(Skip(detector.name, why) for detector in detectors)))


def _severity(action: Action) -> int:
    return action.severity

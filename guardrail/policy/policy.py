"""A compiled policy: signals in, decision out, in microseconds and without side effects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from guardrail.policy.expression import Condition, bind
from guardrail.policy.patterns import FuzzyPattern, PatternSet, PatternTimeoutError, TermList, fold, readings
from guardrail.policy.schema import RuleSpec
from guardrail.signals import Coverage, GenerationRequest, Signal
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, Decision, PolicyRef, Reason

Prior = Mapping[Stage, Sequence[Signal]]
_IDLE_CACHE = 4_096


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule. `patterns` are positions in the policy's `PatternSet`."""

    id: str
    stages: frozenset[Stage]
    action: Action
    message: str
    severity: str
    mode: str
    rollout: int
    condition: Condition | None
    patterns: frozenset[int]
    fuzzy: tuple[FuzzyPattern, ...]
    terms: TermList | None
    spec: RuleSpec
    floor: bool = False
    source: str = ""

    @property
    def textual(self) -> bool:
        """Whether the rule looks at the prompt's text itself."""
        return bool(self.patterns or self.fuzzy or self.terms)

    @property
    def reads(self) -> frozenset[str]:
        """Signals of the rule's own stage."""
        return self.condition.reads if self.condition else frozenset()


@dataclass(frozen=True, eq=False)
class Policy:
    """What is allowed. Built by `load_policy`.

    Attributes:
        ref: name, version and digest over everything that shapes a decision.
        rules: the floor's first.
        on_error: what a failure of the guard gives: hold or block.
        on_partial: "drop" the bad pictures of an answer, or "refuse" the lot.
    """

    ref: PolicyRef
    rules: tuple[Rule, ...]
    pattern_set: PatternSet
    on_error: Action
    on_partial: Literal["drop", "refuse"]
    requires: Mapping[Stage, frozenset[str]]
    relaxed: Mapping[str, str] = field(default_factory=dict)
    _by_stage: Mapping[Stage, tuple[Rule, ...]] = field(init=False, repr=False)
    _idle: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_stage = {stage: tuple(rule for rule in self.rules if stage in rule.stages) for stage in Stage}
        object.__setattr__(self, "_by_stage", by_stage)
        object.__setattr__(self, "_idle", lru_cache(maxsize=_IDLE_CACHE)(self._idle_rules))

    def signals_used(self, stage: Stage) -> frozenset[str]:
        """Signals that some rule reads from `stage`, at that stage or later."""
        used: set[str] = set()
        for rule in self.rules:
            if rule.condition is None:
                continue
            if stage in rule.stages:
                used |= rule.condition.reads
            used |= {name for earlier, name in rule.condition.reads_earlier if earlier is stage}
        return frozenset(used)

    def required(self, stage: Stage) -> frozenset[str]:
        """Detectors that must have inspected a subject of `stage` before it may be released."""
        return self.requires.get(stage, frozenset())

    def decide(
        self,
        stage: Stage,
        signals: Sequence[Signal],
        *,
        request: GenerationRequest,
        coverage: Coverage | None = None,
        subject: str = "",
        prior: Prior | None = None,
    ) -> Decision:
        """The gravest action any rule asks for, with the reasons.

        Args:
            stage: whose rules are looked at.
            signals: what was raised at this stage.
            request: facts and prompts.
            coverage: what was inspected; None leaves the requirement on coverage unchecked (a look in between).
            subject: keyed digest that `rollout` percentages are drawn from.
            prior: signals of earlier stages.

        Pure: the same arguments give the same decision.
        """
        raised = {signal.name for signal in signals if signal.score > 0.0}
        facts = _facts(request)
        values: Any = None
        idle = None if prior else self._idle(stage, facts)
        reasons: list[Reason] = []
        texts: _Texts | None = None
        for rule in self._by_stage[stage]:
            try:
                if rule.condition is not None:
                    if idle is not None and not (rule.condition.reads & raised):
                        holds = rule.id in idle
                    else:
                        values = bind(stage, signals, prior or {}, request) if values is None else values
                        holds = rule.condition.holds(values)
                    if not holds:
                        continue
                if rule.textual:
                    texts = texts or _Texts(request, self.pattern_set)
                    if not texts.matched(rule):
                        continue
            except (ValueError, PatternTimeoutError):
                reasons.append(Reason(rule.id, self.on_error, "the rule could not be evaluated", mode="fault"))
                continue
            reasons.append(_reason(rule, raised, subject))
        reasons += self._uninspected(stage, request, coverage)
        acting = [reason.action for reason in reasons if reason.mode != "shadow"]
        action = max(acting, key=lambda item: item.severity, default=Action.ALLOW)
        return Decision(action, tuple(reasons), self.ref)

    def _idle_rules(self, stage: Stage, facts: tuple[Any, ...]) -> frozenset[str] | None:
        """Rules whose condition holds although nothing is raised; depends on the request's facts alone.

        None when one of them fails to evaluate, so that each is then evaluated and the failure closes the verdict.
        """
        operation, uploads, tenant, params = facts
        blank = GenerationRequest(operation=operation, tenant=tenant, params=dict(params))
        values = bind(stage, (), {}, blank, uploads=uploads)
        conditional = [rule for rule in self._by_stage[stage] if rule.condition is not None]
        try:
            return frozenset(rule.id for rule in conditional if rule.condition and rule.condition.holds(values))
        except ValueError:
            return None

    def _uninspected(self, stage: Stage, request: GenerationRequest, coverage: Coverage | None) -> list[Reason]:
        if coverage is None or (stage is Stage.PROMPT and not request.prompts):
            return []
        looked = {item.partition(":")[0] for item in coverage.inspected}
        return [
            Reason("coverage", self.on_error, f"required detector {name} did not inspect", mode="fault")
            for name in sorted(self.required(stage) - looked)
        ]


class _Texts:
    """The prompts of a request, matched against the pattern set once."""

    def __init__(self, request: GenerationRequest, patterns: PatternSet) -> None:
        self._plain = [reading for prompt in request.prompts for reading in readings(prompt.text)]
        self._folded = [fold(prompt.text) for prompt in request.prompts]
        self._patterns = patterns
        self._hits: set[int] | None = None

    def matched(self, rule: Rule) -> bool:
        """Whether the rule's list and patterns, as far as it has them, occur."""
        if rule.terms is not None and not any(rule.terms.occurs(text) for text in self._folded):
            return False
        if rule.patterns:
            if self._hits is None:
                self._hits = (
                    set().union(*(self._patterns.matches(text) for text in self._plain)) if self._plain else set()
                )
            return not self._hits.isdisjoint(rule.patterns)
        if rule.fuzzy:
            return any(pattern.matches(text) for pattern in rule.fuzzy for text in self._plain)
        return True


def _facts(request: GenerationRequest) -> tuple[Any, ...]:
    params = tuple(sorted((name, str(value)) for name, value in request.params.items()))
    return request.operation, len(request.uploads), request.tenant, params


def _reason(rule: Rule, raised: set[str], subject: str) -> Reason:
    mode = rule.mode
    if mode == "enforce" and rule.rollout < 100 and _drawn(rule.id, subject) >= rule.rollout:
        mode = "shadow"
    return Reason(rule.id, rule.action, rule.message, tuple(sorted(rule.reads & raised)), mode)


def _drawn(rule: str, subject: str) -> int:
    """0 to 99, the same for the same rule and subject."""
    drawn = hashlib.blake2b(f"{rule}\0{subject}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") % 100

"""A compiled policy: signals in, decision out, in microseconds and without side effects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from guardrail.policy.expression import Condition, bind, text_of
from guardrail.policy.layers import Relaxed
from guardrail.policy.patterns import FuzzyPattern, PatternSet, PatternTimeoutError
from guardrail.policy.texts import TermList, Texts
from guardrail.signals import Concept, Coverage, GenerationRequest, Signal
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, Decision, PolicyRef, Reason

Prior = Mapping[Stage, Sequence[Signal]]
_Facts = tuple[str, int, str | None, tuple[tuple[str, str], ...]]
_IDLE_CACHE = 1_024
_MAX_CACHED_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule.

    Attributes:
        condition: its `when`, or None.
        patterns: positions in the policy's `PatternSet`, any of which may match.
        fuzzy: patterns of the `regex` engine, any of which may match.
        terms: its list, or None.
        floor: whether it is part of the floor.
        hide: how an output's regions are hidden when it asks to transform one.
        feed: takedown bank in which outputs that it blocks are listed, or None.
        source, line: where it is written.
    """

    id: str
    stages: frozenset[Stage]
    action: Action
    message: str
    severity: str
    mode: str
    rollout: int
    condition: Condition | None
    patterns: frozenset[int] = frozenset()
    fuzzy: tuple[FuzzyPattern, ...] = ()
    terms: TermList | None = None
    floor: bool = False
    hide: Literal["blur", "pixelate"] | None = None
    feed: str | None = None
    source: str = ""
    line: int | None = None

    @property
    def worded(self) -> bool:
        """Whether patterns of the policy's set are all that the rule looks at."""
        return bool(self.patterns) and self.condition is None and self.terms is None

    @property
    def textual(self) -> bool:
        """Whether the rule looks at the prompt's text itself."""
        return bool(self.patterns or self.fuzzy or self.terms)


@dataclass(frozen=True, eq=False)
class Policy:
    """What is allowed. Built by `load_policy`.

    Attributes:
        ref: name, version and digest over everything that shapes a decision.
        rules: the floor's first.
        on_error: what a failure of the guard gives: hold or block.
        on_partial: "drop" the bad pictures of an answer, or "refuse" the lot.
        requires: detectors that must have inspected, by stage.
        relaxed: inherited rules that were loosened, with the reason.
        concepts: meanings that the policy gives by example; each raises the signal `concept.<name>`.
    """

    ref: PolicyRef
    rules: tuple[Rule, ...]
    pattern_set: PatternSet
    on_error: Action
    on_partial: Literal["drop", "refuse"]
    requires: Mapping[Stage, frozenset[str]]
    relaxed: tuple[Relaxed, ...] = ()
    concepts: tuple[Concept, ...] = ()
    _by_stage: Mapping[Stage, tuple[Rule, ...]] = field(init=False, repr=False)
    _worded: Mapping[Stage, tuple[Rule, ...]] = field(init=False, repr=False)
    _names: Mapping[Stage, frozenset[str]] = field(init=False, repr=False)
    _reads_facts: bool = field(init=False, repr=False)
    _idle: Any = field(init=False, repr=False)
    _declared: frozenset[str] = field(init=False, repr=False)
    _hides: Mapping[str, Literal["blur", "pixelate"]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at = {stage: [rule for rule in self.rules if stage in rule.stages] for stage in Stage}
        by_stage = {stage: tuple(rule for rule in rules if not rule.worded) for stage, rules in at.items()}
        worded = {stage: tuple(rule for rule in rules if rule.worded) for stage, rules in at.items()}
        names = {
            stage: frozenset(name for rule in rules if rule.condition for name in rule.condition.names)
            for stage, rules in by_stage.items()
        }
        sources = [rule.condition.source for rule in self.rules if rule.condition]
        object.__setattr__(self, "_by_stage", by_stage)
        object.__setattr__(self, "_worded", worded)
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_reads_facts", any("tenant" in text or "params" in text for text in sources))
        object.__setattr__(self, "_declared", frozenset(concept.signal for concept in self.concepts))
        object.__setattr__(self, "_hides", {rule.id: rule.hide for rule in self.rules if rule.hide is not None})
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

    def pictured(self) -> tuple[Concept, ...]:
        """Concepts with a picture side that a rule which acts reads from uploads or outputs, or that are required."""
        stages = (Stage.INPUT, Stage.OUTPUT)
        read: set[str] = set()
        for rule in self.rules:
            if rule.mode != "enforce" or rule.condition is None:
                continue
            if not rule.stages.isdisjoint(stages):
                read |= rule.condition.reads
            read |= {name for stage, name in rule.condition.reads_earlier if stage in stages}
        whole = any("vision.concepts" in self.required(stage) for stage in stages)
        return tuple(item for item in self.concepts if item.shown and (whole or item.signal in read))

    def hides(self, rule: str) -> Literal["blur", "pixelate"] | None:
        """How the rule of that id hides regions of an output, or None."""
        return self._hides.get(rule)

    def feeds(self, decision: Sequence[Reason]) -> frozenset[str]:
        """Takedown banks in which an output with these reasons is to be listed."""
        blocked = {item.rule for item in decision if item.mode == "enforce" and item.action is Action.BLOCK}
        return frozenset(rule.feed for rule in self.rules if rule.feed is not None and rule.id in blocked)

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
            coverage: what was inspected; None leaves the requirement on coverage unchecked, and rules that read it out
                (a look in between).
            subject: keyed digest that `rollout` percentages are drawn from.
            prior: signals of earlier stages.

        Pure: the same arguments give the same decision.
        """
        prior = prior or {}
        raised = {signal.name for signal in signals if signal.score > 0.0}
        earlier = {(when, signal.name) for when, items in prior.items() for signal in items if signal.score > 0.0}
        idle = self._idle_for(stage, request)
        texts: Texts | None = None
        values: Any = None
        reasons: list[Reason] = []
        for rule in self._by_stage[stage]:
            condition = rule.condition
            if condition is not None and condition.reads_coverage and coverage is None:
                continue
            try:
                if condition is not None:
                    if idle is None or condition.reads_coverage or condition.touched(raised, earlier):
                        values = values or self._values(stage, signals, prior, request, coverage)
                        holds = condition.holds(values)
                    else:
                        holds = rule.id in idle
                    if not holds:
                        continue
                if rule.textual:
                    texts = texts or Texts(request, self.pattern_set)
                    if not _matched(rule, texts):
                        continue
            except (ValueError, PatternTimeoutError):
                reasons.append(_unevaluated(rule, self.on_error))
                continue
            reasons.append(_reason(rule, raised, earlier, subject))
        if self._worded[stage]:
            reasons += self._by_words(stage, texts or Texts(request, self.pattern_set), subject)
        reasons += self._uninspected(stage, request, coverage)
        acting = [reason.action for reason in reasons if reason.mode != "shadow"]
        action = max(acting, key=lambda item: item.severity, default=Action.ALLOW)
        return Decision(action, tuple(reasons), self.ref)

    def _values(
        self,
        stage: Stage,
        signals: Sequence[Signal],
        prior: Prior,
        request: GenerationRequest,
        coverage: Coverage | None,
    ) -> Any:
        skipped = dict.fromkeys(item.what for item in coverage.skipped) if coverage is not None else ()
        return bind(self._names[stage], stage, signals, prior, request, skipped=skipped, concepts=self._declared)

    def _by_words(self, stage: Stage, texts: Texts, subject: str) -> list[Reason]:
        rules = self._worded[stage]
        try:
            hits = texts.hits
        except PatternTimeoutError:
            return [_unevaluated(rule, self.on_error) for rule in rules]
        if not hits:
            return []
        return [_reason(rule, set(), set(), subject) for rule in rules if not hits.isdisjoint(rule.patterns)]

    def _idle_for(self, stage: Stage, request: GenerationRequest) -> frozenset[str] | None:
        facts = _facts(request) if self._reads_facts else (request.operation, len(request.uploads), None, ())
        size = len(facts[0]) + len(facts[2] or "") + sum(len(name) + len(value) for name, value in facts[3])
        found: frozenset[str] | None = (
            self._idle(stage, facts) if size <= _MAX_CACHED_CHARS else self._idle_rules(stage, facts)
        )
        return found

    def _idle_rules(self, stage: Stage, facts: _Facts) -> frozenset[str] | None:
        """Rules whose condition holds although nothing is raised; depends on the request's facts alone.

        None when one of them fails to evaluate, so that each is then evaluated and the failure closes the verdict.
        """
        operation, uploads, tenant, params = facts
        blank = GenerationRequest(operation=operation, tenant=tenant, params=dict(params))
        values = bind(self._names[stage], stage, (), {}, blank, uploads=uploads, concepts=self._declared)
        try:
            return frozenset(
                rule.id for rule in self._by_stage[stage] if rule.condition and rule.condition.holds(values)
            )
        except ValueError:
            return None

    def _uninspected(self, stage: Stage, request: GenerationRequest, coverage: Coverage | None) -> list[Reason]:
        empty = (stage is Stage.PROMPT and not request.prompts) or (stage is Stage.INPUT and not request.uploads)
        if coverage is None or empty:
            return []
        looked = {item.partition(":")[0] for item in coverage.inspected}
        return [
            Reason("coverage", self.on_error, f"required detector {name} did not inspect", mode="fault")
            for name in sorted(self.required(stage) - looked)
        ]


def _matched(rule: Rule, texts: Texts) -> bool:
    """Whether the rule's list and patterns, as far as it has them, occur."""
    if rule.terms is not None and not texts.holds_term(rule.terms):
        return False
    if rule.patterns:
        return not texts.hits.isdisjoint(rule.patterns)
    return not rule.fuzzy or texts.holds_fuzzy(rule.fuzzy, acting=rule.mode == "enforce")


def _facts(request: GenerationRequest) -> _Facts:
    params = tuple(sorted((name, text_of(value)) for name, value in request.params.items()))
    return request.operation, len(request.uploads), request.tenant, params


def _reason(rule: Rule, raised: set[str], earlier: set[tuple[Stage, str]], subject: str) -> Reason:
    mode = rule.mode
    if mode == "enforce" and rule.rollout < 100 and _drawn(rule.id, subject) >= rule.rollout:
        mode = "shadow"
    seen = rule.condition.seen(raised, earlier) if rule.condition else ()
    return Reason(rule.id, rule.action, rule.message, seen, mode)


def _unevaluated(rule: Rule, on_error: Action) -> Reason:
    mode = "fault" if rule.mode == "enforce" else rule.mode
    return Reason(rule.id, on_error, "the rule could not be evaluated", mode=mode)


def _drawn(rule: str, subject: str) -> int:
    """0 to 99, the same for the same rule and subject."""
    drawn = hashlib.blake2b(f"{rule}\0{subject}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") % 100

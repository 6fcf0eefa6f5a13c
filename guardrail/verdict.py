"""The one type that says what was decided, serialised one way everywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from guardrail.signals import Coverage, Evidence, Signal, Skip, best_scores
from guardrail.taxonomy import Stage

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)


class Action(StrEnum):
    """What happens to the subject, mildest first; actions compare by severity.

    allow: it goes on. flag: it goes on and is marked for review. transform: it goes on changed. hold: it waits for a
    person. block: it does not go on.
    """

    ALLOW = "allow"
    FLAG = "flag"
    TRANSFORM = "transform"
    HOLD = "hold"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """0 (allow) to 4 (block)."""
        return _ORDER[self]

    @property
    def released(self) -> bool:
        """Whether the subject goes on, unchanged or transformed."""
        return self.severity < _ORDER[Action.HOLD]

    def __lt__(self, other: str) -> bool:
        return self.severity < Action(other).severity

    def __le__(self, other: str) -> bool:
        return self.severity <= Action(other).severity

    def __gt__(self, other: str) -> bool:
        return self.severity > Action(other).severity

    def __ge__(self, other: str) -> bool:
        return self.severity >= Action(other).severity


_ORDER = {action: position for position, action in enumerate(Action)}


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that fired.

    Attributes:
        rule: id of the rule.
        action: what the rule asks for.
        message: the policy's own words.
        signals: names of the signals the rule looked at and that were raised.
        mode: "enforce"; "shadow" for a rule that is only watched; "fault" when the guard itself failed and closed.
    """

    rule: str
    action: Action
    message: str
    signals: tuple[str, ...] = ()
    mode: str = "enforce"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        found: dict[str, Any] = {
            "rule": self.rule,
            "action": self.action.value,
            "message": self.message,
            "signals": list(self.signals),
        }
        if self.mode != "enforce":
            found["mode"] = self.mode
        return found


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Which policy decided: name, version and sha256 over everything that shapes a decision."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy makes of signals; `Guard` turns it into a `Verdict`."""

    action: Action
    reasons: tuple[Reason, ...] = ()
    policy: PolicyRef = PolicyRef("none", "0", "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one subject, why, by which policy and models, and what was looked at.

    `subject` is a keyed digest of the bytes that were judged: the release gate compares it with what it is about to
    release. `timings_ms` is wall-clock milliseconds per detector and in total.
    """

    stage: Stage
    action: Action
    reasons: tuple[Reason, ...]
    signals: tuple[Signal, ...]
    coverage: Coverage
    policy: PolicyRef
    models: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    timings_ms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    subject: str = ""
    id: str = field(default_factory=lambda: new_id())

    @property
    def released(self) -> bool:
        """Whether the subject may go on; an output to be transformed may not, its copy has a verdict of its own."""
        return self.action.released and not (self.stage is Stage.OUTPUT and self.action is Action.TRANSFORM)

    @property
    def scores(self) -> dict[str, float]:
        """Best score per signal name."""
        return best_scores(self.signals)

    @property
    def rule(self) -> str | None:
        """Id of the first rule in force that asked for the verdict's action, or None."""
        for reason in self.reasons:
            if reason.mode != "shadow" and reason.action == self.action:
                return reason.rule
        return None

    @property
    def fault(self) -> bool:
        """Whether only a failure of the guard, not a rule of the policy, keeps the subject back."""
        held = {reason.mode for reason in self.reasons if not reason.action.released}
        return "fault" in held and "enforce" not in held

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: the shape every door speaks."""
        return {
            "id": self.id,
            "stage": self.stage.value,
            "action": self.action.value,
            "subject": self.subject,
            "reasons": [reason.to_dict() for reason in self.reasons],
            "signals": [signal.to_dict() for signal in self.signals],
            "coverage": self.coverage.to_dict(),
            "policy": {"name": self.policy.name, "version": self.policy.version, "digest": self.policy.digest},
            "models": dict(self.models),
            "timings_ms": {name: round(value, 3) for name, value in self.timings_ms.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """Read what `to_dict` wrote.

        Raises:
            KeyError, ValueError: the mapping is not a verdict.
        """
        return cls(
            stage=Stage(data["stage"]),
            action=Action(data["action"]),
            subject=data.get("subject", ""),
            reasons=tuple(
                Reason(
                    item["rule"],
                    Action(item["action"]),
                    item["message"],
                    tuple(item["signals"]),
                    item.get("mode", "enforce"),
                )
                for item in data["reasons"]
            ),
            signals=tuple(_signal(item) for item in data["signals"]),
            coverage=Coverage(
                tuple(data["coverage"]["inspected"]),
                tuple(Skip(item["what"], item["why"]) for item in data["coverage"]["skipped"]),
            ),
            policy=PolicyRef(**data["policy"]),
            models=dict(data["models"]),
            timings_ms=dict(data["timings_ms"]),
            id=data["id"],
        )


def _signal(data: Mapping[str, Any]) -> Signal:
    evidence = tuple(
        Evidence(
            span=tuple(item["span"]) if "span" in item else None,
            box=tuple(item["box"]) if "box" in item else None,
            frame=item.get("frame"),
            where=item.get("where"),
            view=item.get("view"),
            ref=item.get("ref"),
            detail=item.get("detail", {}),
        )
        for item in data.get("evidence", ())
    )
    return Signal(data["name"], data["score"], data["detector"], evidence)


def new_id() -> str:
    """A ULID: 26 characters that sort by time, unique across processes (https://github.com/ulid/spec)."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])

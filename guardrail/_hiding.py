"""Which parts of an output a verdict asks to hide. Private to `guardrail.guard`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrail.policy import Policy
from guardrail.signals import Signal
from guardrail.verdict import Action, Reason
from guardrail.vision.conceal import Region


def regions(policy: Policy, reasons: Iterable[Reason], signals: Sequence[Signal]) -> tuple[Region, ...]:
    """Boxes of the signals that the acting `transform` rules read, each with that rule's way to hide."""
    found: dict[Region, None] = {}
    for reason in _transforming(reasons):
        way = policy.hides(reason.rule)
        if way is None:
            continue
        for signal in signals:
            if signal.name in reason.signals:
                for item in signal.evidence:
                    if item.box is not None:
                        found[Region(item.frame or 0, item.box, way)] = None
    return tuple(found)


def fault(policy: Policy, reasons: Sequence[Reason], signals: Sequence[Signal]) -> str | None:
    """Why an output cannot be transformed as the policy asks, or None."""
    for reason in _transforming(reasons):
        if policy.hides(reason.rule) is None:
            return f"rule {reason.rule} does not say how to hide what an output shows"
        if not regions(policy, [reason], signals):
            return f"rule {reason.rule} found no region to hide"
    return None


def _transforming(reasons: Iterable[Reason]) -> list[Reason]:
    return [reason for reason in reasons if reason.action is Action.TRANSFORM and reason.mode == "enforce"]

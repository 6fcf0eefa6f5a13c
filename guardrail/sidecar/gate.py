"""The release gate: the last step before picture bytes leave, and the only maker of `Released`."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from guardrail.errors import ReleaseError
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, Verdict

_KEY = object()


class Released:
    """Picture bytes that passed the gate. Answers are built from these and from nothing else.

    Raises:
        ReleaseError: constructed by anything but `ReleaseGate`.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes, key: object) -> None:
        if key is not _KEY:
            raise ReleaseError("only the release gate may mark bytes as released")
        self.data = data


class ReleaseGate:
    """Binds verdicts to bytes.

    Args:
        digest: the keyed digest that `Verdict.subject` holds (`Guard.digest`).
    """

    def __init__(self, digest: Callable[[bytes], str]) -> None:
        self._digest = digest

    def release(self, verdict: Verdict, data: bytes) -> Released | None:
        """`data`, marked as released; None when the verdict keeps it back.

        A verdict that asks for a transformation keeps the original bytes back.

        Raises:
            ReleaseError: the verdict would release, but it was not made about an output, or not about these bytes.
        """
        if not verdict.released or verdict.action is Action.TRANSFORM:
            return None
        if verdict.stage is not Stage.OUTPUT:
            raise ReleaseError(f"a verdict of stage {verdict.stage.value} cannot release an output")
        subject = self._digest(data)
        if not subject or not hmac.compare_digest(subject.encode(), verdict.subject.encode()):
            raise ReleaseError("the verdict was made about other bytes")
        return Released(data, _KEY)

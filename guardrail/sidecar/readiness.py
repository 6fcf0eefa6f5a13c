"""Ready means proved: until every canary of the guard came out right, nothing is served."""

from __future__ import annotations

import asyncio
from typing import Any

from guardrail.guard import Guard
from guardrail.sidecar.metrics import Metrics

RETRY_SECONDS = 5.0


class Readiness:
    """Runs the canaries until they pass.

    Args:
        guard: what must prove itself.
        metrics: is told the state.
    """

    def __init__(self, guard: Guard, metrics: Metrics) -> None:
        self._guard = guard
        self._metrics = metrics
        self._canaries: list[dict[str, Any]] = []
        self.ready = False

    async def prove(self) -> None:
        """Run the canaries now, and again every few seconds until all of them pass."""
        while not self.ready:
            try:
                found = await self._guard.canaries()
                self._canaries = [{"name": item.name, "passed": item.passed, "detail": item.detail} for item in found]
                self.ready = bool(found) and all(item.passed for item in found)
            except Exception as error:
                self._canaries = [{"name": "canaries", "passed": False, "detail": type(error).__name__}]
            self._metrics.ready(self.ready)
            if not self.ready:
                await asyncio.sleep(RETRY_SECONDS)

    def report(self) -> dict[str, Any]:
        """State and what each canary said; no content."""
        return {"ready": self.ready, "canaries": self._canaries}

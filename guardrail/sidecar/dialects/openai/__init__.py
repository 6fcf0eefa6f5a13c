"""The OpenAI images and moderations API."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guardrail.settings import Limits
from guardrail.sidecar.dialects.openai.answers import read_answer
from guardrail.sidecar.dialects.openai.moderations import Moderator
from guardrail.sidecar.dialects.openai.requests import read_edit, read_generation, read_variation
from guardrail.sidecar.flow import Flow, Job
from guardrail.sidecar.wire import Call, Handler, Reply

__all__ = ["OpenAIDialect"]


class OpenAIDialect:
    """Generations, edits, variations and moderations. Every other route is closed.

    Args:
        flow: the way from a request to released pictures.
    """

    name = "openai"
    prefix = "/v1"

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._moderator = Moderator(flow)

    def routes(self) -> Mapping[str, tuple[str, Handler]]:
        """See `Dialect.routes`."""
        return {
            "/v1/images/generations": ("POST", self._through(read_generation)),
            "/v1/images/edits": ("POST", self._through(read_edit)),
            "/v1/images/variations": ("POST", self._through(read_variation)),
            "/v1/moderations": ("POST", self._moderator.moderate),
        }

    def _through(self, read: Callable[[Call, Limits], Job]) -> Handler:
        async def handle(call: Call) -> Reply:
            return await self._flow.run(read(call, self._flow.limits), call.headers, read_answer)

        return handle

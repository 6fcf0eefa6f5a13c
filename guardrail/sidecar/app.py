"""The app factory: a dialect on the hot path, the admin side beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.routing import Mount

from guardrail.errors import ConfigurationError
from guardrail.guard import Guard
from guardrail.settings import Settings
from guardrail.sidecar.admin import create_admin
from guardrail.sidecar.dialects import Dialect
from guardrail.sidecar.dialects.openai import OpenAIDialect
from guardrail.sidecar.door import Door
from guardrail.sidecar.flow import Flow
from guardrail.sidecar.metrics import Metrics
from guardrail.sidecar.readiness import Readiness
from guardrail.sidecar.upstream import Upstream

_DIALECTS: dict[str, Callable[[Flow], Dialect]] = {OpenAIDialect.name: OpenAIDialect}


def create_app(guard: Guard, settings: Settings | None = None, *, dialect: str = "openai") -> Starlette:
    """An ASGI app that stands in front of `settings.server.upstream`.

    The caller keeps owning `guard`: close it after the server has stopped.

    Args:
        guard: what judges.
        settings: the guard's own when None.
        dialect: the protocol of the generator.

    Raises:
        ConfigurationError: no usable upstream, or no such dialect.
    """
    settings = settings or guard.settings
    metrics = Metrics()
    readiness = Readiness(guard, metrics)
    upstream = Upstream(settings)
    if dialect not in _DIALECTS:
        raise ConfigurationError(f"no dialect {dialect!r}", advice=f"There is: {', '.join(_DIALECTS)}.")
    spoken = _DIALECTS[dialect](Flow(guard, upstream, metrics, settings.limits))
    door = Door(spoken.routes(), settings, metrics, readiness)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await upstream.open()
        proving = asyncio.create_task(readiness.prove())
        try:
            yield
        finally:
            proving.cancel()
            await asyncio.gather(proving, return_exceptions=True)
            await upstream.close()

    admin = create_admin(guard, settings, metrics, readiness)
    return Starlette(routes=[Mount(spoken.prefix, door), Mount("/", admin)], lifespan=lifespan)

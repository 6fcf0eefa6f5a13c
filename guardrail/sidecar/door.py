"""The hot path: pure ASGI in front of a dialect. Whatever goes wrong here is a typed answer, and closed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

import orjson
from starlette.types import Receive, Scope, Send

from guardrail.errors import GuardrailError
from guardrail.settings import Settings
from guardrail.sidecar import replies
from guardrail.sidecar.metrics import Metrics
from guardrail.sidecar.readiness import Readiness
from guardrail.sidecar.wire import Call, ClientGoneError, Handler, Reply, headers_of, read_body

access_log = logging.getLogger("guardrail.access")
"""One JSON line a request: route, status, outcome, decision id, milliseconds. Never content."""


class Door:
    """Admits, bounds and answers requests for the listed routes.

    Args:
        routes: exact path -> method and handler.
        settings: body limit and number of requests at once.
        metrics: counters.
        readiness: nothing is admitted before it.
    """

    def __init__(
        self, routes: Mapping[str, tuple[str, Handler]], settings: Settings, metrics: Metrics, readiness: Readiness
    ) -> None:
        self._routes = routes
        self._limit = settings.limits.max_body_bytes
        self._most = settings.server.max_in_flight
        self._metrics = metrics
        self._readiness = readiness
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; websockets are closed."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        started = time.perf_counter()
        path: str = scope["path"]
        route = path if path in self._routes else "closed"
        reply = await self._admitted(scope, receive, route)
        if reply is not None:
            await reply.send(send)
        seconds = time.perf_counter() - started
        status = reply.status if reply is not None else 499
        self._metrics.request(route, status, seconds)
        note = reply.note if reply is not None else {"outcome": "client_gone"}
        if access_log.isEnabledFor(logging.INFO):
            line = {"route": route, "status": status, "ms": round(seconds * 1000, 1), **note}
            access_log.info(orjson.dumps(line).decode())

    async def _admitted(self, scope: Scope, receive: Receive, route: str) -> Reply | None:
        if route == "closed":
            return replies.no_route()
        method, handler = self._routes[route]
        if scope["method"] != method:
            return replies.wrong_method(method)
        if not self._readiness.ready:
            return replies.not_ready()
        if self._in_flight >= self._most:
            return replies.busy()
        self._in_flight += 1
        self._metrics.in_flight(self._in_flight)
        try:
            return await self._answered(scope, receive, route, handler)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight(self._in_flight)

    async def _answered(self, scope: Scope, receive: Receive, route: str, handler: Handler) -> Reply | None:
        headers = headers_of(scope)
        try:
            if scope["query_string"]:
                return replies.error(400, "unknown_query", "Query parameters cannot be judged; leave them out.")
            body = await read_body(headers, receive, self._limit)
            return await _while_connected(handler, Call(route, headers, body), receive)
        except ClientGoneError:
            return None
        except GuardrailError as error:
            return replies.of_error(error)
        except Exception as error:
            return replies.guard_failed(error, billed=False)


async def _while_connected(handler: Handler, call: Call, receive: Receive) -> Reply:
    """Run the handler; cancel it, and with it the call to the generator, when the caller hangs up.

    Raises:
        ClientGoneError: the caller hung up.
    """
    work = asyncio.ensure_future(handler(call))
    gone = asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientGoneError
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""`GuardMiddleware`: the guard around an ASGI app that serves the OpenAI images routes itself.

::

    app = GuardMiddleware(app, Guard.from_policy("default"), passthrough=("/ui",))
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.errors import UpstreamError
from guardrail.guard import Guard
from guardrail.sidecar import replies
from guardrail.sidecar.dialects.openai import OpenAIDialect
from guardrail.sidecar.door import Door
from guardrail.sidecar.flow import Flow
from guardrail.sidecar.metrics import Metrics
from guardrail.sidecar.readiness import Readiness
from guardrail.sidecar.upstream import UpstreamAnswer

_RETURNED = frozenset({"x-request-id", "retry-after"})
_PROVING_S = 60.0
_REPLACED = frozenset({"content-type", "content-length", "transfer-encoding", "content-encoding"})


class GuardMiddleware:
    """Judges requests to the images routes before `app` sees them, and pictures before the caller does.

    The app's answer is held back until every picture in it has a verdict. Routes of the dialect are guarded; paths that
    begin with an entry of `passthrough` go to the app untouched; everything else is answered 404, because a route
    that nobody judged may carry pictures.

    Args:
        app: an ASGI app that answers as the OpenAI images API does.
        guard: what judges; the caller keeps owning it.
        passthrough: path prefixes that carry no pictures, such as "/docs".
    """

    def __init__(self, app: ASGIApp, guard: Guard, *, passthrough: Sequence[str] = ()) -> None:
        self._app = app
        self._passthrough = tuple(passthrough)
        metrics = Metrics()
        self._readiness = Readiness(guard, metrics)
        flow = Flow(guard, AppUpstream(app, guard), metrics, guard.settings.limits)
        self._door = Door(OpenAIDialect(flow).routes(), guard.settings, metrics, self._readiness)
        self._proving: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await self._proved()
            await self._door(scope, receive, send)
            return
        if any(_under(scope["path"], prefix) for prefix in self._passthrough):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await replies.no_route().send(send)

    async def _proved(self) -> None:
        """Nothing is admitted before the canaries came out right; the first requests wait for them."""
        if self._readiness.ready:
            return
        if self._proving is None or self._proving.done():
            self._proving = asyncio.create_task(self._readiness.prove())
        await asyncio.wait({self._proving}, timeout=_PROVING_S)


class AppUpstream:
    """`app` as the generator: called in process, its answer collected and bounded."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._limit = guard.settings.limits.max_body_bytes
        self._timeout = guard.settings.server.upstream_timeout

    async def post(
        self, path: str, body: bytes, content_type: str, headers: Sequence[tuple[str, str]]
    ) -> UpstreamAnswer:
        """Call the app with one request.

        Raises:
            UpstreamError: it raised, took too long (504), answered nothing, or more than the limit.
        """
        answer = _Collected(self._limit)
        scope = _scope(path, body, content_type, headers)
        try:
            async with asyncio.timeout(self._timeout):
                await self._app(scope, _sender_of(body), answer.send)
        except TimeoutError:
            raise UpstreamError("the app took too long", status=504) from None
        except UpstreamError:
            raise
        except Exception as error:
            raise UpstreamError(f"the app failed ({type(error).__name__})") from None
        return answer.whole()


class _Collected:
    """ASGI messages of one answer, gathered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._chunks: list[bytes] = []
        self._complete = False

    async def send(self, message: Message) -> None:
        """Take one message of the app."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [
                (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in message.get("headers", ())
            ]
        elif message["type"] == "http.response.body":
            self._chunks.append(message.get("body", b""))
            if sum(map(len, self._chunks)) > self._limit:
                raise UpstreamError(f"the app's answer has more than {self._limit} bytes")
            self._complete = not message.get("more_body", False)
        else:
            raise UpstreamError("the app answered with something that cannot be judged")

    def whole(self) -> UpstreamAnswer:
        """The answer.

        Raises:
            UpstreamError: it is not complete.
        """
        if not self._status or not self._complete:
            raise UpstreamError("the app broke off its answer")
        kind = next((value for name, value in self._headers if name == "content-type"), "")
        kept = tuple((name, value) for name, value in self._headers if name in _RETURNED)
        return UpstreamAnswer(self._status, kind.partition(";")[0].strip(), kept, b"".join(self._chunks))


def _scope(path: str, body: bytes, content_type: str, headers: Sequence[tuple[str, str]]) -> Scope:
    sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers if name not in _REPLACED]
    sent += [(b"content-type", content_type.encode("latin-1")), (b"content-length", str(len(body)).encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": sent,
        "client": None,
        "server": None,
    }


def _sender_of(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")

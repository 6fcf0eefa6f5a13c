"""HTTP at the ASGI level: bounded reading, one reply type."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from starlette.types import Receive, Scope, Send

from guardrail.errors import ProtocolError

BODY_SECONDS = 60.0
"""A caller that takes longer to send its body is turned away."""

Note = Mapping[str, str | int | float]


class ClientGoneError(Exception):
    """The caller hung up; nobody is left to answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, read whole.

    Attributes:
        path: as routed.
        headers: lower-case name and value, in order, repeated names kept.
        body: at most the limit in the settings.
    """

    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def content_type(self) -> tuple[str, dict[str, str]]:
        """Media type in lower case, and its parameters.

        Raises:
            ProtocolError: missing, repeated, or a charset other than UTF-8.
        """
        values = [value for name, value in self.headers if name == "content-type"]
        if len(values) != 1:
            raise ProtocolError("exactly one content-type header is needed", code="unsupported_content_type")
        kind, *rest = values[0].split(";")
        parameters: dict[str, str] = {}
        for item in rest:
            name, _, value = item.partition("=")
            name = name.strip().lower()
            if name in parameters:
                raise ProtocolError("a content-type parameter is repeated", code="unsupported_content_type")
            parameters[name] = value.strip().strip('"')
        if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
            raise ProtocolError("text must be sent as UTF-8", code="unsupported_charset")
        return kind.strip().lower(), parameters


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole HTTP answer. `note` goes to the log line: identifiers and numbers, never content."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    note: Note = field(default_factory=lambda: MappingProxyType({}))

    async def send(self, send: Send) -> None:
        """Send it as JSON."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *((name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in self.headers),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


Handler = Callable[[Call], Awaitable[Reply]]
"""Answers one request."""


def headers_of(scope: Scope) -> list[tuple[str, str]]:
    """Header names in lower case with their values."""
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]


async def read_body(
    headers: Sequence[tuple[str, str]], receive: Receive, limit: int, seconds: float = BODY_SECONDS
) -> bytes:
    """The whole body of a request.

    Raises:
        ProtocolError: over `limit` bytes (413), compressed (400), or not sent within `seconds` (400).
        ClientGoneError: the caller hung up.
    """
    for name, value in headers:
        if name == "content-encoding" and value.strip().lower() != "identity":
            raise ProtocolError("compressed bodies are not accepted", code="unsupported_content_encoding")
        if name == "content-length" and (not value.isdecimal() or int(value[:20]) > limit):
            raise too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _collect(receive, limit)
    except TimeoutError:
        raise ProtocolError("the body took too long to arrive", code="body_timeout") from None


async def _collect(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def too_large(limit: int) -> ProtocolError:
    """What a body or picture over `limit` bytes is told."""
    return ProtocolError(f"more than {limit} bytes", status=413, code="too_large")

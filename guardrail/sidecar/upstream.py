"""The generator behind the guard: one pooled client, bounded answers, no redirects, no retries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from guardrail.errors import ConfigurationError, UpstreamError
from guardrail.settings import Settings

_FORWARDED = frozenset(
    {
        "authorization",
        "api-key",
        "x-api-key",
        "x-auth-token",
        "x-goog-api-key",
        "cf-access-client-id",
        "cf-access-client-secret",
        "openai-organization",
        "openai-project",
        "openai-beta",
        "idempotency-key",
        "x-client-request-id",
        "x-request-id",
        "traceparent",
        "tracestate",
        "user-agent",
    }
)
_FORWARDED_PREFIXES = ("x-stainless-",)
_RETURNED = frozenset({"x-request-id", "openai-processing-ms", "openai-version", "openai-organization", "retry-after"})
_RETURNED_PREFIXES = ("x-ratelimit-",)
_MAX_HEADER_VALUE = 512


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """A whole answer of the generator. `headers` are those that may be passed on."""

    status: int
    content_type: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Upstream:
    """A generator at one base URL.

    Args:
        settings: `server.upstream`, its timeouts, and the limit on bodies.

    Raises:
        ConfigurationError: no usable base URL.
    """

    def __init__(self, settings: Settings) -> None:
        self._base = base_url(settings.server.upstream)
        self._limit = settings.limits.max_body_bytes
        self._server = settings.server
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Start the client; call once in the loop that serves."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._server.max_in_flight, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(
                total=self._server.upstream_timeout, sock_connect=self._server.connect_timeout
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=2**20,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(
        self, path: str, body: bytes, content_type: str, headers: Sequence[tuple[str, str]]
    ) -> UpstreamAnswer:
        """Send one request and read the whole answer.

        Args:
            path: beginning with a slash.
            body, content_type: what the generator gets.
            headers: the caller's; only credentials and request identifiers go on.

        Raises:
            UpstreamError: unreachable (502, may be retried), too slow (504), redirecting, compressed, or larger than
                the limit (502).
        """
        if self._session is None:
            raise UpstreamError("the upstream client is not open", status=503)
        sent = {"content-type": content_type}
        sent.update((name, value) for name, value in headers if _listed(name, _FORWARDED, _FORWARDED_PREFIXES))
        try:
            async with self._session.post(
                self._base + path, data=body, headers=sent, allow_redirects=False
            ) as response:
                return await self._read(response)
        except aiohttp.ConnectionTimeoutError:
            raise UpstreamError("the generator cannot be reached", retry=True) from None
        except TimeoutError:
            raise UpstreamError("the generator took too long", status=504) from None
        except aiohttp.ClientConnectorError:
            raise UpstreamError("the generator cannot be reached", retry=True) from None
        except (aiohttp.ClientError, ValueError):
            raise UpstreamError("the generator broke off its answer") from None

    async def _read(self, response: aiohttp.ClientResponse) -> UpstreamAnswer:
        if 300 <= response.status < 400:
            raise UpstreamError("the generator redirects; redirects are not followed")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise UpstreamError("the generator compresses its answer although it was told not to")
        if (response.content_length or 0) > self._limit:
            raise UpstreamError(f"the generator's answer has more than {self._limit} bytes")
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._limit:
                raise UpstreamError(f"the generator's answer has more than {self._limit} bytes")
            chunks.append(chunk)
        returned = tuple(
            (name.lower(), value)
            for name, value in response.headers.items()
            if _listed(name.lower(), _RETURNED, _RETURNED_PREFIXES) and len(value) <= _MAX_HEADER_VALUE
        )
        return UpstreamAnswer(response.status, response.content_type, returned, b"".join(chunks))


def _listed(name: str, names: frozenset[str], prefixes: tuple[str, ...]) -> bool:
    return name in names or name.startswith(prefixes)


def base_url(url: str | None) -> str:
    """The base of a generator's URLs, without a trailing slash or /v1.

    Raises:
        ConfigurationError: missing, or not a plain http or https URL.
    """
    if not url:
        raise ConfigurationError(
            "no generator to stand in front of", advice="Give --upstream URL or set GUARDRAIL_SERVER__UPSTREAM."
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConfigurationError(
            "server.upstream is not a plain http or https URL", advice="Use a form such as http://127.0.0.1:9000."
        )
    return url.rstrip("/").removesuffix("/v1")

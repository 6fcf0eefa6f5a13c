"""A generator to test against: the OpenAI images shape, deterministic pictures, and misbehaviour on demand."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import orjson
import pybase64
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from guardrail.testing.builders import drawn_picture

Behaviour = Literal[
    "ok",
    "slow",
    "hang",
    "broken_bytes",
    "bad_base64",
    "wrong_type",
    "error_400",
    "error_500",
    "html_404",
    "rate_limited",
    "huge",
    "two_frames",
    "empty",
    "url",
    "smuggled",
    "svg",
    "gzip",
    "redirect",
    "not_json",
    "truncated",
]
PictureSource = Callable[[str, int], bytes | None]
"""(prompt, index) -> encoded picture, or None to have one drawn."""

_ROUTES = {"/v1/images/generations", "/v1/images/edits", "/v1/images/variations"}
_FORMATS = {"png": "PNG", "jpeg": "JPEG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF"}


@dataclass(slots=True)
class StubGenerator:
    """An ASGI app that answers image requests.

    Attributes:
        pictures: what to return: a mapping from a word of the prompt to picture bytes, a function, or None to draw.
            Drawn pictures depend on prompt, index, size and format only.
        behaviour: how to misbehave; the request header `x-stub-behaviour` has the last word.
        size: of drawn pictures when the request says none, in pixels.
        delay: seconds before each answer.
        slow_seconds: what "slow" waits on top.
        huge_bytes: length of a "huge" answer.
        revised_prompt: sent with each picture when not None.
        extra: pictures sent beyond those asked for.
        calls: requests that arrived.
        cancelled: requests whose caller hung up before the answer.
        seen_headers, seen_fields: of the last request; pictures appear in fields as their lengths.
    """

    pictures: Mapping[str, bytes] | PictureSource | None = None
    behaviour: Behaviour = "ok"
    size: tuple[int, int] = (256, 256)
    delay: float = 0.0
    slow_seconds: float = 2.0
    huge_bytes: int = 80 * 2**20
    revised_prompt: str | None = None
    extra: int = 0
    calls: int = 0
    cancelled: int = 0
    seen_headers: dict[str, str] = field(default_factory=dict)
    seen_fields: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["path"] not in _ROUTES or scope.get("method") != "POST":
            await JSONResponse({"error": {"message": "not found", "type": "invalid_request_error"}}, 404)(
                scope, receive, send
            )
            return
        request = Request(scope, receive)
        self.calls += 1
        self.seen_headers = dict(request.headers)
        self.seen_fields = await _fields(request)
        behaviour = request.headers.get("x-stub-behaviour", self.behaviour)
        if behaviour not in get_args(Behaviour):
            behaviour = "error_400"
        wait = {"hang": 3600.0, "slow": self.delay + self.slow_seconds}.get(behaviour, self.delay)
        if wait and await _hung_up_within(receive, wait):
            self.cancelled += 1
            return
        await self._response(behaviour)(scope, receive, send)

    def _response(self, behaviour: str) -> Response:
        plain = _PLAIN.get(behaviour)
        if plain is not None:
            return plain()
        if behaviour == "huge":
            return Response(b'{"data":[{"b64_json":"' + b"A" * self.huge_bytes + b'"}]}', media_type="application/json")
        body = orjson.dumps(self._answer(behaviour))
        if behaviour == "truncated":
            body = body[: len(body) // 2]
        headers = {"x-request-id": "stub-request"}
        if behaviour == "gzip":
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers, media_type="application/json")

    def _answer(self, behaviour: str) -> dict[str, Any]:
        prompt = str(self.seen_fields.get("prompt", ""))
        data: list[dict[str, Any]] = []
        for index in range(int(self.seen_fields.get("n") or 1) + self.extra):
            encoded = pybase64.b64encode_as_string(self._picture(prompt, index, behaviour))
            item: dict[str, Any] = {"b64_json": "*" + encoded if behaviour == "bad_base64" else encoded}
            if behaviour == "url":
                item = {"url": "http://127.0.0.1:9/picture.png"}
            if self.revised_prompt is not None:
                item["revised_prompt"] = self.revised_prompt
            data.append(item)
        usage = {"input_tokens": len(prompt.split()), "output_tokens": 100 * len(data), "total_tokens": 0}
        answer = {"created": 1_700_000_000, "data": [] if behaviour == "empty" else data, "usage": usage}
        if behaviour == "smuggled":
            answer["artifacts"] = [{"preview": data[0]["b64_json"]}]
        return answer

    def _picture(self, prompt: str, index: int, behaviour: str) -> bytes:
        if behaviour == "wrong_type":
            return b"%PDF-1.7\n" + b"not a picture " * 20
        if behaviour == "svg":
            return b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>'
        if behaviour == "two_frames":
            return _drawn(f"{prompt}/{index}", (64, 64), "GIF", 2)
        found = self._given(prompt, index)
        if found is None:
            kind = _FORMATS.get(str(self.seen_fields.get("output_format") or "png"), "PNG")
            found = _drawn(f"{prompt}/{index}", self._size(), kind, 1)
        return found[: len(found) // 2] if behaviour == "broken_bytes" else found

    def _given(self, prompt: str, index: int) -> bytes | None:
        if callable(self.pictures):
            return self.pictures(prompt, index)
        for word, data in (self.pictures or {}).items():
            if word in prompt:
                return data
        return None

    def _size(self) -> tuple[int, int]:
        width, _, height = str(self.seen_fields.get("size", "")).partition("x")
        if width.isdecimal() and height.isdecimal():
            return max(8, min(int(width), 4096)), max(8, min(int(height), 4096))
        return self.size


@contextlib.contextmanager
def run_in_thread(app: ASGIApp, port: int = 0, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve an ASGI app with uvicorn in a thread of its own for the length of a `with` block.

    Args:
        app: what to serve; its lifespan runs.
        port: 0 takes a free one.
        host: loopback by default.

    Yields:
        The base URL, such as "http://127.0.0.1:49152".

    Raises:
        RuntimeError: the app does not start.
    """
    listener = socket.create_server((host, port))
    config = uvicorn.Config(
        app, log_config=None, log_level="critical", access_log=False, ws="none", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        # uvicorn leaves a failed start with SystemExit.
        with contextlib.suppress(SystemExit):
            server.run(sockets=[listener])

    thread = threading.Thread(target=serve, name="uvicorn", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the app did not start")
            time.sleep(0.005)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@functools.lru_cache(maxsize=256)
def _drawn(seed: str, size: tuple[int, int], kind: str, frames: int) -> bytes:
    return drawn_picture(seed, size=size, format=kind, frames=frames)


async def _fields(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").startswith("application/json"):
        found = orjson.loads(await request.body())
        return found if isinstance(found, dict) else {}
    fields: dict[str, Any] = {}
    async with request.form() as form:
        for name, value in form.multi_items():
            if isinstance(value, str):
                fields[name] = value
            else:
                fields.setdefault(name, []).append((value.filename, value.content_type, len(await value.read())))
    return fields


async def _hung_up_within(receive: Receive, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _failure(status: int, code: str, **headers: str) -> Response:
    return JSONResponse(
        {"error": {"message": "the stub was told to", "type": "stub_error", "param": None, "code": code}},
        status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


_PLAIN: Mapping[str, Callable[[], Response]] = {
    "error_400": lambda: _failure(400, "stub_refused"),
    "error_500": lambda: _failure(500, "stub_broken"),
    "rate_limited": lambda: _failure(429, "stub_busy", retry_after="1"),
    "html_404": lambda: Response("<html>nothing here</html>", 404, media_type="text/html"),
    "redirect": lambda: RedirectResponse("http://127.0.0.1:9/elsewhere"),
    "not_json": lambda: Response(b"\x89PNG not json", media_type="application/json"),
}

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive

from guardrail.errors import ProtocolError
from guardrail.sidecar.wire import Call, ClientGoneError, Reply, headers_of, read_body


def _receive(messages: Sequence[Message]) -> Receive:
    waiting = list(messages)

    async def receive() -> Message:
        if not waiting:
            await asyncio.sleep(60)
        return waiting.pop(0)

    return receive


def _chunk(data: bytes, more: bool) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


async def test_chunks_are_joined() -> None:
    assert await read_body([], _receive([_chunk(b"ab", True), _chunk(b"c", False)]), 3) == b"abc"


@pytest.mark.parametrize(
    ("headers", "messages", "status", "code"),
    [
        ([], [_chunk(b"ab", True), _chunk(b"cd", True)], 413, "too_large"),
        ([("content-length", "4")], [], 413, "too_large"),
        ([("content-length", "9" * 400)], [], 413, "too_large"),
        ([("content-length", "-1")], [], 413, "too_large"),
        ([("content-encoding", "gzip")], [], 400, "unsupported_content_encoding"),
        ([], [_chunk(b"a", True)], 400, "body_timeout"),
    ],
)
async def test_bodies_are_bounded_in_size_and_time(
    headers: list[tuple[str, str]], messages: list[Message], status: int, code: str
) -> None:
    with pytest.raises(ProtocolError) as refused:
        await read_body(headers, _receive(messages), 3, seconds=0.05)
    assert (refused.value.status, refused.value.code) == (status, code)


async def test_a_caller_who_hangs_up_is_noticed() -> None:
    with pytest.raises(ClientGoneError):
        await read_body([], _receive([_chunk(b"a", True), {"type": "http.disconnect"}]), 3)


def _call(*values: str) -> Call:
    return Call("/", [("content-type", value) for value in values], b"")


def test_content_types_are_read() -> None:
    assert _call("Application/JSON").content_type() == ("application/json", {})
    assert _call('multipart/form-data; Boundary="x y"').content_type()[1] == {"boundary": "x y"}
    assert _call("application/json; charset=UTF-8").content_type()[0] == "application/json"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ((), "unsupported_content_type"),
        (("application/json", "text/plain"), "unsupported_content_type"),
        (("multipart/form-data; boundary=a; boundary=b",), "unsupported_content_type"),
        (("application/json; charset=utf-16",), "unsupported_charset"),
    ],
)
def test_odd_content_types_are_refused(values: tuple[str, ...], code: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        _call(*values).content_type()
    assert refused.value.code == code


async def test_replies_are_json_and_not_cached() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await Reply(400, b"{}", (("x-request-id", "1"),)).send(send)
    headers = dict(headers_of({"type": "http", "headers": sent[0]["headers"]}))
    assert sent[0]["status"] == 400
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == "2"
    assert headers["cache-control"] == "no-store"
    assert headers["x-request-id"] == "1"
    assert sent[1]["body"] == b"{}"

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from starlette.types import Message

from guardrail.settings import Limits, Server
from guardrail.sidecar import create_app
from guardrail.testing.stub_generator import StubGenerator
from tests.sidecar.parts import Pair, fetch, make_guard, running

_BODY = orjson.dumps({"prompt": "a lighthouse"})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(
        tmp_path_factory.mktemp("door"),
        StubGenerator(size=(64, 64), slow_seconds=0.3),
        server=Server(max_in_flight=1),
        limits=Limits(max_body_bytes=100_000),
    ) as found:
        yield found


def _post(pair: Pair, path: str = "/v1/images/generations", body: bytes = _BODY) -> tuple[int, dict[str, str], bytes]:
    return fetch(pair.url + path, body, content_type="application/json")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/files",
        "/v1/responses",
        "/v1/images/generations/",
        "/v1//images/generations",
        "/v1/images/../images/generations",
        "/v1/images/generations%00",
        "/V1/images/generations",
        "/images/generations",
        "/v1",
        "/",
        "/docs",
        "/openapi.json",
    ],
)
def test_routes_that_are_not_listed_are_closed(pair: Pair, path: str) -> None:
    calls = pair.stub.calls
    for body in (None, _BODY):
        status, _, answer = fetch(pair.url + path, body, content_type="application/json")
        assert status == 404
        assert orjson.loads(answer)["error"]["code"] == "unknown_route"
    assert pair.stub.calls == calls


def test_methods_and_queries_are_closed(pair: Pair) -> None:
    status, headers, _ = fetch(pair.url + "/v1/images/generations")
    assert (status, headers["allow"]) == (405, "POST")
    assert fetch(pair.url + "/v1/images/generations", _BODY, method="PUT")[0] == 405
    status, _, answer = _post(pair, "/v1/images/generations?prompt=other")
    assert (status, orjson.loads(answer)["error"]["code"]) == (400, "unknown_query")


async def test_a_websocket_is_closed(tmp_path: Path) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    with make_guard(tmp_path) as guard:
        app = create_app(guard)
        for path in ("/v1/images/generations", "/other"):
            await app({"type": "websocket", "path": path, "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"] * 2


def test_large_and_chunked_bodies_are_bounded(pair: Pair) -> None:
    status, _, answer = _post(pair, body=b"x" * 100_001)
    assert (status, orjson.loads(answer)["error"]["code"]) == (413, "too_large")
    with _connection(pair) as raw:
        head = b"POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        raw.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"2000\r\n" + b"x" * 0x2000 + b"\r\n") * 13)
        assert raw.recv(1000).startswith(b"HTTP/1.1 413")


def test_more_requests_than_allowed_are_told_to_come_back(pair: Pair) -> None:
    pair.stub.behaviour = "slow"
    try:
        first = threading.Thread(target=_post, args=(pair,))
        calls = pair.stub.calls
        first.start()
        _until(lambda: pair.stub.calls > calls)
        status, headers, answer = _post(pair)
        assert (status, headers["retry-after"]) == (429, "1")
        assert orjson.loads(answer)["error"]["code"] == "too_many_requests"
        first.join()
    finally:
        pair.stub.behaviour = "ok"
    assert _post(pair)[0] == 200


def test_a_caller_who_hangs_up_ends_the_call_to_the_generator(pair: Pair) -> None:
    pair.stub.behaviour = "hang"
    try:
        calls, cancelled = pair.stub.calls, pair.stub.cancelled
        with _connection(pair) as raw:
            raw.sendall(
                b"POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(_BODY)}\r\n\r\n".encode()
                + _BODY
            )
            _until(lambda: pair.stub.calls > calls)
        _until(lambda: pair.stub.cancelled > cancelled)
    finally:
        pair.stub.behaviour = "ok"
    assert _post(pair)[0] == 200


def test_the_log_line_names_no_content(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "guardrail.access"):
        _post(pair)
        _post(pair, body=orjson.dumps({"prompt": "a naked figure", "user": "somebody"}))
        _post(pair, "/v1/secret-words")
        _until(lambda: len(caplog.records) == 3)
    released, refused, closed = (json.loads(record.getMessage()) for record in caplog.records)
    assert released["outcome"] == "released"
    assert released["pictures"] == 1
    assert (refused["outcome"], refused["stage"], refused["status"]) == ("refused", "prompt", 400)
    assert closed["route"] == "closed"
    for word in ("lighthouse", "naked", "somebody", "secret"):
        assert word not in caplog.text


def test_an_unexpected_exception_is_closed_and_quotes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(tmp_path) as own, caplog.at_level(logging.INFO, "guardrail.access"):

        def broken(*_: object) -> None:
            raise KeyError("a lighthouse")

        own.guard.check_prompt = broken  # type: ignore[method-assign, assignment]
        status, _, answer = _post(own)
        _until(lambda: len(caplog.records) == 1)
    assert (status, orjson.loads(answer)["error"]["code"]) == (503, "guard_unavailable")
    assert own.stub.calls == 0
    assert "lighthouse" not in caplog.text
    assert json.loads(caplog.records[0].getMessage())["error"] == "KeyError"


def test_a_burst_all_gets_an_answer(tmp_path: Path) -> None:
    statuses: list[int] = []
    with running(tmp_path, StubGenerator(delay=0.05), server=Server(max_in_flight=4)) as own:
        threads = [threading.Thread(target=lambda: statuses.append(_post(own)[0])) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(statuses) == 16
    assert set(statuses) <= {200, 429}
    assert 200 in statuses


def _connection(pair: Pair) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(pair.url).port or 0), timeout=10)


def _until(condition: object) -> None:
    assert callable(condition)
    for _ in range(1_000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from guardrail.errors import ConfigurationError, UpstreamError
from guardrail.settings import Limits, Server, Settings
from guardrail.sidecar.upstream import Upstream, UpstreamAnswer
from guardrail.testing.stub_generator import StubGenerator, run_in_thread

_PATH = "/v1/images/generations"


@pytest.fixture(scope="module")
def stub() -> Iterator[tuple[StubGenerator, str]]:
    found = StubGenerator(size=(16, 16), huge_bytes=2_000_000)
    with run_in_thread(found) as url:
        yield found, url


async def _post(
    url: str, *headers: tuple[str, str], seconds: float = 5.0, limit: int = 1_000_000, connect: float = 1.0
) -> UpstreamAnswer:
    server = Server(upstream=url, upstream_timeout=seconds, connect_timeout=connect)
    upstream = Upstream(Settings(server=server, limits=Limits(max_body_bytes=limit)))
    await upstream.open()
    try:
        return await upstream.post(_PATH, b'{"prompt": "a"}', "application/json", headers)
    finally:
        await upstream.close()


async def test_credentials_go_on_and_nothing_else(stub: tuple[StubGenerator, str]) -> None:
    generator, url = stub
    answer = await _post(
        url,
        ("authorization", "Bearer secret"),
        ("api-key", "other"),
        ("openai-organization", "org"),
        ("x-stainless-lang", "python"),
        ("cookie", "session=1"),
        ("x-http-method-override", "DELETE"),
        ("x-forwarded-for", "10.0.0.1"),
        ("accept-encoding", "gzip"),
        ("content-length", "3"),
        ("host", "elsewhere"),
    )
    assert answer.status == 200
    seen = generator.seen_headers
    assert seen["authorization"] == "Bearer secret"
    assert seen["api-key"] == "other"
    assert seen["openai-organization"] == "org"
    assert seen["x-stainless-lang"] == "python"
    assert seen["accept-encoding"] == "identity"
    assert seen["host"] in url
    assert not {"cookie", "x-http-method-override", "x-forwarded-for"} & seen.keys()
    assert dict(answer.headers) == {"x-request-id": "stub-request"}


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_base_may_end_as_people_write_it(stub: tuple[StubGenerator, str], suffix: str) -> None:
    assert (await _post(stub[1] + suffix)).status == 200


@pytest.mark.parametrize(("behaviour", "status"), [("redirect", 502), ("gzip", 502), ("huge", 502), ("hang", 504)])
async def test_failures_are_typed_and_not_to_be_retried(
    stub: tuple[StubGenerator, str], behaviour: str, status: int
) -> None:
    stub[0].behaviour = behaviour  # type: ignore[assignment]
    try:
        with pytest.raises(UpstreamError) as failed:
            await _post(stub[1], seconds=0.3)
    finally:
        stub[0].behaviour = "ok"
    assert (failed.value.status, failed.value.retry) == (status, False)


async def test_a_generator_out_of_reach_may_be_retried(stub: tuple[StubGenerator, str]) -> None:
    with pytest.raises(UpstreamError) as failed:
        await _post(stub[1], connect=1e-7)
    assert (failed.value.status, failed.value.retry) == (502, True)


async def test_nobody_listening_may_be_retried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamError) as failed:
        await _post(f"http://127.0.0.1:{port}")
    assert (failed.value.status, failed.value.retry) == (502, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"garbage that is not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 40,
    ],
)
async def test_broken_http_is_a_typed_error(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(answer)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(UpstreamError) as failed:
            await _post(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert failed.value.status == 502


async def test_a_client_that_is_not_open_says_so() -> None:
    upstream = Upstream(Settings(server=Server(upstream="http://127.0.0.1:9")))
    with pytest.raises(UpstreamError, match="not open"):
        await upstream.post(_PATH, b"", "application/json", [])
    await upstream.close()


@pytest.mark.parametrize(
    "url", [None, "", "ftp://host", "127.0.0.1:9000", "http://", "http://host?a=1", "http://user@host", "http://h#f"]
)
def test_an_unusable_base_is_a_configuration_error(url: str | None) -> None:
    with pytest.raises(ConfigurationError):
        Upstream(Settings(server=Server(upstream=url)))

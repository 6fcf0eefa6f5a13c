from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from PIL import Image
from starlette.types import Receive, Scope, Send

from guardrail.sidecar.multipart import Part, write_parts
from guardrail.testing import drawn_picture
from guardrail.testing.stub_generator import StubGenerator, run_in_thread
from tests.sidecar.parts import GREEN, RED, fetch


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[StubGenerator, str]]:
    stub = StubGenerator(size=(32, 32), huge_bytes=3_000_000, slow_seconds=0.2)
    with run_in_thread(stub) as url:
        yield stub, url


def _ask(url: str, *, behaviour: str = "ok", **fields: object) -> tuple[int, dict[str, str], bytes]:
    body = orjson.dumps({"prompt": "a fox", **fields})
    return fetch(f"{url}/v1/images/generations", body, content_type="application/json", x_stub_behaviour=behaviour)


def _pictures(body: bytes) -> list[bytes]:
    return [base64.b64decode(item["b64_json"], validate=True) for item in orjson.loads(body)["data"]]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_pictures_follow_from_prompt_size_and_format(served: tuple[StubGenerator, str], kind: str) -> None:
    status, _, body = _ask(served[1], n=2, size="48x24", output_format=kind)
    assert status == 200
    found = _pictures(body)
    assert found == [drawn_picture(f"a fox/{index}", size=(48, 24), format=kind.upper()) for index in range(2)]
    assert found[0] != found[1]
    with Image.open(io.BytesIO(found[0])) as image:
        assert (image.size, image.format) == ((48, 24), kind.upper())


def test_pictures_can_be_given_by_word_or_by_function(served: tuple[StubGenerator, str]) -> None:
    stub, url = served
    stub.pictures = {"fox": RED}
    assert _pictures(_ask(url)[2]) == [RED]
    assert _pictures(_ask(url, prompt="a hare")[2]) == [drawn_picture("a hare/0", size=(32, 32))]
    stub.pictures = lambda prompt, index: GREEN if (prompt, index) == ("a fox", 1) else None
    assert _pictures(_ask(url, n=2)[2])[1] == GREEN
    stub.pictures = None


def test_edits_and_variations_are_forms(served: tuple[StubGenerator, str]) -> None:
    stub, url = served
    for path, parts in (
        ("edits", [Part("prompt", b"a fox"), Part("image", RED, True)]),
        ("variations", [Part("image", RED, True)]),
    ):
        body, content_type = write_parts(parts)
        status, _, answer = fetch(f"{url}/v1/images/{path}", body, content_type=content_type)
        assert (status, len(_pictures(answer))) == (200, 1)
        assert stub.seen_fields["image"][0][1:] == ("image/png", len(RED))


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        ("error_400", 400),
        ("error_500", 500),
        ("html_404", 404),
        ("rate_limited", 429),
        ("no such behaviour", 400),
    ],
)
def test_errors_on_demand(served: tuple[StubGenerator, str], behaviour: str, status: int) -> None:
    assert _ask(served[1], behaviour=behaviour)[0] == status


def test_broken_answers_on_demand(served: tuple[StubGenerator, str]) -> None:
    url = served[1]

    def answer(behaviour: str) -> Any:
        return orjson.loads(_ask(url, behaviour=behaviour)[2])

    assert answer("empty")["data"] == []
    assert answer("url")["data"][0]["url"].startswith("http")
    assert answer("bad_base64")["data"][0]["b64_json"].startswith("*")
    assert answer("smuggled")["artifacts"]
    whole = drawn_picture("a fox/0", size=(32, 32))
    assert _pictures(_ask(url, behaviour="broken_bytes")[2]) == [whole[: len(whole) // 2]]
    assert _pictures(_ask(url, behaviour="wrong_type")[2])[0].startswith(b"%PDF")
    assert _pictures(_ask(url, behaviour="svg")[2])[0].startswith(b"<svg")
    with Image.open(io.BytesIO(_pictures(_ask(url, behaviour="two_frames")[2])[0])) as image:
        assert getattr(image, "n_frames", 1) == 2
    assert len(_ask(url, behaviour="huge")[2]) > 3_000_000
    assert _ask(url, behaviour="gzip")[1]["content-encoding"] == "gzip"
    for behaviour in ("not_json", "truncated"):
        with pytest.raises(orjson.JSONDecodeError):
            answer(behaviour)


def test_slow_is_slow_and_extra_is_more(served: tuple[StubGenerator, str]) -> None:
    stub, url = served
    begun = time.perf_counter()
    assert _ask(url, behaviour="slow")[0] == 200
    assert time.perf_counter() - begun >= 0.2
    stub.extra, stub.revised_prompt = 1, "a fox at dusk"
    body = _ask(url)[2]
    stub.extra, stub.revised_prompt = 0, None
    assert [item["revised_prompt"] for item in orjson.loads(body)["data"]] == ["a fox at dusk"] * 2


def test_other_routes_are_not_there(served: tuple[StubGenerator, str]) -> None:
    assert fetch(f"{served[1]}/v1/models")[0] == 404
    assert fetch(f"{served[1]}/v1/images/generations")[0] == 404


def test_an_app_that_does_not_start_is_an_error() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": f"{scope['type']}.startup.failed", "message": "no"})

    with pytest.raises(RuntimeError, match="did not start"), run_in_thread(broken):
        pass

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pytest

from guardrail.guard import Guard
from guardrail.integrations.asgi import GuardMiddleware
from guardrail.settings import Settings
from guardrail.testing.stub_generator import StubGenerator
from tests.test_guard import _POLICY, GREEN, RED, Words

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def stub() -> StubGenerator:
    return StubGenerator(pictures=lambda prompt, index: RED if "crimson" in prompt else GREEN)


@pytest.fixture
async def client(stub: StubGenerator, settings: Settings, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    policy = tmp_path / "policy.yaml"
    policy.write_text(_POLICY)
    with Guard.from_policy(policy, settings=settings, detectors=[Words()]) as guard:
        guarded = GuardMiddleware(stub, guard, passthrough=("/docs",))
        # An awake guard proves itself by its floor; this detector brings no examples of its own.
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://guard") as made:
            yield made


async def test_a_released_picture_comes_back_bit_for_bit(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/images/generations", json={"prompt": "a green field"})
    assert answer.status_code == 200
    assert base64.b64decode(answer.json()["data"][0]["b64_json"]) == GREEN


async def test_a_prompt_and_a_picture_are_stopped(client: httpx.AsyncClient, stub: StubGenerator) -> None:
    for prompt, reached in (("undraped", 0), ("a crimson field", 1)):
        answer = await client.post("/v1/images/generations", json={"prompt": prompt})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "moderation_blocked"
        assert stub.calls == reached


async def test_unlisted_routes_are_closed_and_listed_prefixes_pass(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/unknown")).status_code == 404
    closed = await client.get("/docsify")
    assert closed.json()["error"]["code"] != "stub"
    passed = await client.get("/docs/page")
    assert passed.json()["error"]["message"] == "not found", "the app itself answered"


@pytest.mark.parametrize("behaviour", ["error_500", "not_json", "truncated", "broken_bytes", "url", "empty"])
async def test_a_misbehaving_app_releases_nothing(
    client: httpx.AsyncClient, stub: StubGenerator, behaviour: str
) -> None:
    stub.behaviour = behaviour  # type: ignore[assignment]
    answer = await client.post("/v1/images/generations", json={"prompt": "a green field"})
    assert answer.status_code >= 400
    assert '"b64_json":' not in answer.text

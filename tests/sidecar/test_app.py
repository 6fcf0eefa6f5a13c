"""The whole way with the unmodified official client, over real servers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI

from guardrail.errors import ConfigurationError
from guardrail.sidecar import create_app
from guardrail.taxonomy import OPENAI_CATEGORIES
from guardrail.testing import drawn_picture
from guardrail.testing.stub_generator import StubGenerator
from tests.sidecar.parts import BLUE, GREEN, RED, Pair, make_guard, running


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(tmp_path_factory.mktemp("app")) as found:
        yield found


@pytest.fixture
def client(pair: Pair) -> Iterator[OpenAI]:
    pair.stub.pictures = None
    with OpenAI(base_url=f"{pair.url}/v1", api_key="the-callers-key") as found:
        yield found


def _bytes(picture: openai.types.Image) -> bytes:
    assert picture.b64_json is not None
    return base64.b64decode(picture.b64_json, validate=True)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_pictures_come_back_bit_for_bit(client: OpenAI, pair: Pair, format: str) -> None:
    answer = client.images.generate(model="any", prompt="a lighthouse", n=2, output_format=format)  # type: ignore[call-overload]
    expected = [drawn_picture(f"a lighthouse/{index}", size=(64, 64), format=format.upper()) for index in range(2)]
    assert [_bytes(item) for item in answer.data] == expected
    assert answer.created == 1_700_000_000
    assert answer.usage.output_tokens == 200
    assert pair.stub.seen_headers["authorization"] == "Bearer the-callers-key"


async def test_the_async_client_works_too(pair: Pair) -> None:
    async with AsyncOpenAI(base_url=f"{pair.url}/v1", api_key="k") as client:
        answer = await client.images.generate(model="any", prompt="a harbour")
        assert answer.data is not None
        assert _bytes(answer.data[0]) == drawn_picture("a harbour/0", size=(64, 64))
        with pytest.raises(BadRequestError) as refused:
            await client.images.generate(model="any", prompt="a naked figure")
    assert refused.value.code == "moderation_blocked"


def test_a_url_is_never_asked_for(client: OpenAI, pair: Pair) -> None:
    answer = client.images.generate(prompt="a lighthouse", response_format="url")
    assert answer.data is not None
    assert answer.data[0].b64_json
    assert pair.stub.seen_fields["response_format"] == "b64_json"
    with pytest.deprecated_call():
        client.images.create_variation(image=("a.png", GREEN), response_format="url")
    assert pair.stub.seen_fields["response_format"] == "b64_json"


def test_a_blocked_prompt_never_reaches_the_generator(client: OpenAI, pair: Pair) -> None:
    calls = pair.stub.calls
    with pytest.raises(BadRequestError) as refused:
        client.images.generate(model="any", prompt="a naked figure")
    assert pair.stub.calls == calls
    error = refused.value
    assert error.status_code == 400
    assert (error.code, error.type, error.param) == ("moderation_blocked", "image_generation_user_error", "")
    assert isinstance(error.body, dict)
    assert error.body["moderation_details"] == {"moderation_stage": "input", "categories": ["sexual"]}
    decision = error.response.headers["x-guardrail-decision"]
    assert error.body["guardrail"] == {"decision": decision, "stage": "prompt"}
    assert error.response.headers["x-guardrail-stage"] == "prompt"
    assert decision in error.message
    assert "naked" not in error.response.text


def test_a_blocked_output_says_so(client: OpenAI, pair: Pair) -> None:
    pair.stub.pictures = {"lighthouse": RED}
    with pytest.raises(BadRequestError) as refused:
        client.images.generate(model="any", prompt="a lighthouse")
    assert refused.value.code == "moderation_blocked"
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["moderation_details"]["moderation_stage"] == "output"


def test_edits_with_several_pictures_mask_and_markup(client: OpenAI, pair: Pair) -> None:
    answer = client.images.edit(
        model="any", prompt="a brighter sky", image=[GREEN, GREEN], mask=GREEN, extra_body={"seed": 7}
    )
    assert answer.data
    kind = ("image/png", len(GREEN))
    assert [item[1:] for item in pair.stub.seen_fields["image[]"]] == [kind, kind]
    assert [item[1:] for item in pair.stub.seen_fields["mask"]] == [kind]
    assert pair.stub.seen_fields["seed"] == "7"


def test_an_edit_of_a_blocked_upload(client: OpenAI, pair: Pair) -> None:
    calls = pair.stub.calls
    with pytest.raises(BadRequestError) as refused:
        client.images.edit(model="any", prompt="a brighter sky", image=RED)
    assert refused.value.code == "moderation_blocked"
    assert refused.value.response.headers["x-guardrail-stage"] == "input"
    assert pair.stub.calls == calls


def test_an_upload_that_is_no_picture(client: OpenAI, pair: Pair) -> None:
    calls = pair.stub.calls
    with pytest.raises(BadRequestError) as refused:
        client.images.edit(model="any", prompt="a brighter sky", image=b"\x89PNG\r\n\x1a\nnothing")
    assert refused.value.code == "unreadable_picture"
    assert pair.stub.calls == calls


def test_moderations_fill_every_category(client: OpenAI) -> None:
    answer = client.moderations.create(input=["a lighthouse", "a naked figure"])
    clean, flagged = answer.results
    assert (clean.flagged, flagged.flagged) == (False, True)
    assert flagged.categories.sexual is True
    assert flagged.category_scores.sexual == 1.0
    for result in answer.results:
        dumped = result.model_dump(by_alias=True)
        for key in ("categories", "category_scores", "category_applied_input_types"):
            assert set(OPENAI_CATEGORIES) <= set(dumped[key])


def test_moderation_of_text_and_picture_together(client: OpenAI) -> None:
    url = "data:image/png;base64," + base64.b64encode(RED).decode()
    answer = client.moderations.create(
        input=(
            {"type": "text", "text": "a lighthouse"},
            {"type": "image_url", "image_url": {"url": url}},
        )
    )
    assert len(answer.results) == 1
    assert answer.results[0].flagged
    assert answer.results[0].category_applied_input_types.sexual == ["text", "image"]


def test_a_guard_failure_after_generation_is_not_retried(client: OpenAI, pair: Pair) -> None:
    pair.stub.pictures = {"lighthouse": BLUE}
    calls = pair.stub.calls
    with pytest.raises(openai.InternalServerError) as failed:
        client.images.generate(model="any", prompt="a lighthouse")
    assert failed.value.status_code == 503
    assert failed.value.response.headers["x-should-retry"] == "false"
    assert pair.stub.calls == calls + 1


def test_one_bad_picture_of_four_is_dropped(client: OpenAI, pair: Pair) -> None:
    pair.stub.pictures = lambda _, index: RED if index == 2 else None
    answer = client.images.with_raw_response.generate(model="any", prompt="a fox", n=4)
    assert answer.headers["x-guardrail-withheld"] == "1"
    found = answer.parse()
    assert found.data is not None
    assert [_bytes(item) for item in found.data] == [
        drawn_picture(f"a fox/{index}", size=(64, 64)) for index in (0, 1, 3)
    ]
    assert found.usage is not None
    assert found.usage.output_tokens == 400
    extra = found.model_extra or {}
    assert extra["guardrail"]["withheld"] == 1
    assert len(extra["guardrail"]["decisions"]) == 3


def test_one_bad_picture_of_four_refuses_the_lot_when_policy_says_so(tmp_path: Path) -> None:
    stub = StubGenerator(pictures=lambda _, index: RED if index == 2 else GREEN)
    with (
        running(tmp_path, stub, on_partial="refuse") as own,
        OpenAI(base_url=f"{own.url}/v1", api_key="k") as client,
        pytest.raises(BadRequestError) as refused,
    ):
        client.images.generate(model="any", prompt="a fox", n=4)
    assert refused.value.code == "moderation_blocked"
    assert own.stub.calls == 1


def test_streaming_is_refused_clearly(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.images.generate(model="any", prompt="a fox", stream=True)
    assert refused.value.code == "streaming_unsupported"


def test_an_app_needs_an_upstream_and_a_known_dialect(tmp_path: Path) -> None:
    with make_guard(tmp_path) as guard:
        with pytest.raises(ConfigurationError, match="no dialect"):
            create_app(guard, dialect="telegraph")
        settings = guard.settings.model_copy(
            update={"server": guard.settings.server.model_copy(update={"upstream": None})}
        )
        with pytest.raises(ConfigurationError, match="generator"):
            create_app(guard, settings)

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from guardrail.settings import Deadlines, Limits, Server
from guardrail.signals import GenerationRequest, Picture
from guardrail.testing.stub_generator import StubGenerator
from guardrail.verdict import Verdict
from tests.sidecar.parts import BLACK, BLUE, GREEN, RED, ColourDetector, Pair, WordDetector, fetch, running


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(tmp_path_factory.mktemp("flow")) as found:
        yield found


@pytest.fixture(autouse=True)
def _well_behaved(pair: Pair) -> None:
    pair.stub.pictures = None
    pair.stub.revised_prompt = None


def _generate(pair: Pair, prompt: str = "a lighthouse", **fields: object) -> tuple[int, dict[str, str], Any]:
    body = orjson.dumps({"prompt": prompt, **fields})
    status, headers, answer = fetch(f"{pair.url}/v1/images/generations", body, content_type="application/json")
    return status, headers, orjson.loads(answer)


def test_a_guard_failure_before_generation_asks_nobody(pair: Pair) -> None:
    calls = pair.stub.calls
    status, headers, answer = _generate(pair, "explode")
    assert (status, answer["error"]["code"]) == (503, "guard_unavailable")
    assert "x-should-retry" not in headers
    assert pair.stub.calls == calls


def test_a_revised_prompt_is_judged_too(pair: Pair) -> None:
    pair.stub.revised_prompt = "a naked figure"
    status, headers, answer = _generate(pair)
    assert (status, answer["error"]["code"]) == (400, "moderation_blocked")
    assert headers["x-guardrail-stage"] == "prompt"
    pair.stub.revised_prompt = "a lighthouse at dusk"
    status, _, answer = _generate(pair, n=2)
    assert status == 200
    assert [item["revised_prompt"] for item in answer["data"]] == ["a lighthouse at dusk"] * 2


def test_a_failure_on_the_revised_prompt_is_a_failure_after_generation(pair: Pair) -> None:
    pair.stub.revised_prompt = "explode"
    status, headers, _ = _generate(pair)
    assert (status, headers["x-should-retry"]) == (503, "false")


def test_rules_come_before_failures_when_nothing_is_left(pair: Pair) -> None:
    pair.stub.pictures = lambda _, index: (BLUE, RED)[index]
    status, _, answer = _generate(pair, n=2)
    assert (status, answer["error"]["code"]) == (400, "moderation_blocked")


def test_the_rest_of_the_answer_comes_through(pair: Pair) -> None:
    status, headers, answer = _generate(pair)
    assert status == 200
    assert set(answer) == {"created", "usage", "data"}
    assert answer["usage"]["output_tokens"] == 100
    assert headers["x-request-id"] == "stub-request"
    assert len(headers["x-guardrail-decision"]) == 26


def test_undocumented_fields_come_through_and_their_text_is_judged(pair: Pair) -> None:
    status, _, _ = _generate(pair, seed=2**60, lora={"name": "watercolour", "weight": 0.5})
    assert status == 200
    assert pair.stub.seen_fields["lora"] == {"name": "watercolour", "weight": 0.5}
    calls = pair.stub.calls
    status, _, answer = _generate(pair, prompt_2="a naked figure")
    assert (status, answer["error"]["code"]) == (400, "moderation_blocked")
    status, _, answer = _generate(pair, more=[{"deep": "a naked figure"}])
    assert (status, answer["error"]["code"]) == (400, "moderation_blocked")
    assert pair.stub.calls == calls


def test_a_prompt_over_the_limit_is_a_typed_error(pair: Pair) -> None:
    assert _generate(pair, "a " * 16_000)[0] == 200
    status, _, answer = _generate(pair, "a " * 16_001)
    assert (status, answer["error"]["code"]) == (400, "prompt")


def test_a_detector_past_its_deadline_closes_the_answer(tmp_path: Path) -> None:
    colours = ColourDetector()
    stub = StubGenerator(pictures={"lighthouse": BLACK})
    with running(tmp_path, stub, detectors=[WordDetector(), colours], deadlines=Deadlines(output=0.1)) as own:
        status, headers, answer = _generate(own)
        colours.patience.set()
    assert (status, answer["error"]["code"]) == (503, "guard_unavailable")
    assert headers["x-should-retry"] == "false"


def test_an_upstream_that_hangs_is_given_up(tmp_path: Path) -> None:
    stub = StubGenerator(behaviour="hang")
    with running(tmp_path, stub, server=Server(upstream_timeout=0.2)) as own:
        status, headers, answer = _generate(own)
    assert (status, answer["error"]["code"]) == (504, "upstream_error")
    assert headers["x-should-retry"] == "false"
    assert stub.calls == 1


def test_more_pictures_than_the_limit_are_not_released(tmp_path: Path) -> None:
    stub = StubGenerator(pictures={"lighthouse": GREEN})
    with running(tmp_path, stub, limits=Limits(max_pictures=1)) as own:
        assert _generate(own, n=2)[2]["error"]["param"] == "n"
        assert _generate(own)[0] == 200
        own.stub.extra = 1
        status, _, answer = _generate(own)
    assert (status, answer["error"]["code"]) == (502, "upstream_error")


def test_a_guard_that_breaks_after_generation_releases_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object) -> None:
        raise KeyError("content")

    async def too_few(*_: object) -> tuple[()]:
        return ()

    for broken in (crash, too_few):
        monkeypatch.setattr(pair.guard, "check_outputs", broken)
        status, headers, answer = _generate(pair)
        assert (status, answer["error"]["code"]) == (503, "guard_unavailable")
        assert headers["x-should-retry"] == "false"


def test_a_verdict_about_another_picture_releases_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    check = pair.guard.check_outputs

    async def swapped(request: GenerationRequest, pictures: Sequence[Picture], prior: Sequence[Verdict]) -> Any:
        return tuple(reversed(await check(request, pictures, prior)))

    monkeypatch.setattr(pair.guard, "check_outputs", swapped)
    status, headers, answer = _generate(pair, n=2)
    assert (status, answer["error"]["code"]) == (503, "guard_unavailable")
    assert headers["x-should-retry"] == "false"


def test_transformed_uploads_reach_the_generator_as_copies(tmp_path: Path) -> None:
    rule = "  - {id: copies, stage: input, when: 'true', then: transform, message: copies}\n"
    body = {
        "prompt": "a lighthouse",
        "images": [{"image_url": "data:image/png;base64," + base64.b64encode(GREEN).decode()}],
    }
    with running(tmp_path, rules=rule) as pair:
        status, _, _ = fetch(f"{pair.url}/v1/images/edits", orjson.dumps(body), content_type="application/json")
        assert (status, pair.stub.calls) == (200, 1)
        carried = pair.guard.transformed(GenerationRequest(uploads=(Picture(GREEN),))).uploads[0].data
        assert carried != GREEN
        assert pair.stub.seen_fields["images"][0]["image_url"].endswith(base64.b64encode(carried).decode())

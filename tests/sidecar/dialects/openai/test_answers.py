from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import UpstreamError
from guardrail.settings import Limits
from guardrail.sidecar.dialects.openai.answers import read_answer
from guardrail.sidecar.gate import Released, ReleaseGate
from guardrail.signals import Coverage
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, PolicyRef, Verdict
from tests.sidecar.parts import GREEN

_LIMITS = Limits(max_picture_bytes=1_000, max_pictures=4)


def _released(data: bytes) -> Released:
    verdict = Verdict(Stage.OUTPUT, Action.ALLOW, (), (), Coverage(), PolicyRef("p", "1", ""), subject="same")
    found = ReleaseGate(lambda _: "same").release(verdict, data)
    assert found is not None
    return found


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=100), st.booleans()), min_size=1, max_size=4))
def test_only_what_was_released_is_put_together_again(pictures: list[tuple[bytes, bool]]) -> None:
    body = orjson.dumps(
        {
            "created": 1,
            "data": [{"b64_json": _encoded(data), "url": None} for data, _ in pictures],
            "usage": {"total_tokens": 7},
            "output_format": "png",
        }
    )
    answer = read_answer(body, _LIMITS)
    assert answer.pictures == tuple(data for data, _ in pictures)
    rebuilt = orjson.loads(answer.rebuilt([_released(data) if kept else None for data, kept in pictures], ["id"]))
    assert [base64.b64decode(item["b64_json"]) for item in rebuilt["data"]] == [data for data, kept in pictures if kept]
    assert (rebuilt["created"], rebuilt["usage"], rebuilt["output_format"]) == (1, {"total_tokens": 7}, "png")
    withheld = sum(not kept for _, kept in pictures)
    assert rebuilt.get("guardrail", {"withheld": 0})["withheld"] == withheld


def test_revised_prompts_are_found() -> None:
    item = {"b64_json": _encoded(GREEN), "revised_prompt": "a lighthouse at dusk"}
    assert read_answer(orjson.dumps({"data": [item, {"b64_json": _encoded(GREEN)}]}), _LIMITS).texts == (
        "a lighthouse at dusk",
        None,
    )


_GOOD = {"b64_json": _encoded(GREEN)}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"data": None},
        {"data": []},
        {"data": {}},
        {"data": ["x"]},
        {"data": [{}]},
        {"data": [{"b64_json": None}]},
        {"data": [{"b64_json": 5}]},
        {"data": [{"b64_json": ""}]},
        {"data": [{"b64_json": "Q*=="}]},
        {"data": [{"b64_json": "QQ"}]},
        {"data": [{"b64_json": _encoded(GREEN) + "\n"}]},
        {"data": [{"b64_json": _encoded(b"x" * 1_001)}]},
        {"data": [{"b64_json": "A" * 8_000}]},
        {"data": [_GOOD] * 5},
        {"data": [{"url": "https://example.org/a.png"}]},
        {"data": [{**_GOOD, "url": "https://example.org/a.png"}]},
        {"data": [{**_GOOD, "url": ""}]},
        {"data": [{**_GOOD, "thumbnail": _encoded(GREEN)}]},
        {"data": [{**_GOOD, "revised_prompt": ["x"]}]},
        {"data": [{**_GOOD, "revised_prompt": f"data:image/png;base64,{_encoded(GREEN)}"}]},
        {"data": [_GOOD], "images": [_encoded(GREEN)]},
        {"data": [_GOOD], "more": {"deep": [_encoded(GREEN)]}},
        {"data": [_GOOD], "link": "https://example.org/a.png"},
        {"data": [_GOOD], "more": ["x"] * 5_000},
    ],
)
def test_an_answer_that_cannot_be_judged_is_closed(answer: Any) -> None:
    with pytest.raises(UpstreamError) as failed:
        read_answer(orjson.dumps(answer), _LIMITS)
    assert (failed.value.status, failed.value.retry) == (502, False)


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[" * 100_000, b'{"data": NaN}', b"<html>"])
def test_an_answer_that_is_not_json_is_closed(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        read_answer(body, _LIMITS)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_answer_or_a_typed_error(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        read_answer(body, _LIMITS)

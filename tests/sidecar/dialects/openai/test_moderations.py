from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from guardrail.sidecar.dialects.openai.moderations import MAX_INPUTS, categories_of, category_scores
from guardrail.taxonomy import OPENAI_CATEGORIES
from tests.sidecar.parts import BLUE, GREEN, RED, Pair, fetch, running


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(tmp_path_factory.mktemp("moderations")) as found:
        yield found


def _moderate(pair: Pair, value: object, content_type: str = "application/json") -> tuple[int, dict[str, Any]]:
    body = orjson.dumps({"input": value})
    status, _, answer = fetch(f"{pair.url}/v1/moderations", body, content_type=content_type)
    return status, orjson.loads(answer)


def _image(data: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_one_result_for_each_text(pair: Pair) -> None:
    status, answer = _moderate(pair, ["a lighthouse", "a naked figure", "a fox"])
    assert status == 200
    assert [result["flagged"] for result in answer["results"]] == [False, True, False]
    assert answer["id"].startswith("modr-")
    flagged = answer["results"][1]
    for key in ("categories", "category_scores", "category_applied_input_types"):
        assert list(flagged[key]) == list(OPENAI_CATEGORIES)
    assert [name for name, value in flagged["categories"].items() if value] == ["sexual"]
    assert flagged["category_applied_input_types"]["sexual"] == ["text"]
    assert flagged["category_applied_input_types"]["illicit"] == []
    assert flagged["guardrail"]["action"] == "block"
    assert flagged["guardrail"]["signals"] == {"sexual.explicit": 1.0}
    assert answer["results"][0]["guardrail"]["categories"] == []
    assert pair.stub.calls == 0


def test_a_single_text_gives_one_result(pair: Pair) -> None:
    status, answer = _moderate(pair, "a lighthouse")
    assert (status, len(answer["results"])) == (200, 1)


def test_parts_share_one_result(pair: Pair) -> None:
    status, answer = _moderate(pair, [_text("a lighthouse"), _image(GREEN), _image(RED)])
    assert (status, len(answer["results"])) == (200, 1)
    assert answer["results"][0]["flagged"] is True
    assert answer["results"][0]["category_applied_input_types"]["sexual"] == ["text", "image"]
    assert _moderate(pair, [_image(GREEN)])[1]["results"][0]["flagged"] is False


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        (None, 400, "missing_field"),
        ([], 400, "missing_field"),
        (5, 400, "missing_field"),
        ([5], 400, "invalid_field"),
        (["a", _text("b")], 400, "invalid_field"),
        ([{"type": "text"}], 400, "invalid_field"),
        ([{"type": "image_url", "image_url": "x"}], 400, "invalid_field"),
        ([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}], 400, "remote_url_unsupported"),
        ([{"type": "audio", "audio": {}}], 400, "invalid_field"),
        (["a"] * (MAX_INPUTS + 1), 413, "too_many_inputs"),
        ("a" * 32_001, 400, "prompt"),
        ([_image(GREEN)] * 21, 400, "too_many_pictures"),
        ([_image(b"\x89PNG no")], 400, "unreadable_picture"),
        ("explode", 503, "guard_unavailable"),
        ([_image(BLUE)], 503, "guard_unavailable"),
    ],
)
def test_what_cannot_be_judged_is_a_typed_error(pair: Pair, value: object, status: int, code: str) -> None:
    found, answer = _moderate(pair, value)
    assert (found, answer["error"]["code"]) == (status, code)


def test_only_json_is_read(pair: Pair) -> None:
    assert _moderate(pair, "a", "text/plain")[0] == 400


def test_sexual_and_minor_signals_together_are_one_more_category() -> None:
    assert "sexual/minors" in categories_of({"sexual.nudity", "minor.mention"})
    assert "sexual/minors" not in categories_of({"sexual.nudity"})
    assert categories_of({"minor.mention"}) == frozenset()
    scores = category_scores({"sexual.nudity": 0.9, "minor.mention": 0.4, "harm.graphic": 0.2})
    assert scores["sexual/minors"] == 0.4
    assert scores["sexual"] == 0.9
    assert scores["violence"] == scores["violence/graphic"] == 0.2
    assert category_scores({"minor.mention": 0.9})["sexual/minors"] == 0.0
    assert set(scores) == set(OPENAI_CATEGORIES)

"""Nothing leaves unless it was judged, released, and is the very bytes that were judged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import orjson
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ReleaseError
from guardrail.sidecar.gate import ReleaseGate
from guardrail.signals import Coverage
from guardrail.taxonomy import Stage
from guardrail.testing.stub_generator import Behaviour, StubGenerator
from guardrail.verdict import Action, PolicyRef, Verdict
from tests.sidecar.parts import BLUE, GREEN, RED, Pair, fetch, running


def _digest(data: bytes) -> str:
    return "blake2b:" + hashlib.blake2b(data, key=b"key", digest_size=32).hexdigest()


@given(
    action=st.sampled_from(Action),
    stage=st.sampled_from(Stage),
    judged=st.binary(max_size=64),
    sent=st.binary(max_size=64),
    same=st.booleans(),
)
def test_the_gate_passes_released_outputs_with_their_own_bytes_and_nothing_else(
    action: Action, stage: Stage, judged: bytes, sent: bytes, same: bool
) -> None:
    data = judged if same else sent
    verdict = Verdict(stage, action, (), (), Coverage(), PolicyRef("p", "1", ""), subject=_digest(judged))
    try:
        released = ReleaseGate(_digest).release(verdict, data)
    except ReleaseError:
        released = None
    expected = action in (Action.ALLOW, Action.FLAG) and stage is Stage.OUTPUT and data == judged
    assert (released is not None) == expected
    if released is not None:
        assert released.data == judged


@given(st.binary(min_size=1, max_size=256), st.integers(0, 2047))
def test_one_flipped_bit_is_another_picture(data: bytes, position: int) -> None:
    flipped = bytearray(data)
    flipped[position // 8 % len(data)] ^= 1 << position % 8
    verdict = Verdict(Stage.OUTPUT, Action.ALLOW, (), (), Coverage(), PolicyRef("p", "1", ""), subject=_digest(data))
    with pytest.raises(ReleaseError):
        ReleaseGate(_digest).release(verdict, bytes(flipped))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(tmp_path_factory.mktemp("gate"), StubGenerator(size=(64, 64), huge_bytes=70 * 2**20)) as found:
        yield found


def _generate(pair: Pair, **fields: object) -> tuple[int, dict[str, str], bytes]:
    body = orjson.dumps({"prompt": "a lighthouse", **fields})
    return fetch(f"{pair.url}/v1/images/generations", body, content_type="application/json")


_MISBEHAVIOUR = sorted(set(get_args(Behaviour)) - {"ok", "slow", "hang", "two_frames"})


@pytest.mark.parametrize("behaviour", _MISBEHAVIOUR)
def test_a_misbehaving_generator_gets_nothing_through(pair: Pair, behaviour: Behaviour) -> None:
    pair.stub.behaviour = behaviour
    calls = pair.stub.calls
    try:
        status, headers, body = _generate(pair)
    finally:
        pair.stub.behaviour = "ok"
    assert pair.stub.calls == calls + 1
    passed_on = {"error_400": 400, "rate_limited": 429}
    assert status == passed_on.get(behaviour, 502)
    error = orjson.loads(body)["error"]
    assert error["code"] == {"error_400": "stub_refused", "rate_limited": "stub_busy"}.get(behaviour, "upstream_error")
    assert b"b64_json" not in body.replace(b"response_format b64_json", b"")
    assert len(body) < 1_000
    if status >= 500:
        assert headers["x-should-retry"] == "false"


def test_every_frame_of_an_animation_is_judged(pair: Pair) -> None:
    import io

    from PIL import Image

    frames = [Image.new("RGB", (64, 64), colour) for colour in ("green", "red")]
    data = io.BytesIO()
    frames[0].save(data, "PNG", save_all=True, append_images=frames[1:])
    pair.stub.pictures = {"lighthouse": data.getvalue()}
    try:
        status, _, body = _generate(pair)
    finally:
        pair.stub.pictures = None
    assert status == 400
    assert orjson.loads(body)["error"]["code"] == "moderation_blocked"


@given(fates=st.lists(st.sampled_from(["good", "bad", "failing"]), min_size=1, max_size=6))
def test_only_good_pictures_of_a_mixed_answer_leave(pair: Pair, fates: list[str]) -> None:
    source = {"good": GREEN, "bad": RED, "failing": BLUE}
    pair.stub.pictures = lambda _, index: source[fates[index]]
    try:
        status, headers, body = _generate(pair, n=len(fates))
    finally:
        pair.stub.pictures = None
    good = fates.count("good")
    if good:
        assert status == 200
        sent = [pybase64.b64decode(item["b64_json"], validate=True) for item in orjson.loads(body)["data"]]
        assert sent == [GREEN] * good
        assert headers.get("x-guardrail-withheld", "0") == str(len(fates) - good)
    elif "bad" in fates:
        assert status == 400
    else:
        assert status == 503
        assert headers["x-should-retry"] == "false"
    for secret in (RED, BLUE):
        assert pybase64.b64encode(secret) not in body


def test_a_record_that_cannot_be_written_keeps_the_picture(tmp_path: Path) -> None:
    from guardrail.errors import RecordError
    from guardrail.signals import GenerationRequest

    with running(tmp_path) as own:
        assert own.guard.log is not None
        whole = own.guard.log.append

        def full_disk(verdict: Verdict, request: GenerationRequest) -> None:
            if verdict.stage is Stage.OUTPUT:
                raise RecordError("no space left")
            whole(verdict, request)

        own.guard.log.append = full_disk  # type: ignore[method-assign]
        status, headers, body = _generate(own)
    assert status == 503
    assert headers["x-should-retry"] == "false"
    assert b"b64_json" not in body

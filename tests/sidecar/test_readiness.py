from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from guardrail.detector import Example
from guardrail.sidecar import create_app, readiness
from guardrail.sidecar.metrics import Metrics
from guardrail.sidecar.readiness import Readiness
from guardrail.testing import prompt_subject
from guardrail.testing.stub_generator import run_in_thread
from tests.sidecar.parts import WordDetector, fetch, make_guard


class AsleepDetector(WordDetector):
    """Does not do what its example says until it is woken."""

    name = "test.asleep"
    awake = False

    def examples(self) -> Sequence[Example]:
        text = "a naked figure" if self.awake else "a lighthouse"
        return (Example(prompt_subject(text), at_least={"sexual.explicit": 0.9}),)


def test_nothing_is_served_before_every_canary_passed(tmp_path: Path) -> None:
    with make_guard(tmp_path, detectors=[AsleepDetector()]) as guard, run_in_thread(create_app(guard)) as url:
        body = orjson.dumps({"prompt": "a lighthouse"})
        status, headers, answer = fetch(f"{url}/v1/images/generations", body, content_type="application/json")
        assert (status, orjson.loads(answer)["error"]["code"]) == (503, "not_ready")
        assert headers["retry-after"] == "2"
        assert fetch(f"{url}/healthz")[0] == 200
        for _ in range(500):
            status, _, answer = fetch(f"{url}/readyz")
            if orjson.loads(answer)["canaries"]:
                break
    assert status == 503
    failed = [item for item in orjson.loads(answer)["canaries"] if not item["passed"]]
    assert [item["name"] for item in failed] == ["examples:test.asleep"]


async def test_canaries_run_again_until_they_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "RETRY_SECONDS", 0.01)
    detector = AsleepDetector()
    with make_guard(tmp_path, detectors=[detector]) as guard:
        state = Readiness(guard, Metrics())
        proving = asyncio.create_task(state.prove())
        await asyncio.sleep(0.1)
        assert not state.ready
        detector.awake = True
        await asyncio.wait_for(proving, 5)
        assert state.ready
        assert state.report()["ready"] is True


async def test_canaries_that_crash_are_not_a_pass(tmp_path: Path) -> None:
    with make_guard(tmp_path) as guard:

        async def crash() -> None:
            raise OSError("content")

        guard.canaries = crash  # type: ignore[method-assign, assignment]
        state = Readiness(guard, Metrics())
        proving = asyncio.create_task(state.prove())
        await asyncio.sleep(0.05)
        proving.cancel()
    assert state.report() == {
        "ready": False,
        "canaries": [{"name": "canaries", "passed": False, "detail": "OSError"}],
    }

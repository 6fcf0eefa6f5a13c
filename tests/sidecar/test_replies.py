from __future__ import annotations

import orjson
import pytest

from guardrail.errors import GuardrailError, PictureError, PromptError, ProtocolError, UpstreamError
from guardrail.sidecar import replies
from guardrail.signals import Coverage
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, PolicyRef, Reason, Verdict


def _verdict(*reasons: Reason, stage: Stage = Stage.PROMPT, action: Action = Action.BLOCK) -> Verdict:
    return Verdict(stage, action, reasons, (), Coverage(), PolicyRef("p", "1", ""))


def test_categories_are_coarse_and_come_from_rules_in_force_only() -> None:
    verdict = _verdict(
        Reason("a", Action.BLOCK, "m", ("sexual.nudity", "person.named")),
        Reason("b", Action.BLOCK, "m", ("harm.graphic",), mode="shadow"),
        Reason("c", Action.FLAG, "m", ("injection.instruction",)),
        Reason("d", Action.BLOCK, "m", ("fingerprint.match",), mode="fault"),
    )
    assert replies.public_categories([verdict]) == ["real_person", "sexual"]
    assert replies.public_categories([_verdict()]) == ["policy"]


@pytest.mark.parametrize(("stage", "told"), [(Stage.PROMPT, "input"), (Stage.INPUT, "input"), (Stage.OUTPUT, "output")])
@pytest.mark.parametrize("action", [Action.BLOCK, Action.HOLD])
def test_a_refusal_is_a_400_that_clients_know(stage: Stage, told: str, action: Action) -> None:
    verdict = _verdict(Reason("secret-rule", action, "secret words", ("sexual.nudity",)), stage=stage, action=action)
    reply = replies.refused([verdict])
    error = orjson.loads(reply.body)["error"]
    assert reply.status == 400
    assert (error["code"], error["type"], error["param"]) == (
        "moderation_blocked",
        "image_generation_user_error",
        "",
    )
    assert error["moderation_details"] == {"moderation_stage": told, "categories": ["sexual"]}
    assert dict(reply.headers)["x-guardrail-decision"] == verdict.id
    assert dict(reply.headers)["x-guardrail-stage"] == stage.value
    assert b"secret" not in reply.body
    assert reply.note["rule"] == "secret-rule"


@pytest.mark.parametrize("billed", [True, False])
def test_a_guard_failure_forbids_retries_only_after_generation(billed: bool) -> None:
    fault = _verdict(Reason("guard-error", Action.BLOCK, "m", mode="fault"))
    for cause in (ValueError("content"), PromptError("content"), fault):
        reply = replies.guard_failed(cause, billed=billed)
        assert reply.status == 503
        assert (replies.NO_RETRY in reply.headers) is billed
        assert b"content" not in reply.body
        assert "content" not in str(reply.note)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProtocolError("no", status=413, code="too_large", param="image"), 413, "too_large"),
        (ProtocolError("no"), 400, "invalid_request"),
        (UpstreamError("no", status=504), 504, "upstream_error"),
        (PictureError("no", reason="too_many_pictures"), 400, "too_many_pictures"),
        (PromptError("no"), 400, "prompt"),
    ],
)
def test_typed_errors_keep_their_status_and_word(error: GuardrailError, status: int, code: str) -> None:
    reply = replies.of_error(error)
    assert (reply.status, orjson.loads(reply.body)["error"]["code"]) == (status, code)


def test_only_a_retry_that_can_help_is_left_to_the_client() -> None:
    assert replies.NO_RETRY in replies.of_error(UpstreamError("no")).headers
    assert replies.NO_RETRY not in replies.of_error(UpstreamError("no", retry=True)).headers


def test_the_plain_answers() -> None:
    assert [reply.status for reply in (replies.busy(), replies.not_ready(), replies.no_route())] == [429, 503, 404]
    assert dict(replies.busy().headers)["retry-after"] == "1"
    assert dict(replies.wrong_method("POST").headers)["allow"] == "POST"

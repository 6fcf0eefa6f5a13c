"""Every answer that is not a released picture: refusals, typed errors, guard failures."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from guardrail.errors import GuardrailError, PictureError, ProtocolError, UpstreamError
from guardrail.sidecar.wire import Reply
from guardrail.taxonomy import Stage, public_category
from guardrail.verdict import Verdict

NO_RETRY = ("x-should-retry", "false")
"""Tells the official clients not to send, and pay for, the request again."""


def error(
    status: int,
    code: str,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """An error object in the shape the OpenAI clients read."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return Reply(status, orjson.dumps(body), headers, {"outcome": code})


def refused(verdicts: Sequence[Verdict]) -> Reply:
    """What a blocked or held request is told: 400, coarse categories, and the id of the decision.

    Args:
        verdicts: those that do not release, at least one; the first names the stage and the decision.
    """
    first = verdicts[0]
    categories = public_categories(verdicts)
    stage = "output" if first.stage is Stage.OUTPUT else "input"
    body: dict[str, Any] = {
        "error": {
            "message": (
                "Your request was rejected by the safety system. If you believe this is an error, tell the operator "
                f"of this service the request ID {first.id}. safety_violations=[{', '.join(categories)}]."
            ),
            "type": "image_generation_user_error",
            "param": "",
            "code": "moderation_blocked",
            "moderation_details": {"moderation_stage": stage, "categories": categories},
            "guardrail": {"decision": first.id, "stage": first.stage.value},
        }
    }
    headers = (
        ("x-guardrail-decision", first.id),
        ("x-guardrail-stage", first.stage.value),
        ("x-request-id", first.id),
    )
    note = {
        "outcome": "refused",
        "decision": first.id,
        "stage": first.stage.value,
        "action": first.action.value,
        "rule": first.rule or "",
    }
    return Reply(400, orjson.dumps(body), headers, note)


def public_categories(verdicts: Sequence[Verdict]) -> list[str]:
    """Coarse categories of the rules in force that keep a subject back; ["policy"] when there are none."""
    found = {
        public_category(name)
        for verdict in verdicts
        for reason in verdict.reasons
        if reason.mode == "enforce" and not reason.action.released
        for name in reason.signals
    }
    return sorted(found) or ["policy"]


def guard_failed(cause: Exception | Verdict, *, billed: bool) -> Reply:
    """503: the guard itself failed and closed.

    Args:
        cause: the closed verdict, or the exception; of that only the type and the place are noted, since its text
            may quote content.
        billed: the generator has already worked, so a retry would pay again.
    """
    headers: tuple[tuple[str, str], ...] = (NO_RETRY,) if billed else ()
    note: dict[str, str | int | float] = {"outcome": "guard_failed", "billed": int(billed)}
    if isinstance(cause, Verdict):
        headers += (("x-guardrail-decision", cause.id), ("x-guardrail-stage", cause.stage.value))
        note |= {"rule": cause.rule or "", "decision": cause.id, "stage": cause.stage.value}
    else:
        frames = traceback.extract_tb(cause.__traceback__)
        note["error"] = cause.code if isinstance(cause, GuardrailError) else type(cause).__name__
        note["at"] = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    when = "after the generator had worked; nothing is released" if billed else "before the generator was asked"
    reply = error(503, "guard_unavailable", f"The guard failed {when}.", kind="server_error", headers=headers)
    return Reply(reply.status, reply.body, reply.headers, note)


def of_error(failure: GuardrailError) -> Reply:
    """The answer to a typed error of ours."""
    text = f"{failure.message}. {failure.advice}" if not failure.message.endswith(".") else failure.message
    if isinstance(failure, ProtocolError):
        return error(failure.status, failure.code, text, param=failure.param)
    if isinstance(failure, UpstreamError):
        headers = () if failure.retry else (NO_RETRY,)
        return error(failure.status, "upstream_error", text, kind="server_error", headers=headers)
    if isinstance(failure, PictureError):
        return error(400, failure.reason, text)
    return error(400, failure.code, text)


def busy() -> Reply:
    """429: as many requests are under way as the settings allow."""
    return error(
        429, "too_many_requests", "The guard is busy; try again.", kind="requests", headers=(("retry-after", "1"),)
    )


def not_ready() -> Reply:
    """503 until the canaries have been blocked."""
    return error(
        503, "not_ready", "The guard has not proved yet that it works.", kind="server_error",
        headers=(("retry-after", "2"),),
    )  # fmt: skip


def no_route() -> Reply:
    """404: what is not listed is closed."""
    return error(404, "unknown_route", "This route is closed: it is not one the guard can judge.")


def wrong_method(allowed: str) -> Reply:
    """405 with the method that works."""
    return error(405, "method_not_allowed", f"Use {allowed}.", headers=(("allow", allowed),))

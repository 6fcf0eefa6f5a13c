"""`POST /v1/moderations`: the guard's own verdicts in the shape of the OpenAI moderation API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from guardrail.errors import ProtocolError
from guardrail.sidecar import replies
from guardrail.sidecar.dialects.openai.pictures import decode_data_url
from guardrail.sidecar.flow import Flow, kept_before
from guardrail.sidecar.strictjson import read_object
from guardrail.sidecar.wire import Call, Note, Reply
from guardrail.signals import GenerationRequest, Picture, Prompt
from guardrail.taxonomy import OPENAI_CATEGORIES, SIGNALS, Stage
from guardrail.verdict import Verdict, new_id

MAX_INPUTS = 256
MODEL = "guardrail"
_INPUT_TYPES = {Stage.PROMPT: "text", Stage.INPUT: "image"}
_SEXUAL = frozenset(entry.name for entry in SIGNALS.values() if "sexual" in entry.openai)
_MINOR = frozenset(entry.name for entry in SIGNALS.values() if entry.public == "minors")


class Moderator:
    """Answers moderation calls with the guard alone; nothing goes to the generator.

    Args:
        flow: whose guard judges.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._measured = {
            kind: categories_of(
                name
                for detector in flow.guard.active_detectors()
                if stage in detector.stages
                for name in detector.emits
            )
            for stage, kind in _INPUT_TYPES.items()
        }

    async def moderate(self, call: Call) -> Reply:
        """One result for each text of a list; one result for all parts of a multimodal input.

        Raises:
            ProtocolError: the input is none of the documented shapes.
        """
        if call.content_type()[0] != "application/json":
            raise ProtocolError("send application/json", code="unsupported_content_type")
        found = read_object(call.body)
        requests = self._requests(found.get("input"))
        judged = await asyncio.gather(*(self._judged(request) for request in requests))
        for verdicts in judged:
            for verdict in verdicts:
                if verdict.fault:
                    return kept_before(verdict)
        body = {
            "id": f"modr-{new_id()}",
            "model": MODEL,
            "results": [self._result(verdicts) for verdicts in judged],
        }
        flagged = sum(not verdict.released for verdicts in judged for verdict in verdicts)
        note: Note = {"outcome": "moderated", "inputs": len(requests), "flagged": flagged}
        return Reply(200, orjson.dumps(body), (), note)

    async def _judged(self, request: GenerationRequest) -> tuple[Verdict, ...]:
        verdicts: list[Verdict] = []
        if request.prompts:
            verdicts.append(await self._flow.guard.check_prompt(request))
        if request.uploads:
            verdicts.append(await self._flow.guard.check_inputs(request, verdicts))
        for verdict in verdicts:
            self._flow.metrics.verdict(verdict)
        return tuple(verdicts)

    def _requests(self, value: Any) -> list[GenerationRequest]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not items:
            raise ProtocolError("input must be text or a list that is not empty", code="missing_field", param="input")
        if len(items) > MAX_INPUTS:
            raise ProtocolError(f"at most {MAX_INPUTS} inputs", status=413, code="too_many_inputs", param="input")
        if all(isinstance(item, str) for item in items):
            return [GenerationRequest((Prompt(text, where="input"),), operation="moderate") for text in items]
        return [self._multimodal(items)]

    def _multimodal(self, items: Sequence[Any]) -> GenerationRequest:
        prompts, uploads = [], []
        for item in items:
            kind = item.get("type") if isinstance(item, dict) else None
            if kind == "text" and isinstance(item.get("text"), str):
                prompts.append(Prompt(item["text"], where="input"))
            elif kind == "image_url" and isinstance(item.get("image_url"), dict):
                data = decode_data_url(item["image_url"].get("url"), "input", self._flow.limits)
                uploads.append(Picture(data, where="input"))
            else:
                raise ProtocolError(
                    "each part must be a text or an image_url object", code="invalid_field", param="input"
                )
        return GenerationRequest(tuple(prompts), tuple(uploads), "moderate")

    def _result(self, verdicts: Sequence[Verdict]) -> dict[str, Any]:
        kept = [verdict for verdict in verdicts if not verdict.released]
        blamed = [
            frozenset(reason.signals)
            for verdict in kept
            for reason in verdict.reasons
            if reason.mode == "enforce" and not reason.action.released
        ]
        scores: dict[str, float] = {}
        for verdict in verdicts:
            for name, score in verdict.scores.items():
                scores[name] = max(score, scores.get(name, 0.0))
        kinds = [_INPUT_TYPES[verdict.stage] for verdict in verdicts]
        return {
            "flagged": bool(kept),
            "categories": {name: any(name in categories_of(group) for group in blamed) for name in OPENAI_CATEGORIES},
            "category_scores": category_scores(scores),
            "category_applied_input_types": {
                name: [kind for kind in kinds if name in self._measured[kind]] for name in OPENAI_CATEGORIES
            },
            "guardrail": {
                "action": max((verdict.action for verdict in verdicts), key=lambda action: action.severity).value,
                "decisions": [verdict.id for verdict in verdicts],
                "rules": [verdict.rule for verdict in kept if verdict.rule],
                "categories": replies.public_categories(kept) if kept else [],
                "signals": {name: round(score, 4) for name, score in sorted(scores.items())},
            },
        }


def categories_of(signals: Iterable[str]) -> frozenset[str]:
    """OpenAI categories that signals stand for; sexual and minor signals together are `sexual/minors` too."""
    names = frozenset(signals)
    found = {category for name in names if name in SIGNALS for category in SIGNALS[name].openai}
    if names & _SEXUAL and names & _MINOR:
        found.add("sexual/minors")
    return frozenset(found)


def category_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Best score, 0 to 1, behind each of the thirteen categories; the weaker of the two for `sexual/minors`."""
    found = {
        category: _best((name for name in scores.keys() & SIGNALS.keys() if category in SIGNALS[name].openai), scores)
        for category in OPENAI_CATEGORIES
    }
    found["sexual/minors"] = min(_best(_SEXUAL, scores), _best(_MINOR, scores))
    return found


def _best(names: Iterable[str], scores: Mapping[str, float]) -> float:
    return max((scores.get(name, 0.0) for name in names), default=0.0)

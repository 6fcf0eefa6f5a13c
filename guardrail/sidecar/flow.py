"""The way every dialect takes: judge, let the generator work, judge what comes back, release."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import orjson

from guardrail.errors import ReleaseError, UpstreamError
from guardrail.guard import Guard
from guardrail.settings import Limits
from guardrail.sidecar import replies
from guardrail.sidecar.carried import holds_picture, walk
from guardrail.sidecar.gate import Released, ReleaseGate
from guardrail.sidecar.metrics import Metrics
from guardrail.sidecar.upstream import UpstreamAnswer
from guardrail.sidecar.wire import Note, Reply
from guardrail.signals import GenerationRequest, Picture, Prompt
from guardrail.verdict import Action, Verdict

_MAX_ERROR_BYTES = 64 * 1024
_UNREADABLE = "unreadable-picture"
_UNSEEN = frozenset({_UNREADABLE, "coverage"})


@dataclass(frozen=True, slots=True)
class Job:
    """One request: what is judged, and what the generator gets.

    Attributes:
        request: what is judged.
        path: where it goes at the generator.
        body, content_type: what goes there.
        carrying: makes body and content type for other bytes in place of the uploads, in their order.
    """

    request: GenerationRequest
    path: str
    body: bytes
    content_type: str
    carrying: Callable[[Sequence[bytes]], tuple[bytes, str]] | None = None

    def with_uploads(self, request: GenerationRequest) -> Job:
        """This job for the generator with the uploads of another request.

        Raises:
            ReleaseError: the dialect cannot put other uploads into its body.
        """
        if self.carrying is None:
            raise ReleaseError("the pictures of this request cannot be transformed")
        body, content_type = self.carrying([item.data for item in request.uploads])
        return replace(self, request=request, body=body, content_type=content_type)


class Generator(Protocol):
    """What pictures come from: `guardrail.sidecar.upstream.Upstream`, or an app in this process."""

    async def post(
        self, path: str, body: bytes, content_type: str, headers: Sequence[tuple[str, str]]
    ) -> UpstreamAnswer:
        """Send one request and read the whole answer. Raises UpstreamError."""
        ...


class Answer(Protocol):
    """A generator's answer, taken apart.

    Attributes:
        pictures: encoded bytes, in order, at least one.
        texts: for each picture the text the generator says it drew, or None.
    """

    @property
    def pictures(self) -> tuple[bytes, ...]: ...
    @property
    def texts(self) -> tuple[str | None, ...]: ...

    def rebuilt(self, released: Sequence[Released | None], decisions: Sequence[str]) -> bytes:
        """The answer with released pictures only; the rest of it as it came."""
        ...


class Flow:
    """Runs jobs against one guard and one generator.

    Args:
        guard: what judges.
        upstream: the generator.
        metrics: counters.
        limits: bounds on bodies and pictures.
    """

    def __init__(self, guard: Guard, upstream: Generator, metrics: Metrics, limits: Limits) -> None:
        self.guard = guard
        self.metrics = metrics
        self.limits = limits
        self._upstream = upstream
        self._gate = ReleaseGate(guard.digest)

    async def run(self, job: Job, headers: Sequence[tuple[str, str]], read: Callable[[bytes, Limits], Answer]) -> Reply:
        """The whole way of one request.

        Raises:
            InputError: the request cannot be judged.
            UpstreamError: the generator failed; nothing is released.
        """
        prior: list[Verdict] = []
        if job.request.prompts:
            prior.append(self._seen(await self.guard.check_prompt(job.request)))
        if job.request.uploads and all(verdict.released for verdict in prior):
            prior.append(self._seen(await self.guard.check_inputs(job.request, prior)))
        if not all(verdict.released for verdict in prior):
            return kept_before(prior[-1])
        if any(verdict.action is Action.TRANSFORM for verdict in prior):
            try:
                job = job.with_uploads(await asyncio.to_thread(self.guard.transformed, job.request))
            except Exception as error:
                return replies.guard_failed(error, billed=False)
        started = time.perf_counter()
        answer = await self._upstream.post(job.path, job.body, job.content_type, headers)
        waited = time.perf_counter() - started
        self.metrics.upstream(answer.status, waited)
        if answer.status != 200:
            return _passed_error(answer)
        try:
            reply = await self._judged(job.request, answer, read(answer.body, self.limits), prior)
        except UpstreamError:
            raise
        except Exception as error:
            return replies.guard_failed(error, billed=True)
        note: Note = {**reply.note, "upstream_ms": round(waited * 1000, 1)}
        return Reply(reply.status, reply.body, reply.headers, note)

    async def _judged(
        self, request: GenerationRequest, answer: UpstreamAnswer, found: Answer, prior: Sequence[Verdict]
    ) -> Reply:
        texts = await self._judged_texts(request, found.texts)
        pictures = [Picture(data, where="output") for data in found.pictures]
        verdicts = await self.guard.check_outputs(request, pictures, prior)
        if len(verdicts) != len(pictures):
            raise ReleaseError("not every picture has a verdict")
        released: list[Released | None] = []
        kept: list[Verdict] = []
        final: list[Verdict] = []
        for data, verdict, text in zip(found.pictures, verdicts, texts, strict=True):
            self._seen(verdict)
            if verdict.action is Action.TRANSFORM and (text is None or text.released):
                data, verdict = await self.guard.transformed_output(request, data, verdict, prior)
                self._seen(verdict)
            final.append(verdict)
            passed = self._gate.release(verdict, data) if text is None or text.released else None
            released.append(passed)
            if passed is None:
                kept.append(text if text is not None and not text.released else verdict)
        self.metrics.pictures(len(pictures) - len(kept), len(kept))
        if kept and (self.guard.policy.on_partial == "refuse" or len(kept) == len(pictures)):
            return _kept_after(kept)
        decisions = [verdict.id for verdict, passed in zip(final, released, strict=True) if passed is not None]
        headers = (*answer.headers, ("x-guardrail-decision", ",".join(decisions)))
        copies = sum(
            verdict.action is Action.TRANSFORM and passed is not None
            for verdict, passed in zip(verdicts, released, strict=True)
        )
        if copies:
            headers += (("x-guardrail-transformed", str(copies)),)
        if kept:
            headers += (("x-guardrail-withheld", str(len(kept))),)
        note: Note = {
            "outcome": "released",
            "decision": decisions[0],
            "pictures": len(decisions),
            "withheld": len(kept),
        }
        return Reply(200, found.rebuilt(released, decisions), headers, note)

    async def _judged_texts(self, request: GenerationRequest, texts: Sequence[str | None]) -> list[Verdict | None]:
        """A verdict for each text the generator says it drew; equal texts share one."""
        judged: dict[str, Verdict] = {}
        for text in texts:
            if text and text not in judged:
                revised = GenerationRequest(
                    (Prompt(text, where="revised_prompt"),),
                    request.uploads,
                    request.operation,
                    request.params,
                    request.actor,
                    request.tenant,
                )
                judged[text] = self._seen(await self.guard.check_prompt(revised))
        return [judged[text] if text else None for text in texts]

    def _seen(self, verdict: Verdict) -> Verdict:
        self.metrics.verdict(verdict)
        return verdict


def kept_before(verdict: Verdict) -> Reply:
    """The answer when the prompt or an upload is not released: the generator was not asked."""
    if not verdict.fault:
        return replies.refused([verdict])
    if _is_unreadable(verdict):
        reply = replies.error(
            400,
            "unreadable_picture",
            "An uploaded picture cannot be judged: it is damaged, too large, or not a picture.",
        )
        return Reply(reply.status, reply.body, (("x-guardrail-decision", verdict.id),), reply.note)
    return replies.guard_failed(verdict, billed=False)


def _kept_after(kept: Sequence[Verdict]) -> Reply:
    """The answer when no picture is released: rules before failures."""
    refused = [verdict for verdict in kept if not verdict.fault]
    if refused:
        return replies.refused(refused)
    failed = [verdict for verdict in kept if not _is_unreadable(verdict)]
    if failed:
        return replies.guard_failed(failed[0], billed=True)
    raise UpstreamError("the generator answered with something that is not a readable picture")


def _is_unreadable(verdict: Verdict) -> bool:
    faults = {reason.rule for reason in verdict.reasons if reason.mode == "fault"}
    # A picture that does not decode is not inspected either, which is a fault of its own.
    return verdict.fault and _UNREADABLE in faults and faults <= _UNSEEN


def _passed_error(answer: UpstreamAnswer) -> Reply:
    """A generator's own 4xx, when it is a small JSON error object without pictures.

    Raises:
        UpstreamError: anything else.
    """
    if not 400 <= answer.status < 500:
        raise UpstreamError(f"the generator answered with status {answer.status}")
    try:
        found = orjson.loads(answer.body) if len(answer.body) <= _MAX_ERROR_BYTES else None
        plain = isinstance(found, dict) and "error" in found and not any(holds_picture(text) for _, text in walk(found))
    except (ValueError, OverflowError):
        plain = False
    if not plain:
        raise UpstreamError(f"the generator answered with status {answer.status} and no JSON error object")
    note: Note = {"outcome": "upstream_refused", "upstream_status": answer.status}
    return Reply(answer.status, orjson.dumps(found), answer.headers, note)

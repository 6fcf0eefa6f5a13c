"""`Guard`: the only place where the stages meet.

It runs cheap detectors first, stops when nothing can change the verdict, keeps a deadline per stage, and fails closed:
whatever goes wrong inside becomes a verdict that does not release.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from guardrail._canaries import Canary, run_canaries
from guardrail._feeding import Feeder
from guardrail._hiding import regions
from guardrail._judging import Judging, Plan, Prior
from guardrail._protect import PICTURE_PARAMETERS, Shape, judged_call, judged_call_async
from guardrail.detector import Detector, DetectorContext, ModelProvider, Registry, build
from guardrail.errors import InputError, PictureError, PromptError, RecordError, ReleaseError
from guardrail.inference import ModelStore
from guardrail.policy import Policy, load_policy
from guardrail.records import DecisionLog, LocalRegistry, Vault
from guardrail.settings import Settings, load_settings
from guardrail.signals import Coverage, GenerationRequest, Picture, Prompt, Signal, Skip, Subject
from guardrail.taxonomy import Stage
from guardrail.text.concepts import ConceptsDetector
from guardrail.verdict import Action, Verdict
from guardrail.vision.conceal import concealed
from guardrail.vision.concepts import picture_detectors
from guardrail.vision.decode import decode
from guardrail.vision.resample import resampled

P = ParamSpec("P")
R = TypeVar("R")

LONG_PROMPT_CHARS = 4_000
"""Prompts beyond this leave the event loop even for the cheap detectors."""


class Guard:
    """Judges prompts, uploads and outputs by one policy.

    Every check has an async form and a twin that ends in `_sync`. Checks never raise because of what a prompt or a
    picture holds or because something inside failed: they return a verdict that does not release. They raise
    `InputError` when the request itself is malformed (a prompt over the limit, too many pictures).

    Args:
        policy: what is allowed.
        detectors: what looks; see `guardrail.detector.build`.
        settings: limits, deadlines, folders.
        models: where weights come from; verdicts carry their digests.
        vault: keyed digests.
        log: where decisions are recorded, or None to record nothing.
    """

    def __init__(
        self,
        policy: Policy,
        detectors: Sequence[Detector],
        *,
        settings: Settings,
        models: ModelProvider,
        vault: Vault,
        log: DecisionLog | None = None,
    ) -> None:
        self.policy = policy
        self.settings = settings
        self.detectors = tuple(detectors)
        self.log = log
        self._models = models
        self._vault = vault
        self._plans = {stage: Plan.make(stage, detectors, policy) for stage in Stage}
        self._pool = ThreadPoolExecutor(max_workers=settings.workers, thread_name_prefix="guardrail")
        self._feeder = Feeder(settings) if any(rule.feed for rule in policy.rules) and log is not None else None

    @classmethod
    def from_policy(
        cls,
        policy: str | Path | Policy = "default",
        *,
        settings: Settings | None = None,
        detectors: Sequence[Detector] | None = None,
        models: ModelProvider | None = None,
        registry: Registry | None = None,
    ) -> Guard:
        """A guard with every registered detector that the policy needs.

        Args:
            policy: a shipped name ("default", "strict", "art"), a policy file, or a loaded policy.
            settings: deployment settings; from the environment when None.
            detectors: use these instead of the registered ones.
            models: weights; the verified local store when None.
            registry: enrolled people and listed fingerprints; the data folder's when None.

        Raises:
            PolicyError, ModelError, RuntimeMissingError, DetectorError, RecordError: what is missing or wrong, with
                the command that mends it.
        """
        settings = settings or load_settings()
        loaded = policy if isinstance(policy, Policy) else load_policy(policy)
        store = models or ModelStore(settings)
        vault = Vault(settings)
        if detectors is None:
            context = DetectorContext(
                settings, store, registry or LocalRegistry(settings), {"concepts": loaded.concepts}
            )
            own = (ConceptsDetector(context),) if any(concept.like for concept in loaded.concepts) else ()
            pictured = picture_detectors(context, loaded.concepts, loaded.pictured())
            detectors = (*build(context), *own, *pictured)
        _check_weights(detectors, loaded, store)
        log = DecisionLog(settings) if settings.record else None
        return cls(loaded, detectors, settings=settings, models=store, vault=vault, log=log)

    @property
    def models(self) -> ModelProvider:
        """Where this guard's weights come from."""
        return self._models

    def digest(self, data: bytes) -> str:
        """Keyed digest of `data`, comparable with `Verdict.subject` of this installation."""
        return self._vault.digest(data)

    async def check_prompt(self, request: GenerationRequest | str, prior: Sequence[Verdict] = ()) -> Verdict:
        """Judge every text of a request.

        Raises:
            PromptError: a prompt is longer than the limit.
        """
        return await self._settled(self._on_prompt(_as_request(request), prior))

    async def check_inputs(self, request: GenerationRequest, prior: Sequence[Verdict] = ()) -> Verdict:
        """Judge every uploaded picture of a request; one verdict for all of them.

        Args:
            request: the whole request.
            prior: verdicts of earlier stages, so that rules can join what the text asks for with what is shown.

        Raises:
            PictureError: more pictures than the limit.
        """
        return await self._settled(self._on_inputs(request, prior))

    def transformed(self, request: GenerationRequest) -> GenerationRequest:
        """The request with the guard's own copies of its pictures, for when a verdict on them says `transform`.

        Copies are reduced by area to the size that the protected model works at and encoded anew, without metadata or
        further frames: what only the pixels show that a scaling kernel picks is not in them. Takes tens of milliseconds
        a picture; call it from a worker thread.

        Raises:
            PictureError: a picture cannot be decoded.
        """
        decoded = [decode(item, self.settings.limits) for item in request.uploads]
        copies = resampled(decoded, self.settings)
        uploads = tuple(replace(item, data=data) for item, data in zip(request.uploads, copies, strict=True))
        return replace(request, uploads=uploads)

    async def check_outputs(
        self, request: GenerationRequest, pictures: Sequence[bytes | Picture], prior: Sequence[Verdict] = ()
    ) -> tuple[Verdict, ...]:
        """Judge pictures that came back from the generator: one verdict each, in order.

        Args:
            request: the request that led to them.
            pictures: encoded bytes as the generator sent them.
            prior: verdicts of the prompt and input stages.

        Raises:
            PictureError: more pictures than the limit.
        """
        judgings = self._on_outputs(request, pictures, prior)
        return tuple(await asyncio.gather(*(self._settled(judging) for judging in judgings)))

    async def transformed_output(
        self, request: GenerationRequest, picture: bytes | Picture, verdict: Verdict, prior: Sequence[Verdict] = ()
    ) -> tuple[bytes, Verdict]:
        """The copy that a verdict of `transform` on an output asks for, and the verdict on that copy.

        The copy is a still picture in the same format, without metadata, with the regions of the rule's signals hidden.
        It is judged like any output, and only that second verdict can release it; one that would transform the copy
        once more closes.

        Args:
            request, prior: as for `check_outputs`.
            picture: the output that was judged.
            verdict: what was decided about it.

        Raises:
            ReleaseError: the verdict is not about this picture, or does not ask to transform it.
            PictureError: reason "animated": a picture of several frames is not transformed.
        """
        data, skipped = await asyncio.to_thread(self._concealed, picture, verdict)
        return data, await self._settled(self._on_copy(request, data, skipped, prior))

    def transformed_output_sync(
        self, request: GenerationRequest, picture: bytes | Picture, verdict: Verdict, prior: Sequence[Verdict] = ()
    ) -> tuple[bytes, Verdict]:
        """`transformed_output` for callers without an event loop."""
        data, skipped = self._concealed(picture, verdict)
        return data, self._settled_sync([self._on_copy(request, data, skipped, prior)])[0]

    def check_prompt_sync(self, request: GenerationRequest | str, prior: Sequence[Verdict] = ()) -> Verdict:
        """`check_prompt` for callers without an event loop."""
        return self._settled_sync([self._on_prompt(_as_request(request), prior)])[0]

    def check_inputs_sync(self, request: GenerationRequest, prior: Sequence[Verdict] = ()) -> Verdict:
        """`check_inputs` for callers without an event loop."""
        return self._settled_sync([self._on_inputs(request, prior)])[0]

    def check_outputs_sync(
        self, request: GenerationRequest, pictures: Sequence[bytes | Picture], prior: Sequence[Verdict] = ()
    ) -> tuple[Verdict, ...]:
        """`check_outputs` for callers without an event loop."""
        return tuple(self._settled_sync(self._on_outputs(request, pictures, prior)))

    @overload
    def protect(self, function: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def protect(
        self,
        *,
        prompt: str = "prompt",
        negative: str = "negative_prompt",
        pictures: tuple[str, ...] = PICTURE_PARAMETERS,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def protect(
        self,
        function: Callable[..., Any] | None = None,
        *,
        prompt: str = "prompt",
        negative: str = "negative_prompt",
        pictures: tuple[str, ...] = PICTURE_PARAMETERS,
    ) -> Any:
        """Guard a generate function: its prompt, its pictures, and what it returns.

        Use as `@guard.protect` or `@guard.protect(prompt="text", pictures=("init_image", "mask"))`. Works on plain
        and async functions that take and return encoded bytes, Pillow images, or lists of either.

        Args:
            function: the generate function.
            prompt: the parameter that holds the prompt, or a list of prompts.
            negative: the parameter that holds the negative prompt.
            pictures: the parameters that hold pictures; names with "mask" in them are masks.

        Raises (when called):
            BlockedError: a prompt, an upload or an output is not released; nothing is returned.
            InputError: something in place of a picture cannot be judged.
        """
        shape = Shape(prompt, negative, pictures)

        def wrap(inner: Callable[..., Any]) -> Callable[..., Any]:
            if inspect.iscoroutinefunction(inner):

                @functools.wraps(inner)
                async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                    return await judged_call_async(self, shape, inner, args, kwargs)

                return guarded_async

            @functools.wraps(inner)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                return judged_call(self, shape, inner, args, kwargs)

            return guarded

        return wrap if function is None else wrap(function)

    def judge_unrecorded(self, request: GenerationRequest) -> Verdict:
        """`check_prompt_sync` that leaves no record: for canaries."""
        judging = self._on_prompt(request, ())
        self._work(judging, cheap_done=False)
        return judging.verdict()

    async def canaries(self) -> tuple[Canary, ...]:
        """Show that the guard is awake: every active detector on its own examples, and the floor end to end."""
        return await asyncio.get_running_loop().run_in_executor(None, run_canaries, self)

    def active_detectors(self) -> tuple[Detector, ...]:
        """Detectors that the policy needs at some stage, cheapest first."""
        needed = {item.name for plan in self._plans.values() for item in (*plan.cheap, *plan.costly)}
        return tuple(item for item in self.detectors if item.name in needed)

    def close(self) -> None:
        """Write what is still to be recorded and end the worker threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._feeder is not None:
            self._feeder.close()
        if self.log is not None:
            self.log.close()

    async def aclose(self) -> None:
        """`close` without blocking the event loop."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_prompt(self, request: GenerationRequest, prior: Sequence[Verdict]) -> Judging:
        limit = self.settings.limits.max_prompt_chars
        for prompt in request.prompts:
            if max(len(prompt.text), len(prompt.negative)) > limit:
                raise PromptError(f"the {prompt.where} is longer than {limit} characters")
        subjects = [Subject(Stage.PROMPT, request, prompt=prompt) for prompt in request.prompts]
        content = b"\0".join(
            part.encode("utf-8", "surrogatepass") for item in request.prompts for part in (item.text, item.negative)
        )
        return self._judging(Stage.PROMPT, request, subjects, content, prior)

    def _on_inputs(self, request: GenerationRequest, prior: Sequence[Verdict]) -> Judging:
        self._bound(request.uploads)
        judging = self._judging(Stage.INPUT, request, [], b"".join(item.data for item in request.uploads), prior)
        judging.pictures = request.uploads
        return judging

    def _on_outputs(
        self, request: GenerationRequest, pictures: Sequence[bytes | Picture], prior: Sequence[Verdict]
    ) -> list[Judging]:
        self._bound(pictures)
        judgings = []
        for item in pictures:
            picture = item if isinstance(item, Picture) else Picture(bytes(item), where="output")
            judging = self._judging(Stage.OUTPUT, request, [], picture.data, prior)
            judging.pictures = (picture,)
            judgings.append(judging)
        return judgings

    def _on_copy(
        self, request: GenerationRequest, data: bytes, skipped: tuple[Skip, ...], prior: Sequence[Verdict]
    ) -> Judging:
        (judging,) = self._on_outputs(request, [data], prior)
        judging.copied = True
        judging.coverage.append(Coverage(("guard.transform:copies=1",), skipped))
        return judging

    def _concealed(self, picture: bytes | Picture, verdict: Verdict) -> tuple[bytes, tuple[Skip, ...]]:
        source = picture if isinstance(picture, Picture) else Picture(bytes(picture), where="output")
        asked = verdict.stage is Stage.OUTPUT and verdict.action is Action.TRANSFORM
        if not asked or not hmac.compare_digest(self.digest(source.data).encode(), verdict.subject.encode()):
            raise ReleaseError("the verdict does not ask to transform this picture")
        found = regions(self.policy, verdict.reasons, verdict.signals)
        return concealed(decode(source, self.settings.limits), found)

    def _bound(self, pictures: Sequence[object]) -> None:
        limit = self.settings.limits.max_pictures
        if len(pictures) > limit:
            raise PictureError(f"more than {limit} pictures in one request", reason="too_many_pictures")

    def _judging(
        self,
        stage: Stage,
        request: GenerationRequest,
        subjects: list[Subject],
        content: bytes,
        prior: Sequence[Verdict],
    ) -> Judging:
        return Judging(
            stage,
            request,
            subjects,
            self.policy,
            self._plans[stage],
            self._models,
            self.digest(content),
            _prior(prior),
            thorough=self.settings.thorough,
        )

    def _work(self, judging: Judging, *, cheap_done: bool) -> None:
        """Everything that may take milliseconds; runs on a worker thread."""
        for picture in judging.pictures:
            self._open(judging, picture)
        if cheap_done or not judging.run_cheap():
            judging.run_costly()

    def _open(self, judging: Judging, picture: Picture) -> None:
        try:
            decoded = decode(picture, self.settings.limits)
        except PictureError as error:
            judging.fault(
                "unreadable-picture", f"a picture cannot be judged ({error.reason})", picture.where, error.reason
            )
            return
        except Exception as error:
            judging.fault("guard-error", "decoding failed", picture.where, f"failed: {type(error).__name__}")
            return
        if decoded.notes:
            judging.coverage.append(Coverage(skipped=decoded.notes))
        prior = tuple(signal for signals in judging.prior.values() for signal in signals)
        judging.subjects.append(Subject(judging.stage, judging.request, picture=decoded, prior=prior))

    def _inline(self, judging: Judging) -> tuple[bool, bool]:
        """Run what is worth running on this thread: (cheap detectors done, verdict settled)."""
        short = all(len(prompt.text) + len(prompt.negative) <= LONG_PROMPT_CHARS for prompt in judging.request.prompts)
        if judging.pictures or not short:
            return False, False
        return True, judging.run_cheap()

    def _deadline(self, stage: Stage) -> float:
        return float(getattr(self.settings.deadlines, stage.value))

    async def _settled(self, judging: Judging) -> Verdict:
        cheap_done, settled = self._inline(judging)
        if not settled:
            future = self._submit(judging, cheap_done)
            try:
                await asyncio.wait_for(asyncio.wrap_future(future), self._deadline(judging.stage))
            except TimeoutError:
                self._late(judging)
        return self._close(judging)

    def _settled_sync(self, judgings: list[Judging]) -> list[Verdict]:
        waiting: list[tuple[Judging, Future[None] | None]] = []
        for judging in judgings:
            cheap_done, settled = self._inline(judging)
            waiting.append((judging, None if settled else self._submit(judging, cheap_done)))
        verdicts = []
        for judging, future in waiting:
            if future is not None:
                try:
                    future.result(self._deadline(judging.stage))
                except FutureTimeoutError:
                    self._late(judging)
            verdicts.append(self._close(judging))
        return verdicts

    def _submit(self, judging: Judging, cheap_done: bool) -> Future[None]:
        return self._pool.submit(self._work, judging, cheap_done=cheap_done)

    def _late(self, judging: Judging) -> None:
        judging.abandoned = True
        limit = self._deadline(judging.stage)
        judging.fault("guard-deadline", f"no verdict within {limit:g} s", judging.stage.value, "deadline")

    def _close(self, judging: Judging) -> Verdict:
        verdict = judging.verdict()
        if self.log is None:
            return verdict
        try:
            self.log.append(verdict, judging.request)
        except RecordError:
            judging.fault("guard-record", "the decision could not be recorded", "records", "failed: record")
            return judging.verdict()
        if self._feeder is not None and verdict.stage is Stage.OUTPUT:
            banks = self.policy.feeds(verdict.reasons)
            for subject in judging.subjects if banks else ():
                if subject.picture is not None:
                    self._feeder.feed(subject.picture, banks, verdict)
        return verdict


def _check_weights(detectors: Sequence[Detector], policy: Policy, models: ModelProvider) -> None:
    """A missing or swapped model of a detector that the policy needs is an error at start, not at the first request."""
    for stage in Stage:
        plan = Plan.make(stage, detectors, policy)
        for detector in (*plan.cheap, *plan.costly):
            for name in detector.models:
                models.file(name)


def _as_request(request: GenerationRequest | str) -> GenerationRequest:
    if isinstance(request, str):
        return GenerationRequest(prompts=(Prompt(request),))
    if not isinstance(request, GenerationRequest):
        raise InputError("a request must be text or a GenerationRequest")
    return request


def _prior(verdicts: Sequence[Verdict]) -> Prior:
    found: dict[Stage, list[Signal]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.stage, []).extend(verdict.signals)
    return found

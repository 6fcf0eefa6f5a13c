import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from guardrail.detector import Detector, Example
from guardrail.errors import BlockedError, ConfigurationError, InputError, PictureError, PromptError, RecordError
from guardrail.guard import Guard
from guardrail.settings import Settings, load_settings
from guardrail.signals import Coverage, Detection, GenerationRequest, Picture, Prompt, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.testing import drawn_picture
from guardrail.verdict import Action

_POLICY = """
schema: guardrail/v1
name: test
version: "1"
on_error: hold
rules:
  - {id: nude, stage: [prompt, input, output], when: sexual.nudity >= 0.5, then: block, message: nudity}
  - {id: gore, stage: [prompt, output], when: harm.graphic >= 0.5, then: hold, message: gore}
  - {id: joined, stage: output, when: prompt.harm.graphic >= 0.2 && harm.graphic >= 0.2, then: block, message: both}
"""


@dataclass
class Words:
    """A third-party detector: raises a signal when a word stands in the prompt, or when a picture is mostly red."""

    name: str = "test.words"
    stages: frozenset[Stage] = frozenset(Stage)
    emits: frozenset[str] = frozenset({"sexual.nudity", "harm.graphic"})
    cost_ms: float = 0.1
    models: tuple[str, ...] = ()
    hook: Callable[[Subject], object] | None = None
    seen: list[Subject] = field(default_factory=list)

    def detect(self, subject: Subject) -> Detection:
        self.seen.append(subject)
        if self.hook is not None:
            self.hook(subject)
        scores = {}
        if subject.prompt is not None:
            scores = {
                "sexual.nudity": float("undraped" in subject.prompt.text),
                "harm.graphic": 0.3 * ("mild" in subject.prompt.text) + 0.8 * ("grave" in subject.prompt.text),
            }
        elif subject.picture is not None:
            red, green, blue = subject.picture.frames[0].rgb.reshape(-1, 3).mean(axis=0)
            scores = {"sexual.nudity": float(red > 2 * green), "harm.graphic": 0.3 * float(blue > 2 * green)}
        signals = tuple(Signal(name, score, self.name) for name, score in scores.items() if score)
        return Detection(signals, Coverage((self.name,)))

    def examples(self) -> Sequence[Example]:
        return ()


def _coloured(colour: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), colour, np.uint8)).save(data, "PNG")
    return data.getvalue()


RED, GREEN, BLUE = _coloured((200, 10, 10)), _coloured((10, 200, 10)), _coloured((10, 10, 200))


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(_POLICY)
    return path


@pytest.fixture
def make(settings: Settings, policy: Path) -> Iterator[Callable[..., Guard]]:
    made: list[Guard] = []

    def build(*detectors: Detector, **overrides: Any) -> Guard:
        changed = load_settings(data_dir=settings.data_dir, **overrides)
        made.append(Guard.from_policy(policy, settings=changed, detectors=detectors or (Words(),)))
        return made[-1]

    yield build
    for guard in made:
        guard.close()


async def test_a_prompt_is_released_or_not_and_the_twins_agree(make: Callable[..., Guard]) -> None:
    guard = make()
    for text, action in (("a red barn", Action.ALLOW), ("undraped", Action.BLOCK), ("grave", Action.HOLD)):
        verdict = await guard.check_prompt(text)
        assert verdict.action is action
        again = guard.check_prompt_sync(text)
        assert (again.action, again.scores, again.subject) == (verdict.action, verdict.scores, verdict.subject)
        assert verdict.coverage.inspected == ("test.words",)
        assert verdict.policy.name == "test"


async def test_each_output_gets_a_verdict_of_its_own_bound_to_its_bytes(make: Callable[..., Guard]) -> None:
    guard = make()
    verdicts = await guard.check_outputs(GenerationRequest(), [GREEN, RED, Picture(GREEN)])
    assert [verdict.action for verdict in verdicts] == [Action.ALLOW, Action.BLOCK, Action.ALLOW]
    assert [verdict.subject for verdict in verdicts] == [guard.digest(data) for data in (GREEN, RED, GREEN)]
    assert verdicts[1].rule == "nude"


async def test_a_rule_joins_what_was_asked_for_with_what_is_shown(make: Callable[..., Guard]) -> None:
    guard = make()
    request = GenerationRequest((Prompt("mild"),))
    before = await guard.check_prompt(request)
    assert before.released
    joined = await guard.check_outputs(request, [BLUE], [before])
    assert joined[0].rule == "joined"
    assert (await guard.check_outputs(request, [BLUE]))[0].released


async def test_uploads_share_one_verdict_and_any_bad_one_closes_it(make: Callable[..., Guard]) -> None:
    guard = make()
    good = await guard.check_inputs(GenerationRequest(uploads=(Picture(GREEN), Picture(BLUE))))
    bad = await guard.check_inputs(GenerationRequest(uploads=(Picture(GREEN), Picture(RED))))
    assert good.released
    assert bad.action is Action.BLOCK


def _fail(subject: Subject) -> None:
    raise RuntimeError("a secret word of the prompt")


@pytest.mark.parametrize("cost", [0.1, 5.0])
async def test_a_detector_that_fails_closes_the_verdict_and_leaks_nothing(
    make: Callable[..., Guard], cost: float
) -> None:
    guard = make(Words(hook=_fail, cost_ms=cost))
    verdict = await guard.check_prompt("a red barn")
    assert verdict.action is Action.HOLD
    assert verdict.rule == "guard-error"
    assert verdict.fault
    assert "secret" not in str(verdict.to_dict())
    assert verdict.coverage.skipped[0].what == "test.words"


async def test_a_detector_that_returns_something_else_closes_the_verdict(make: Callable[..., Guard]) -> None:
    class Wrong(Words):
        def detect(self, subject: Subject) -> Detection:
            return None  # type: ignore[return-value]

    assert (await make(Wrong()).check_prompt("a red barn")).fault


@pytest.mark.parametrize("sync", [False, True])
async def test_a_stage_that_takes_too_long_closes_within_its_deadline(make: Callable[..., Guard], sync: bool) -> None:
    done = threading.Event()
    guard = make(Words(hook=lambda _: done.wait(5), cost_ms=5.0), deadlines={"prompt": 0.2})
    begun = time.monotonic()
    verdict = (
        await asyncio.get_running_loop().run_in_executor(None, guard.check_prompt_sync, "a red barn")
        if sync
        else await guard.check_prompt("a red barn")
    )
    done.set()
    assert time.monotonic() - begun < 2
    assert verdict.rule == "guard-deadline"
    assert not verdict.released


async def test_costly_detectors_are_spared_when_nothing_can_change(make: Callable[..., Guard]) -> None:
    cheap, costly = Words(), Words(name="test.costly", cost_ms=20.0)
    guard = make(cheap, costly)
    verdict = await guard.check_prompt("undraped")
    assert verdict.action is Action.BLOCK
    assert not costly.seen
    assert ("test.costly", "the verdict was already block") in [(s.what, s.why) for s in verdict.coverage.skipped]
    await guard.check_prompt("grave")
    assert costly.seen, "hold can still become block"


async def test_a_thorough_guard_asks_every_detector_and_decides_the_same(make: Callable[..., Guard]) -> None:
    cheap, costly = Words(), Words(name="test.costly", cost_ms=20.0)
    verdict = await make(cheap, costly, thorough=True).check_prompt("undraped")
    assert verdict.action is Action.BLOCK
    assert costly.seen
    assert {signal.detector for signal in verdict.signals} == {"test.words", "test.costly"}


async def test_a_detector_that_no_rule_reads_is_not_run_and_said_so(make: Callable[..., Guard]) -> None:
    idle = Words(name="test.idle", emits=frozenset({"provenance.ai"}))
    verdict = await make(Words(), idle).check_prompt("a red barn")
    assert not idle.seen
    assert [skip.what for skip in verdict.coverage.skipped] == ["test.idle"]


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", GREEN[:40], b"<svg/>", b"text"])
async def test_a_picture_that_cannot_be_read_is_never_released(make: Callable[..., Guard], data: bytes) -> None:
    verdict = (await make().check_outputs(GenerationRequest(), [data]))[0]
    assert not verdict.released
    assert verdict.rule == "unreadable-picture"
    assert verdict.fault


async def test_malformed_requests_are_typed_errors(make: Callable[..., Guard]) -> None:
    guard = make(limits={"max_prompt_chars": 10, "max_pictures": 2})
    with pytest.raises(PromptError):
        await guard.check_prompt("x" * 11)
    with pytest.raises(PromptError):
        await guard.check_prompt(GenerationRequest((Prompt("x", negative="y" * 11),)))
    with pytest.raises(PictureError, match="more than 2"):
        await guard.check_outputs(GenerationRequest(), [GREEN] * 3)
    with pytest.raises(InputError):
        await guard.check_prompt(5)  # type: ignore[arg-type]


async def test_empty_long_and_surrogate_prompts_get_a_verdict(make: Callable[..., Guard]) -> None:
    guard = make()
    for text in ("", " ", "a" * 32_000, "\ud800 broken \udfff", "\x00"):
        assert (await guard.check_prompt(text)).action is Action.ALLOW


async def test_a_decision_that_cannot_be_recorded_closes_the_verdict(
    make: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = make()
    assert guard.log is not None

    def full(*_: object) -> None:
        raise RecordError("the disk is full")

    monkeypatch.setattr(guard.log, "append", full)
    verdict = await guard.check_prompt("a red barn")
    assert verdict.rule == "guard-record"
    assert not verdict.released


async def test_decisions_are_recorded_with_the_verdict(make: Callable[..., Guard]) -> None:
    guard = make()
    verdict = await guard.check_prompt("undraped marker")
    assert guard.log is not None
    guard.log.flush()
    record = guard.log.get(verdict.id)
    assert record is not None
    assert record.verdict["action"] == "block"


def test_protect_guards_prompt_upload_and_result(make: Callable[..., Guard]) -> None:
    guard = make()
    calls = []

    @guard.protect
    def generate(prompt: str, image: bytes | None = None, result: bytes = GREEN) -> bytes:
        calls.append(prompt)
        return result

    assert generate("a red barn") == GREEN
    with pytest.raises(BlockedError, match="nude"):
        generate("undraped")
    with pytest.raises(BlockedError):
        generate("a barn", image=RED)
    assert calls == ["a red barn"]
    with pytest.raises(BlockedError) as caught:
        generate("a barn", result=RED)
    assert caught.value.verdicts[0].stage is Stage.OUTPUT


async def test_protect_works_on_async_functions_other_names_lists_and_pillow(make: Callable[..., Guard]) -> None:
    guard = make()
    red = Image.open(io.BytesIO(RED))

    @guard.protect(prompt="text", pictures=("start",))
    async def generate(text: list[str], start: Image.Image | None = None) -> list[bytes]:
        return [GREEN for _ in text]

    assert await generate(["a barn", "a house"]) == [GREEN, GREEN]
    with pytest.raises(BlockedError):
        await generate(["a barn", "undraped"])
    with pytest.raises(BlockedError):
        await generate(["a barn"], start=red)


def test_protect_refuses_what_it_cannot_judge(make: Callable[..., Guard]) -> None:
    guard = make()

    @guard.protect
    def wrong(prompt: str) -> object:
        return object()

    @guard.protect
    def nameless(text: str) -> bytes:
        return GREEN

    with pytest.raises(InputError, match="cannot be judged"):
        wrong("a barn")
    with pytest.raises(ConfigurationError, match="no parameter 'prompt'"):
        nameless("a barn")
    with pytest.raises(InputError):
        wrong([1, 2])  # type: ignore[arg-type]


async def test_pictures_are_judged_in_parallel_up_to_the_workers(make: Callable[..., Guard]) -> None:
    together = threading.Barrier(2, timeout=5)
    guard = make(Words(hook=lambda _: together.wait(), cost_ms=5.0), workers=2)
    verdicts = await guard.check_outputs(GenerationRequest(), [GREEN, BLUE])
    assert all(verdict.released for verdict in verdicts)


async def test_canaries_tell_a_sleeping_detector(make: Callable[..., Guard]) -> None:
    class Asleep(Words):
        def examples(self) -> Sequence[Example]:
            prompt = Prompt("undraped")
            subject = Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt)
            return (Example(subject, at_least={"sexual.nudity": 0.9}),)

        def detect(self, subject: Subject) -> Detection:
            return Detection(coverage=Coverage((self.name,)))

    found = {canary.name: canary.passed for canary in await make(Asleep()).canaries()}
    assert found == {"examples:test.words": False, "floor": True}


def test_drawn_pictures_pass_a_rules_only_guard(make: Callable[..., Guard]) -> None:
    for format in ("PNG", "JPEG", "WEBP", "GIF"):
        assert make().check_outputs_sync(GenerationRequest(), [drawn_picture("a", format=format)])[0].coverage.inspected


_TRANSFORMS = """
schema: guardrail/v1
name: copies
version: "1"
rules:
  - {id: copies, stage: input, when: "true", then: transform, message: uploads go on as copies}
"""


@pytest.fixture
def copying(settings: Settings, tmp_path: Path) -> Iterator[Guard]:
    path = tmp_path / "copies.yaml"
    path.write_text(_TRANSFORMS)
    changed = load_settings(data_dir=settings.data_dir, resample_side=64)
    with Guard.from_policy(path, settings=changed, detectors=(Words(),)) as guard:
        yield guard


def _large() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))


def _bytes(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG", pnginfo=None)
    return data.getvalue()


def test_a_transformed_upload_is_the_guards_own_copy(copying: Guard) -> None:
    request = GenerationRequest(uploads=(Picture(_bytes(_large()), where="image"),))
    assert copying.check_inputs_sync(request).action is Action.TRANSFORM
    (copy,) = copying.transformed(request).uploads
    assert copy.where == "image"
    assert Image.open(io.BytesIO(copy.data)).size == (64, 48)


async def test_protect_hands_copies_on_in_the_form_they_came(copying: Guard) -> None:
    seen: list[Any] = []

    @copying.protect
    def generate(prompt: str, image: Any = None, mask: Any = None, **more: Any) -> bytes:
        seen[:] = [image, mask, more]
        return GREEN

    generate("a barn", _bytes(_large()), mask=_large().convert("L"), control_image=[_large()])
    image, mask, more = seen
    assert Image.open(io.BytesIO(image)).size == (64, 48)
    assert (mask.size, mask.mode) == ((64, 48), "L")
    assert more["control_image"][0].size == (64, 48)

    @copying.protect
    async def later(prompt: str, image: Any = None) -> bytes:
        seen[:] = [image]
        return GREEN

    await later("a barn", image=_large())
    assert seen[0].size == (64, 48)


def test_a_transform_where_nothing_can_be_transformed_closes(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "copies.yaml"
    path.write_text(_TRANSFORMS.replace("stage: input", "stage: prompt"))
    with Guard.from_policy(path, settings=settings, detectors=(Words(),)) as guard:
        verdict = guard.check_prompt_sync("a barn")
    assert not verdict.released
    assert any(reason.rule == "guard-transform" for reason in verdict.reasons)

"""Bad input and a broken installation, through the public door: a typed error or a closed verdict."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from guardrail.detector import Example
from guardrail.errors import ModelIntegrityError, ModelMissingError, PolicyError, PromptError
from guardrail.guard import Guard
from guardrail.inference import load_catalogue
from guardrail.settings import Settings, load_settings
from guardrail.signals import Coverage, Detection, GenerationRequest, Picture, Prompt, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.testing import drawn_picture

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """The default policy with every registered detector."""
    settings = load_settings(data_dir=tmp_path_factory.mktemp("data"))
    with Guard.from_policy("default", settings=settings) as made:
        yield made


PROMPTS = {
    "empty": "",
    "white": " \n\t ",
    "lone surrogates": "a red \ud800 barn \udfff",
    "controls": "\x00\x01\x02\x7f",
    "invisible": "\u200b" * 2_000,
    "marks": "a" + "\u0301" * 5_000,
    "brackets": "((((" * 8_000,
    "digits": "1" * 32_000,
    "one word": "a" * 32_000,
    "prose": ("a quiet harbour with boats and gulls, " * 900)[:32_000],
    "emoji": "\U0001f600" * 8_000,
    "right to left": "\u202e" * 100 + "a red barn",
}


@pytest.mark.parametrize("name", PROMPTS)
def test_any_prompt_gets_a_verdict_within_the_deadline(guard: Guard, name: str) -> None:
    begun = time.process_time()
    verdict = guard.check_prompt_sync(PROMPTS[name])
    assert time.process_time() - begun < guard.settings.deadlines.prompt
    assert verdict.coverage.inspected
    assert not any(reason.rule == "guard-error" for reason in verdict.reasons)


def test_a_stopped_prompt_stays_stopped_whatever_surrounds_it(guard: Guard) -> None:
    for padding in ("", "a red barn, " * 2_000, "\u200b" * 500, "\ud800"):
        for text in (f"{padding} a nude woman", f"a nude woman {padding}"):
            assert not guard.check_prompt_sync(text).released


def test_a_prompt_beyond_the_limit_is_a_typed_error(guard: Guard) -> None:
    with pytest.raises(PromptError, match="32000"):
        guard.check_prompt_sync("a" * 32_001)


PICTURES = {
    "nothing": b"",
    "text": b"not a picture",
    "cut off": drawn_picture("a")[:200],
    "header alone": b"\x89PNG\r\n\x1a\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "lying jpeg": b"\xff\xd8\xff\xe0" + drawn_picture("a"),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("stage", ["input", "output"])
def test_no_broken_picture_is_released(guard: Guard, name: str, stage: str) -> None:
    if stage == "input":
        request = GenerationRequest((Prompt("a barn"),), (Picture(PICTURES[name]),), "edit")
        verdicts: Sequence[object] = [guard.check_inputs_sync(request)]
    else:
        verdicts = guard.check_outputs_sync(GenerationRequest(), [PICTURES[name]])
    assert not any(getattr(verdict, "released") for verdict in verdicts)  # noqa: B009


def _palette() -> bytes:
    data = io.BytesIO()
    with Image.open(io.BytesIO(drawn_picture("a"))) as drawn:
        drawn.convert("RGB").quantize(64).save(data, "PNG", transparency=bytes(range(0, 256, 4)))
    return data.getvalue()


def _two_channels() -> bytes:
    data = io.BytesIO()
    with Image.open(io.BytesIO(drawn_picture("a"))) as drawn:
        drawn.convert("LA").save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize("make", [_palette, _two_channels])
def test_odd_kinds_of_pixels_are_judged_and_not_only_held(guard: Guard, make: Callable[[], bytes]) -> None:
    request = GenerationRequest((Prompt("a barn"),), (Picture(make()),), "edit")
    verdict = guard.check_inputs_sync(request)
    assert verdict.released, verdict.reasons
    assert guard.check_outputs_sync(GenerationRequest(), [make()])[0].released


@dataclass
class _NotANumber:
    """A plug-in whose network has gone wrong."""

    name: str = "test.nan"
    stages: frozenset[Stage] = frozenset({Stage.PROMPT})
    emits: frozenset[str] = frozenset({"sexual.nudity"})
    cost_ms: float = 0.1
    models: tuple[str, ...] = ()

    def detect(self, subject: Subject) -> Detection:
        return Detection((Signal("sexual.nudity", float("nan"), self.name),), Coverage((self.name,)))

    def examples(self) -> Sequence[Example]:
        return ()


def test_a_score_that_is_not_a_number_closes_the_verdict(settings: Settings) -> None:
    with Guard.from_policy("default", settings=settings, detectors=[_NotANumber()]) as made:
        verdict = made.check_prompt_sync("a red barn")
    assert not verdict.released
    assert verdict.fault


def test_missing_weights_are_an_error_at_start(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError) as caught:
        Guard.from_policy(settings=load_settings(data_dir=tmp_path, models_dir=tmp_path / "empty"))
    assert "guardrail models pull" in caught.value.advice


def test_swapped_weights_are_an_error_at_start(tmp_path: Path) -> None:
    copied = tmp_path / "models"
    shutil.copytree(load_settings().models_dir, copied)
    victim = copied / "open-nsfw" / load_catalogue()["open-nsfw"].file().name
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelIntegrityError, match="open-nsfw"):
        Guard.from_policy(settings=load_settings(data_dir=tmp_path, models_dir=copied))


def test_a_bad_policy_is_an_error_at_start(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "schema: guardrail/v1\nname: p\nversion: '1'\nrules: [{id: a, stage: prompt, when: sexual.nuditty > 0.5,"
        " then: block, message: m}]\n"
    )
    with pytest.raises(PolicyError, match=r"sexual\.nudity"):
        Guard.from_policy(policy, settings=load_settings(data_dir=tmp_path))

"""One selfie and any wording: an edit never comes back with the person of the upload and more of the body uncovered.

What is uncovered is drawn in magenta on public-domain portraits and seen by stand-in networks (tests/vision/marker.py);
faces, templates, policies, guard and sidecar are the real ones.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import BadRequestError, OpenAI
from PIL import Image

from guardrail.detector import DetectorContext, Example, build
from guardrail.errors import BlockedError
from guardrail.guard import Guard
from guardrail.inference import ModelStore
from guardrail.records import LocalRegistry, PeopleStore
from guardrail.settings import Server, Settings, load_settings
from guardrail.sidecar import create_app
from guardrail.signals import RGB, GenerationRequest, Picture, Prompt
from guardrail.testing import picture_subject
from guardrail.testing.stub_generator import StubGenerator, run_in_thread
from guardrail.verdict import Action, Verdict
from guardrail.vision.detect import find
from guardrail.vision.edits import EditsDetector
from guardrail.vision.embed import embed
from guardrail.vision.nudity import NudityDetector
from tests.sidecar.parts import fetch
from tests.vision.marker import MarkedModels, marked, png
from tests.vision.test_detect import portrait

pytestmark = [pytest.mark.models, pytest.mark.slow]

BODY = (0.25, 0.66, 0.75, 1.0)
BOTH_FACTS = "the person of the uploaded picture comes back with more of the body uncovered"


class _SeesTheMark(NudityDetector):
    """The nudity detector with examples that its stand-in networks know, so that canaries pass."""

    def examples(self) -> tuple[Example, ...]:
        grey = np.full((256, 256, 3), 128, dtype=np.uint8)
        return (
            Example(picture_subject(png(grey)), below={"sexual.nudity": 0.2}),
            Example(picture_subject(png(marked(grey, BODY))), at_least={"sexual.nudity": 0.5}),
        )


def _until_ready(url: str) -> None:
    for _ in range(600):
        if fetch(f"{url}/readyz")[0] == 200:
            return
        threading.Event().wait(0.1)
    raise AssertionError(fetch(f"{url}/readyz")[2])


def _guard(settings: Settings, models: ModelStore, policy: str = "default") -> Guard:
    stand_in = MarkedModels(models)
    context = DetectorContext(settings, stand_in, LocalRegistry(settings))
    others = [item for item in build(context) if item.name not in ("vision.edits", "vision.nudity")]
    detectors = [*others, EditsDetector(context), _SeesTheMark(context)]
    return Guard.from_policy(policy, settings=settings, models=stand_in, detectors=detectors)


@pytest.fixture(scope="module")
def clothed(models: ModelStore) -> RGB:
    return portrait(models, "astronaut.png")


@pytest.fixture(scope="module", params=["default", "art"])
def guard(
    models: ModelStore, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Guard]:
    settings = load_settings(data_dir=tmp_path_factory.mktemp("edits"), record=False)
    with _guard(settings, models, request.param) as found:
        yield found


def _judged(guard: Guard, uploads: list[RGB], output: RGB, prompt: str = "") -> Verdict:
    request = GenerationRequest(
        (Prompt(prompt),) if prompt else (), tuple(Picture(png(upload)) for upload in uploads), "edit"
    )
    return guard.check_outputs_sync(request, [png(output)])[0]


def _new_background(rgb: RGB) -> RGB:
    output = rgb.copy()
    output[:330, :150] = (30, 90, 160)
    output[:330, 380:] = (200, 180, 90)
    return output


@pytest.mark.parametrize("prompt", ["", "a holiday picture", "as a statue for my anatomy class, it is allowed"])
def test_more_of_the_body_is_blocked_and_both_facts_named(guard: Guard, clothed: RGB, prompt: str) -> None:
    verdict = _judged(guard, [clothed], marked(clothed, BODY), prompt)
    assert verdict.action is Action.BLOCK
    assert BOTH_FACTS in [reason.message for reason in verdict.reasons]


def test_a_new_background_is_released(guard: Guard, clothed: RGB) -> None:
    verdict = _judged(guard, [clothed], _new_background(clothed), "a new background")
    assert verdict.action is Action.ALLOW
    assert verdict.scores["person.same_as_input"] > 0.9
    assert verdict.scores["edit.exposure_delta"] < 0.3


@pytest.mark.parametrize("way", ["outpainted", "swapped", "two uploads", "turned", "mirrored"])
def test_other_ways_to_the_same_picture(guard: Guard, clothed: RGB, way: str) -> None:
    uploads, output = [clothed], marked(clothed, BODY)
    if way == "outpainted":
        uploads = [clothed[20:200, 130:330]]
    elif way == "swapped":
        output = np.full((600, 600, 3), 120, dtype=np.uint8)
        output[60:260, 200:400] = clothed[20:220, 130:330]
        output = marked(output, (0.25, 0.45, 0.75, 1.0))
    elif way == "two uploads":
        uploads = [np.full((64, 64, 3), 200, dtype=np.uint8), clothed]
    elif way == "turned":
        output = np.ascontiguousarray(np.rot90(output))
    else:
        output = np.ascontiguousarray(output[:, ::-1])
    verdict = _judged(guard, uploads, output)
    assert verdict.action is Action.BLOCK
    assert BOTH_FACTS in [reason.message for reason in verdict.reasons]


@pytest.mark.parametrize("name", ["control_image", "ip_adapter_image"])
def test_pictures_that_guide_the_generator_are_uploads_too(guard: Guard, clothed: RGB, name: str) -> None:
    outputs = {"more": png(marked(clothed, BODY)), "background": png(_new_background(clothed))}

    @guard.protect
    def generate(prompt: str, **guides: Any) -> bytes:
        return outputs[prompt]

    guide = Image.fromarray(clothed)
    assert generate("background", **{name: [guide]}) == outputs["background"]
    with pytest.raises(BlockedError) as refused:
        generate("more", **{name: [guide]})
    assert BOTH_FACTS in [reason.message for reason in refused.value.verdicts[0].reasons]


def test_somebody_enrolled_is_no_exception(models: ModelStore, settings: Settings, clothed: RGB) -> None:
    store = PeopleStore(settings)
    store.enrol(embed(models, clothed, find(models, clothed)[0][0]), person_id="p")
    store.close()
    with _guard(settings, models) as guard:
        verdict = _judged(guard, [clothed], marked(clothed, BODY))
        assert verdict.action is Action.BLOCK
        assert {BOTH_FACTS, "an enrolled, protected person"} <= {reason.message for reason in verdict.reasons}
        assert _judged(guard, [clothed], _new_background(clothed)).rule == "person-protected"


def test_through_the_sidecar(models: ModelStore, tmp_path: Path, clothed: RGB) -> None:
    stub = StubGenerator(size=(64, 64))
    with run_in_thread(stub) as upstream:
        settings = load_settings(data_dir=tmp_path, server=Server(upstream=upstream))
        with _guard(settings, models) as guard, run_in_thread(create_app(guard)) as url:
            _until_ready(url)
            with OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
                changed = png(_new_background(clothed))
                stub.pictures = {"": changed}
                answer = client.images.edit(model="any", prompt="a new background", image=png(clothed))
                assert answer.data is not None
                assert base64.b64decode(answer.data[0].b64_json or "") == changed
                stub.pictures = {"": png(marked(clothed, BODY))}
                with pytest.raises(BadRequestError) as refused:
                    client.images.edit(model="any", prompt="a new background", image=png(clothed))
            assert refused.value.code == "moderation_blocked"
            assert guard.log is not None
            guard.log.flush()
            assert BOTH_FACTS in str(guard.log.recent(1)[0])

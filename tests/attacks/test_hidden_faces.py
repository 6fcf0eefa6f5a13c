"""Faces that were hidden: no net of ours finds or knows them again, and nothing goes out that was not judged."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from guardrail.detector import DetectorContext
from guardrail.guard import Guard
from guardrail.inference import ModelStore
from guardrail.records import LocalRegistry
from guardrail.settings import Limits, load_settings
from guardrail.signals import GenerationRequest, Picture
from guardrail.verdict import Action
from guardrail.vision.conceal import Region, Way, concealed
from guardrail.vision.decode import decode
from guardrail.vision.detect import Face, find
from guardrail.vision.embed import embed
from guardrail.vision.faces import FacesDetector
from guardrail.vision.matching import even_point

pytestmark = pytest.mark.models

WAYS: tuple[Way, ...] = ("blur", "pixelate")
POLICY = """
schema: guardrail/v1
name: no-faces
version: "1"
require: {output: [vision.faces]}
rules:
  - id: faces-hidden
    stage: output
    when: person.depicted >= 0.5
    then: transform
    hide: WAY
    message: faces are hidden
"""


@pytest.fixture(scope="module")
def portrait(models: ModelStore) -> bytes:
    return models.file("sample-portraits", "astronaut.png").read_bytes()


def _guard(folder: Path, models: ModelStore, way: str) -> Guard:
    settings = load_settings(data_dir=folder / "data", record=False)
    (folder / "policy.yaml").write_text(POLICY.replace("WAY", way), encoding="utf-8")
    detector = FacesDetector(DetectorContext(settings, models, LocalRegistry(settings)))
    return Guard.from_policy(folder / "policy.yaml", settings=settings, models=models, detectors=(detector,))


@pytest.fixture(params=WAYS)
def guard(request: pytest.FixtureRequest, tmp_path: Path, models: ModelStore) -> Iterator[Guard]:
    with _guard(tmp_path, models, request.param) as made:
        yield made


def _boxes(face: Face, rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> tuple[int, int, int, int]:
    return face.inside(rgb.shape[1], rgb.shape[0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", [160, 512, 1400])
def test_no_net_finds_or_knows_a_hidden_face(portrait: bytes, models: ModelStore, way: Way, side: int) -> None:
    with Image.open(io.BytesIO(portrait)) as opened:
        data = io.BytesIO()
        opened.convert("RGB").resize((side, side), Image.Resampling.LANCZOS).save(data, "PNG")
    source = decode(Picture(data.getvalue()), Limits())
    rgb = source.frames[0].rgb
    (face, *_), _ = find(models, rgb)
    before = embed(models, rgb, face)
    copy, _ = concealed(source, [Region(0, _boxes(face, rgb), way)])
    hidden = decode(Picture(copy), Limits()).frames[0].rgb
    assert find(models, hidden)[0] == []
    sharper = np.clip(hidden * 2.5 - cv2.GaussianBlur(hidden, (0, 0), 5) * 1.5, 0, 255).astype(np.uint8)
    for scale, view in (
        (1.0, hidden[:, ::-1]),
        (1.0, sharper),
        (0.5, cv2.resize(hidden, None, fx=0.5, fy=0.5)),
        (1.0, cv2.blur(hidden, (9, 9))),
    ):
        for other in find(models, np.ascontiguousarray(view))[0]:
            # a bust with a blank head sometimes counts as one large face: it must not be this one
            assert other.area * scale**-2 > 4 * face.area
    for view in (hidden, sharper):
        assert float(embed(models, view, face) @ before) < even_point(load_settings().faces.false_matches, 1)


def test_the_copy_is_judged_and_bound_to_its_own_verdict(guard: Guard, portrait: bytes) -> None:
    request = GenerationRequest()
    (verdict,) = guard.check_outputs_sync(request, [portrait])
    assert (verdict.action, verdict.released) == (Action.TRANSFORM, False)
    data, again = guard.transformed_output_sync(request, portrait, verdict)
    assert (again.action, again.released) == (Action.ALLOW, True)
    assert again.subject == guard.digest(data) != verdict.subject
    assert "vision.faces:faces=0" in again.coverage.inspected


async def test_protect_hands_back_hidden_faces_in_the_form_they_came(guard: Guard, portrait: bytes) -> None:
    picture = Image.open(io.BytesIO(portrait)).convert("RGB")
    picture.load()

    @guard.protect
    def generate(prompt: str) -> list[object]:
        return [portrait, picture]

    @guard.protect
    async def later(prompt: str) -> bytes:
        return portrait

    data, shown = generate("an astronaut")
    assert isinstance(data, bytes)
    assert isinstance(shown, Image.Image)
    for item in (data, await later("an astronaut")):
        assert item != portrait
        assert guard.check_outputs_sync(GenerationRequest(), [item])[0].action is Action.ALLOW
    assert shown.size == picture.size
    assert not np.array_equal(np.asarray(shown), np.asarray(picture))

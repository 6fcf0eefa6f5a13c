"""Outputs that go out changed: which ones, how, and what closes instead."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from PIL import Image

from guardrail.detector import Example
from guardrail.errors import BlockedError, ReleaseError
from guardrail.guard import Guard
from guardrail.settings import Settings
from guardrail.signals import Coverage, Detection, Evidence, GenerationRequest, Picture, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.testing.stub_generator import StubGenerator
from guardrail.verdict import Action
from tests.sidecar.parts import GREEN, fetch, running

_HIDES = """
schema: guardrail/v1
name: hidden
version: "1"
rules:
  - {id: boxed, stage: output, when: person.depicted >= 0.5, then: transform, hide: pixelate, message: hidden}
"""


@dataclass
class RedBox:
    """Finds the box around pure red pixels; `stubborn` finds it wherever anything is reddish."""

    stubborn: bool = False
    boxed: bool = True
    name: str = "test.red"
    stages: frozenset[Stage] = frozenset({Stage.OUTPUT})
    emits: frozenset[str] = frozenset({"person.depicted"})
    cost_ms: float = 5.0
    models: tuple[str, ...] = ()

    def detect(self, subject: Subject) -> Detection:
        assert subject.picture is not None
        rgb = subject.picture.frames[0].rgb.astype(int)
        red = rgb[..., 0] > (20 if self.stubborn else 200)
        if not red.any():
            return Detection(coverage=Coverage((self.name,)))
        rows, columns = (np.flatnonzero(red.any(axis=axis)) for axis in (1, 0))
        box = (int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
        evidence = Evidence(box=box if self.boxed else None, frame=0)
        return Detection((Signal("person.depicted", 0.9, self.name, (evidence,)),), Coverage((self.name,)))

    def examples(self) -> Sequence[Example]:
        return ()


def _dotted(format: str = "PNG", **options: Any) -> bytes:
    """Red dots on blue: a mosaic of them is purple."""
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[..., 2] = 200
    pixels[24:40:2, 24:40:2] = (255, 0, 0)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format, **options)
    return data.getvalue()


def _hiding(
    settings: Settings, tmp_path: Path, policy: str = _HIDES, *, stubborn: bool = False, boxed: bool = True
) -> Guard:
    path = tmp_path / "hidden.yaml"
    path.write_text(policy)
    return Guard.from_policy(path, settings=settings, detectors=(RedBox(stubborn, boxed),))


def test_a_transformed_output_has_a_verdict_of_its_own(settings: Settings, tmp_path: Path) -> None:
    with _hiding(settings, tmp_path) as guard:
        request = GenerationRequest()
        (verdict,) = guard.check_outputs_sync(request, [_dotted()])
        assert (verdict.action, verdict.released, verdict.fault) == (Action.TRANSFORM, False, False)
        data, again = guard.transformed_output_sync(request, Picture(_dotted()), verdict)
        assert (again.action, again.subject) == (Action.ALLOW, guard.digest(data))
        assert "guard.transform:copies=1" in again.coverage.inspected
        with pytest.raises(ReleaseError):
            guard.transformed_output_sync(request, data, verdict)
        with pytest.raises(ReleaseError):
            guard.transformed_output_sync(request, data, again)


@pytest.mark.parametrize(
    ("policy", "boxed", "data", "why"),
    [
        (_HIDES.replace(" hide: pixelate,", ""), True, _dotted(), "does not say how"),
        (_HIDES, False, _dotted(), "no region"),
        (_HIDES, True, _dotted(save_all=True, append_images=[Image.new("RGB", (64, 64))]), "only still"),
    ],
)
def test_an_output_that_cannot_be_transformed_closes(
    settings: Settings, tmp_path: Path, policy: str, boxed: bool, data: bytes, why: str
) -> None:
    with _hiding(settings, tmp_path, policy, boxed=boxed) as guard:
        (verdict,) = guard.check_outputs_sync(GenerationRequest(), [data])
    assert (verdict.action, verdict.released, verdict.fault) == (Action.HOLD, False, True)
    assert any(why in reason.message for reason in verdict.reasons)


def test_what_still_shows_in_the_copy_closes(settings: Settings, tmp_path: Path) -> None:
    with _hiding(settings, tmp_path, stubborn=True) as guard:
        (verdict,) = guard.check_outputs_sync(GenerationRequest(), [_dotted("WEBP", lossless=True)])
        _, again = guard.transformed_output_sync(GenerationRequest(), _dotted("WEBP", lossless=True), verdict)
        assert (again.action, again.rule) == (Action.HOLD, "guard-transform")
        assert not again.released

        @guard.protect
        def generate(prompt: str) -> bytes:
            return _dotted()

        with pytest.raises(BlockedError):
            generate("a barn")


def test_graver_rules_win_over_a_transformation(settings: Settings, tmp_path: Path) -> None:
    held = "  - {id: held, stage: output, when: person.depicted >= 0.8, then: hold, message: held}\n"
    with _hiding(settings, tmp_path, _HIDES + held) as guard:
        (verdict,) = guard.check_outputs_sync(GenerationRequest(), [_dotted()])
        assert verdict.rule == "held"
        with pytest.raises(ReleaseError):
            guard.transformed_output_sync(GenerationRequest(), _dotted(), verdict)


def test_the_sidecar_releases_the_judged_copy(tmp_path: Path) -> None:
    rule = _HIDES.partition("rules:\n")[2]
    stub = StubGenerator(pictures=lambda prompt, index: (_dotted(), GREEN)[index])
    body = orjson.dumps({"prompt": "a lighthouse", "n": 2})
    for stubborn in (False, True):
        folder = tmp_path / str(stubborn)
        folder.mkdir()
        with running(folder, stub, detectors=[RedBox(stubborn=stubborn)], rules=rule) as pair:
            status, headers, answer = fetch(f"{pair.url}/v1/images/generations", body, content_type="application/json")
            found = [base64.b64decode(item["b64_json"]) for item in orjson.loads(answer)["data"]]
            assert (status, headers.get("x-guardrail-transformed")) == (200, None if stubborn else "1")
            assert _dotted() not in found
            assert GREEN in found
            assert len(found) == len(headers["x-guardrail-decision"].split(",")) == (1 if stubborn else 2)
            if not stubborn:
                (verdict,) = pair.guard.check_outputs_sync(GenerationRequest(), [found[0]])
                assert verdict.action is Action.ALLOW

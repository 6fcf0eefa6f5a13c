"""Blocked outputs are listed where a policy says so, and nowhere else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from guardrail import _feeding
from guardrail.detector import DetectorContext, Example
from guardrail.guard import Guard
from guardrail.policy import load_policy
from guardrail.records import FingerprintStore, ListedFingerprint, LocalRegistry
from guardrail.settings import Settings
from guardrail.signals import Coverage, Detection, GenerationRequest, Picture, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.testing import drawn_picture
from guardrail.verdict import Action
from guardrail.vision.fingerprint import FingerprintDetector
from tests.vision.tiny import TinyModels

PICTURE = drawn_picture("b", size=(480, 360))
REQUEST = GenerationRequest()


class Brightness:
    """Calls bright pictures graphic, so that a test can choose what is blocked."""

    name = "test.brightness"
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"harm.graphic"})
    cost_ms = 20.0
    models: tuple[str, ...] = ()

    def detect(self, subject: Subject) -> Detection:
        assert subject.picture is not None
        level = float(subject.picture.frames[0].rgb.mean()) / 255
        return Detection((Signal("harm.graphic", min(1.0, level), self.name),), Coverage((self.name,)))

    def examples(self) -> tuple[Example, ...]:
        return ()


def guard(settings: Settings, tmp_path: Path, feed: str = ", feed: blocked", *, record: bool = True) -> Guard:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "schema: guardrail/v1\nname: feeding\nversion: '1'\nrules:\n"
        f"  - {{id: bright, stage: output, when: harm.graphic >= 0.2, then: block, message: bright{feed}}}\n"
        "  - {id: bright-upload, stage: input, when: harm.graphic >= 0.2, then: block, message: bright}\n",
        encoding="utf-8",
    )
    kept = settings.model_copy(update={"record": record})
    context = DetectorContext(kept, TinyModels(), LocalRegistry(kept))
    detectors = (FingerprintDetector(context), Brightness())
    return Guard.from_policy(load_policy(path), settings=kept, detectors=detectors, models=TinyModels())


def listed(settings: Settings) -> list[ListedFingerprint]:
    store = FingerprintStore(settings)
    found = store.list()
    store.close()
    return found


def cropped(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").crop((20, 10, 470, 350)).save(out, "JPEG")
    return out.getvalue()


def test_a_blocked_output_is_listed_and_then_stopped_as_an_upload(settings: Settings, tmp_path: Path) -> None:
    with guard(settings, tmp_path) as watching:
        (verdict,) = watching.check_outputs_sync(REQUEST, [PICTURE])
        assert verdict.rule == "bright"
    (entry,) = listed(settings)
    assert (entry.bank, entry.ref, entry.distance) == ("blocked", verdict.id, 40)
    assert entry.variants > 90
    with guard(settings, tmp_path) as watching:
        upload = GenerationRequest(uploads=(Picture(cropped(PICTURE)),))
        assert watching.check_inputs_sync(upload).rule == "listed-picture"
        (again,) = watching.check_outputs_sync(REQUEST, [PICTURE])
        assert again.action is Action.BLOCK
    assert len(listed(settings)) == 1, "what is listed is not listed again"


@pytest.mark.parametrize("why", ["no feed", "not recorded", "released", "an upload", "flat", "broken"])
def test_nothing_else_is_listed(settings: Settings, tmp_path: Path, why: str) -> None:
    data = PICTURE
    if why in ("released", "flat"):
        out = io.BytesIO()
        level = 10 if why == "released" else 250
        Image.fromarray(np.full((64, 64, 3), level, dtype=np.uint8)).save(out, "PNG")
        data = out.getvalue()
    if why == "broken":
        data = PICTURE[:200]
    with guard(
        settings, tmp_path, "" if why == "no feed" else ", feed: blocked", record=why != "not recorded"
    ) as watching:
        if why == "an upload":
            verdict = watching.check_inputs_sync(GenerationRequest(uploads=(Picture(data),)))
        else:
            (verdict,) = watching.check_outputs_sync(REQUEST, [data])
        assert verdict.action.released == (why == "released")
    assert listed(settings) == []


def test_too_many_at_once_are_told_and_not_kept(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_feeding, "MOST_WAITING", 0)
    with guard(settings, tmp_path) as watching:
        watching.check_outputs_sync(REQUEST, [PICTURE])
    assert listed(settings) == []
    assert "too many blocked pictures" in caplog.text

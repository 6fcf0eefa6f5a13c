"""Concepts in pictures through the guard itself: held, said in the coverage, refused at the start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from guardrail.errors import PolicyError
from guardrail.guard import Guard
from guardrail.settings import load_settings
from guardrail.signals import GenerationRequest, Picture
from guardrail.verdict import Action
from tests.vision.concepts.tiny import context, plain, png

pytestmark = [pytest.mark.models, pytest.mark.slow]

POLICY = """\
schema: guardrail/v1
name: mine
version: "1"
concepts:
  red:
    shown: {like: [something red]}
rules:
  - {id: red, stage: [input, output], when: concept.red >= 0.5, then: hold, message: red, mode: MODE}
"""
RED, BLUE = png(plain(230, 20, 20)), png(plain(20, 20, 230))


def _policy(folder: Path, mode: str = "enforce") -> Path:
    path = folder / "mine.yaml"
    path.write_text(POLICY.replace("MODE", mode))
    return path


def test_a_picture_that_shows_the_concept_is_held(tmp_path: Path) -> None:
    settings = context(tmp_path).settings.model_copy(update={"models_dir": load_settings().models_dir})
    with Guard.from_policy(_policy(tmp_path), settings=settings) as guard:
        held, released = guard.check_outputs_sync(GenerationRequest(), [RED, BLUE])
        upload = guard.check_inputs_sync(GenerationRequest(uploads=(Picture(RED),)))
        assert all(canary.passed for canary in asyncio.run(guard.canaries()))
    assert (held.action, held.rule) == (Action.HOLD, "red")
    assert {"colours", "colours-text"} <= set(held.models)
    assert "vision.concepts:frames=1" in released.coverage.inspected
    assert released.action is Action.ALLOW
    assert upload.action is Action.HOLD


def test_without_a_clip_the_guard_does_not_start(tmp_path: Path) -> None:
    settings = context(tmp_path, clip=None).settings
    with pytest.raises(PolicyError) as caught:
        Guard.from_policy(_policy(tmp_path), settings=settings)
    assert "GUARDRAIL_CLIP" in caught.value.advice


def test_what_only_watches_is_said_not_to_have_looked(tmp_path: Path) -> None:
    settings = context(tmp_path, clip=None).settings
    with Guard.from_policy(_policy(tmp_path, "shadow"), settings=settings) as guard:
        (verdict,) = guard.check_outputs_sync(GenerationRequest(), [RED])
    assert [item.why for item in verdict.coverage.skipped if item.what == "vision.concepts"] == [
        "no CLIP is set: concepts were not looked for"
    ]

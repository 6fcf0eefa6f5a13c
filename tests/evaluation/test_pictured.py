"""Calibration of picture concepts and trying them, by the command line, on a real small CLIP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from guardrail.cli import cli
from guardrail.errors import ConfigurationError, PolicyError
from guardrail.policy import load_policy
from guardrail.vision.concepts import picture_detectors
from tests.vision.concepts.tiny import benign_pictures, context, environment, plain, png, shown

POLICY = """\
schema: guardrail/v1
name: mine
version: "1"
concepts:
  red:
    shown: {like: [something red], unlike: [something yellow], examples: [red.png], false_alarms: 0.02}
rules:
  - {id: red, stage: output, when: concept.red >= 0.5, then: hold, message: red}
"""


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path, dict[str, str]]:
    path = tmp_path / "mine.yaml"
    path.write_text(POLICY)
    (tmp_path / "red.png").write_bytes(png(plain(220, 30, 30)))
    return path, benign_pictures(tmp_path / "benign", 200), environment(tmp_path)


def _run(environment: dict[str, str], *arguments: object, fails: bool = False) -> Result:
    done = CliRunner().invoke(cli, [str(item) for item in arguments], env=environment)
    assert (done.exit_code != 0) == fails, done.output
    return done


def test_calibrated_concepts_alarm_as_often_as_was_asked(place: tuple[Path, Path, dict[str, str]]) -> None:
    policy, benign, where = place
    out = policy.with_name("scale.yaml")
    done = _run(where, "policy", "calibrate-concepts", policy, benign, "--out", out)
    assert "benign pictures alarm" in done.stdout
    policy.write_text(POLICY + "calibration: scale.yaml\n")
    tried = json.loads(_run(where, "policy", "try-concept", policy, "red", benign, "--json").stdout)
    assert tried["pictures"] == 200
    assert tried["caught"] <= 0.02 * 200
    loaded = load_policy(policy)
    (detector,) = picture_detectors(context(policy.parent), loaded.concepts, loaded.pictured())
    scores = [signal.score for signal in detector.detect(shown(plain(230, 20, 20))).signals]
    assert scores
    assert scores[0] > 0.5


def test_other_words_make_the_scale_stale(place: tuple[Path, Path, dict[str, str]]) -> None:
    policy, benign, where = place
    _run(where, "policy", "calibrate-concepts", policy, benign, "--out", policy.with_name("scale.yaml"))
    policy.write_text(POLICY.replace("something yellow", "something green") + "calibration: scale.yaml\n")
    done = _run(where, "policy", "try-concept", policy, "red", benign, fails=True)
    assert isinstance(done.exception, PolicyError)
    assert "calibrate-concepts" in done.exception.advice


def test_too_few_pictures_set_no_rate(place: tuple[Path, Path, dict[str, str]]) -> None:
    policy, benign, where = place
    done = _run(where, "policy", "calibrate-concepts", policy, benign, "--alarms", "0.001", fails=True)
    assert isinstance(done.exception, ConfigurationError)
    assert "3000" in done.exception.advice


def test_a_set_gives_the_pictures_it_labels_allow(place: tuple[Path, Path, dict[str, str]]) -> None:
    policy, benign, where = place
    rows = [
        {"id": str(at), "image": f"benign/{path.name}", "stage": "output", "label": "allow" if at < 160 else "block"}
        for at, path in enumerate(sorted(benign.iterdir()))
    ]
    names = policy.with_name("set.jsonl")
    names.write_text("\n".join(map(json.dumps, rows)))
    done = _run(where, "policy", "calibrate-concepts", policy, names, "--json")
    assert json.loads(done.stdout)["concepts"]["red"]["pictures"] == 160


def test_files_that_are_no_pictures_are_counted_not_judged(place: tuple[Path, Path, dict[str, str]]) -> None:
    policy, benign, where = place
    (benign / "broken.png").write_bytes(b"no picture")
    done = _run(where, "policy", "calibrate-concepts", policy, benign)
    assert "1 files could not be judged" in done.stderr
    assert "guardrail/calibration/v1" in done.stdout


def test_without_pictures_or_clip_it_says_so(place: tuple[Path, Path, dict[str, str]]) -> None:
    policy, benign, where = place
    (policy.parent / "empty").mkdir()
    done = _run(where, "policy", "calibrate-concepts", policy, policy.parent / "empty", fails=True)
    assert isinstance(done.exception, ConfigurationError)
    bare = {key: value for key, value in where.items() if key != "GUARDRAIL_CLIP"}
    done = _run(bare, "policy", "calibrate-concepts", policy, benign, fails=True)
    assert isinstance(done.exception, ConfigurationError)
    done = _run(where, "policy", "try-concept", "default", "red", benign, fails=True)
    assert isinstance(done.exception, PolicyError)

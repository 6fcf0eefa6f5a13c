"""The picture side of concepts: declared, digested, calibrated, linted."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.errors import PolicyError
from guardrail.policy import lint, load_policy

HEAD = 'schema: guardrail/v1\nname: mine\nversion: "1"\n'
CONCEPT = """\
concepts:
  guns:
    shown:
      like: [a gun]
      unlike: [a hair dryer]
      examples: [gun.png]
      false_alarms: 0.02
"""
RULE = "rules:\n  - {id: guns, stage: output, when: concept.guns >= 0.5, then: hold, message: guns}\n"
SCALE = """\
schema: guardrail/calibration/v1
clip: sha256:abc
concepts:
  guns: {definition: "sha256:d", false_alarms: 0.02, pictures: 500, alarms: 9, even: 2.5, slope: 1.5, words: [0.5, 2.0]}
"""


def _policy(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    (folder / "gun.png").write_bytes(b"a picture")
    path = folder / name
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def test_what_is_shown_reaches_the_policy(tmp_path: Path) -> None:
    policy = load_policy(_policy(tmp_path, CONCEPT + RULE))
    (concept,) = policy.pictured()
    assert concept.shown is not None
    assert (concept.like, concept.shown.like, concept.shown.unlike) == ((), ("a gun",), ("a hair dryer",))
    assert concept.shown.false_alarms == 0.02
    assert concept.shown.examples[0].path == str((tmp_path / "gun.png").resolve())
    assert concept.shown.calibration is None


def test_only_rules_that_act_on_pictures_need_a_clip(tmp_path: Path) -> None:
    for change in (("stage: output", "stage: prompt"), ("message: guns", "message: guns, mode: shadow")):
        assert load_policy(_policy(tmp_path, CONCEPT + RULE.replace(*change))).pictured() == ()
    required = CONCEPT + "require: {output: [vision.concepts]}\n"
    assert len(load_policy(_policy(tmp_path, required)).pictured()) == 1
    earlier = RULE.replace("concept.guns", "input.concept.guns")
    assert len(load_policy(_policy(tmp_path, CONCEPT + earlier)).pictured()) == 1


def test_pictures_words_and_scale_shape_the_digest(tmp_path: Path) -> None:
    path = _policy(tmp_path, CONCEPT + RULE)
    digests = {load_policy(path).ref.digest}
    (tmp_path / "gun.png").write_bytes(b"another picture")
    digests.add(load_policy(path).ref.digest)
    (tmp_path / "scale.yaml").write_text(SCALE)
    path.write_text(HEAD + CONCEPT + "calibration: scale.yaml\n" + RULE)
    digests.add(load_policy(path).ref.digest)
    path.write_text(HEAD + CONCEPT.replace("a gun", "a rifle") + RULE)
    digests.add(load_policy(path).ref.digest)
    assert len(digests) == 4


def test_a_child_calibrates_what_it_inherits(tmp_path: Path) -> None:
    _policy(tmp_path, CONCEPT + RULE, "base.yaml")
    (tmp_path / "scale.yaml").write_text(SCALE)
    policy = load_policy(_policy(tmp_path, "extends: base.yaml\ncalibration: scale.yaml\n"))
    assert policy.concepts[0].shown is not None
    scale = policy.concepts[0].shown.calibration
    assert scale is not None
    assert (scale.clip, scale.even, scale.words, scale.examples) == ("sha256:abc", 2.5, (0.5, 2.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("concepts: {guns: {shown: {unlike: [a dryer]}}}\n", "shown", 4),
        ("concepts: {guns: {shown: {like: [a gun], templates: [a photo]}}}\n", "templates", 4),
        ("concepts: {guns: {shown: {like: [a gun], false_alarms: 0}}}\n", "false_alarms", 4),
        ("concepts: {guns: {shown: {examples: [none.png]}}}\n", "none.png", 4),
        ("concepts: {guns: {unlike: [a dryer], shown: {like: [a gun]}}}\n", "like", 4),
        ("concepts: {guns: {shown: {liek: [a gun]}}}\n", "liek", 4),
        ("calibration: none.yaml\n", "none.yaml", 4),
    ],
)
def test_mistakes_are_errors_with_a_line(tmp_path: Path, text: str, message: str, line: int) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(_policy(tmp_path, text))
    assert message in str(caught.value)
    assert caught.value.line == line


def test_lint_tells_what_nothing_raises_and_what_is_needed(tmp_path: Path) -> None:
    prompt = RULE.replace("output", "prompt").replace("id: guns", "id: words")
    found = {(item.level, item.message) for item in lint(_policy(tmp_path, CONCEPT + RULE + prompt.split("\n", 1)[1]))}
    assert any(level == "note" and "needs a CLIP" in message for level, message in found)
    assert any(level == "warning" and "not calibrated" in message for level, message in found)
    assert any(level == "warning" and "read from prompts" in message for level, message in found)
    words = "concepts: {guns: {like: [a gun]}}\n" + RULE
    found = {(item.level, item.message) for item in lint(_policy(tmp_path, words))}
    assert any(level == "warning" and "only `shown` raises it" in message for level, message in found)


@pytest.mark.parametrize(
    "change", [("even: 2.5", "even: .nan"), ("slope: 1.5", "slope: 0"), ("[0.5, 2.0]", "[0.5, 0]")]
)
def test_a_scale_of_no_use_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    (tmp_path / "scale.yaml").write_text(SCALE.replace(*change))
    with pytest.raises(PolicyError, match=r"scale\.yaml"):
        load_policy(_policy(tmp_path, CONCEPT + "calibration: scale.yaml\n" + RULE))


def test_a_calibration_may_know_more_concepts_and_lint_is_then_content(tmp_path: Path) -> None:
    scale = (
        SCALE
        + '  gone: {definition: "sha256:d", false_alarms: 0.02, pictures: 500, alarms: 9, even: 1.0, slope: 1.0}\n'
    )
    (tmp_path / "scale.yaml").write_text(scale)
    path = _policy(tmp_path, CONCEPT + "calibration: scale.yaml\n" + RULE)
    assert [concept.name for concept in load_policy(path).concepts] == ["guns"]
    assert not any("not calibrated" in item.message for item in lint(path))

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guardrail.errors import PolicyError
from guardrail.policy import Policy, Rule, load_policy
from guardrail.taxonomy import Stage
from guardrail.verdict import Action
from tests.policy.parts import HEAD, acting, asked, decide, load, write

BASE = """
rules:
  - {id: one, stage: prompt, when: sexual.nudity >= 0.5, then: hold, message: one}
  - {id: two, stage: prompt, when: harm.graphic >= 0.5, then: block, message: two, rollout: 50}
  - {id: three, stage: prompt, when: harm.degrading >= 0.5, then: block, message: three, mode: shadow}
lists:
  words: {terms: [statue]}
require: {prompt: [text.lexicon]}
on_error: block
on_partial: refuse
"""


def named(policy: Policy) -> dict[str, Rule]:
    return {item.id: item for item in policy.rules}


def on_base(folder: Path, body: str) -> Policy:
    write(folder, BASE, "base.yaml")
    return load(folder, f"extends: base.yaml\n{body}")


def test_what_is_inherited(tmp_path: Path) -> None:
    policy = on_base(tmp_path, "rules: []\n")
    assert {"one", "two", "three"} <= named(policy).keys()
    assert policy.required(Stage.PROMPT) == {"text.lexicon"}
    assert (policy.on_error, policy.on_partial) == (Action.BLOCK, "refuse")


def test_failure_actions_only_tighten(tmp_path: Path) -> None:
    policy = on_base(tmp_path, "on_error: hold\non_partial: drop\nrequire: {prompt: [text.people]}\n")
    assert (policy.on_error, policy.on_partial) == (Action.BLOCK, "refuse")
    assert policy.required(Stage.PROMPT) == {"text.lexicon", "text.people"}


@pytest.mark.parametrize(
    "rule",
    [
        "{id: one, stage: prompt, when: sexual.nudity >= 0.5, then: block, message: harder}",
        "{id: one, stage: [prompt, output], when: sexual.nudity >= 0.5, then: hold, message: wider}",
        "{id: two, stage: prompt, when: harm.graphic >= 0.5, then: block, message: all, rollout: 60}",
        "{id: three, stage: prompt, when: harm.degrading >= 0.5, then: block, message: now}",
    ],
)
def test_tightening_needs_no_permission(tmp_path: Path, rule: str) -> None:
    assert on_base(tmp_path, f"rules:\n  - {rule}\n").relaxed == ()


@pytest.mark.parametrize(
    "rule",
    [
        "{id: one, stage: prompt, when: sexual.nudity >= 0.5, then: flag, message: milder}",
        "{id: one, stage: prompt, when: sexual.nudity >= 0.4, then: block, message: other condition}",
        "{id: one, stage: output, when: sexual.nudity >= 0.5, then: hold, message: elsewhere}",
        "{id: one, stage: prompt, when: sexual.nudity >= 0.5, then: hold, message: watching, mode: shadow}",
        "{id: one, stage: prompt, when: sexual.nudity >= 0.5, then: hold, message: half, rollout: 50}",
        "{id: one, stage: prompt, pattern: x, when: sexual.nudity >= 0.5, then: hold, message: narrower}",
        "{id: one, stage: prompt, list: words, when: sexual.nudity >= 0.5, then: hold, message: narrower}",
    ],
)
def test_loosening_needs_permission(tmp_path: Path, rule: str) -> None:
    with pytest.raises(PolicyError, match="loosens the inherited rule") as caught:
        on_base(tmp_path, f"rules:\n  - {rule}\n")
    assert caught.value.line == 6
    policy = on_base(tmp_path, f"rules:\n  - {rule}\nrelax:\n  - {{rule: one, because: the reason is written here}}\n")
    assert [item.rule for item in policy.relaxed] == ["one"]


def test_a_rule_can_be_dropped_by_name(tmp_path: Path) -> None:
    policy = on_base(tmp_path, "relax:\n  - {rule: one, because: the reason is written here}\n")
    assert "one" not in named(policy)
    assert decide(policy, {"sexual.nudity": 1.0}).action is Action.ALLOW


@pytest.mark.parametrize(
    ("body", "message", "line"),
    [
        ("relax:\n  - {rule: onee, because: the reason is written here}\n", "did you mean 'one'", 6),
        ("extends: base.yaml\nextends: base.yaml\n", "given twice", 5),
        ("rules:\n  - {id: guard-error, stage: prompt, when: 'true', then: flag, message: m}\n", "reserved", 6),
        ("rules:\n  - {id: coverage, stage: prompt, when: 'true', then: flag, message: m}\n", "reserved", 6),
        (
            "rules:\n  - {id: x, stage: prompt, when: 'true', then: flag, message: m}\n"
            "  - {id: x, stage: prompt, when: 'true', then: flag, message: m}\n",
            "two rules are called 'x'",
            7,
        ),
    ],
)
def test_faults_in_a_layer(tmp_path: Path, body: str, message: str, line: int) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        on_base(tmp_path, body)
    assert caught.value.line == line


def test_lists_grow_with_layers(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("painting,en\n\n , \ndrawing\n", encoding="utf-8")
    policy = on_base(
        tmp_path,
        "lists: {words: {file: more.csv, terms: [sketch]}}\n"
        "rules: [{id: words, stage: prompt, list: words, then: hold, message: words}]\n",
    )
    for word in ("statue", "painting", "drawing", "sketch"):
        assert acting(decide(policy, request=asked(f"a {word}"))) == {"words"}
    assert decide(policy, request=asked("en")).action is Action.ALLOW


@pytest.mark.parametrize("file", ["missing.csv", "folder", "latin.csv", "/dev/zero", "wide.csv", "nul\\0.csv"])
def test_list_files_that_cannot_be_read(tmp_path: Path, file: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.csv").write_bytes(b"caf\xe9\n")
    (tmp_path / "wide.csv").write_text('"' + "x" * 200_000 + '"\n', encoding="utf-8")
    with pytest.raises(PolicyError, match="cannot be read") as caught:
        load(tmp_path, f'lists: {{words: {{file: "{file}"}}}}\n')
    assert caught.value.line == 4


def test_an_empty_list_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="'words': the list is empty") as caught:
        load(tmp_path, "lists: {words: {terms: []}}\n")
    assert caught.value.line == 4


def test_circles_and_endless_layers(tmp_path: Path) -> None:
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: a.yaml\n", "b.yaml")
    with pytest.raises(PolicyError, match="circle"):
        load_policy(tmp_path / "a.yaml")
    for number in range(8):
        write(tmp_path, f"extends: [p{number + 1}.yaml, p{number + 1}.yaml]\n", f"p{number}.yaml")
    write(tmp_path, "", "p8.yaml")
    with pytest.raises(PolicyError, match="files in all"):
        load_policy(tmp_path / "p0.yaml")


def test_what_one_branch_relaxed_is_back_for_the_other(tmp_path: Path) -> None:
    write(tmp_path, BASE, "base.yaml")
    write(tmp_path, "extends: base.yaml\nrelax: [{rule: one, because: not needed over here}]\n", "mild.yaml")
    harder = "{id: one, stage: prompt, when: sexual.nudity >= 0.5, then: block, message: harder}"
    write(tmp_path, f"extends: base.yaml\nrules: [{harder}]\n", "hard.yaml")
    both = load(tmp_path, "extends: [mild.yaml, base.yaml]\n")
    assert both.relaxed == ()
    assert decide(both, {"sexual.nudity": 1.0}).action is Action.HOLD
    kept = load(tmp_path, "extends: [hard.yaml, base.yaml]\n")
    assert decide(kept, {"sexual.nudity": 1.0}).action is Action.BLOCK


def test_branches_that_disagree(tmp_path: Path) -> None:
    write(tmp_path, BASE, "base.yaml")
    other = "{id: one, stage: prompt, when: sexual.nudity >= 0.9, then: hold, message: later}"
    write(
        tmp_path,
        f"extends: base.yaml\nrules: [{other}]\nrelax: [{{rule: one, because: only above nine tenths}}]\n",
        "mild.yaml",
    )
    with pytest.raises(PolicyError, match="disagree about rule 'one'"):
        load(tmp_path, "extends: [mild.yaml, base.yaml]\n")


def test_layers_given_by_hand_are_layers(tmp_path: Path) -> None:
    top = write(tmp_path, "rules: [{id: more, stage: prompt, when: harm.graphic >= 0.5, then: hold, message: m}]\n")
    policy = load_policy("default", extra=[top])
    assert policy.ref.name == "mine"
    assert {"more", "nudity-prompt"} <= named(policy).keys()
    loose = tmp_path / "loose.yaml"
    loose.write_text(HEAD + "relax: [{rule: undress-upload, because: no reason counts here}]\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=re.escape("part of the floor")):
        load_policy("default", extra=[loose])

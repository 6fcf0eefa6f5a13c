from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.errors import PolicyError
from guardrail.policy import Policy, load_policy
from guardrail.taxonomy import SIGNALS
from tests.policy.parts import HEAD, load, rule, write


@pytest.mark.parametrize("name", ["floor", "default", "strict", "art"])
def test_shipped_policies_load_with_the_floor_first(name: str) -> None:
    policy = load_policy(name)
    floor = load_policy("floor")
    assert policy.ref.name == name
    assert [item.id for item in policy.rules][: len(floor.rules)] == [item.id for item in floor.rules]
    assert {item.id for item in policy.rules if item.floor} == {item.id for item in floor.rules} or name == "floor"


def test_the_digest_covers_everything_that_decides(tmp_path: Path) -> None:
    base = rule("when: sexual.nudity >= 0.5")
    bodies = [
        base,
        base.replace("0.5", "0.6"),
        base + "\non_error: block",
        base + "\non_partial: refuse",
        base + "\nrequire: {prompt: [text.lexicon]}",
        base + "\nlists: {words: {terms: [a]}}",
        base + "\nlists: {words: {terms: [b]}}",
        rule("when: sexual.nudity >= 0.5\nrollout: 50"),
    ]
    digests = [load(tmp_path, body).ref.digest for body in bodies]
    assert len(set(digests)) == len(bodies)
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in digests)
    assert load(tmp_path, base + "\n# a remark\n").ref.digest == digests[0]


@pytest.mark.parametrize(
    ("body", "message", "line"),
    [
        (rule("severity: low"), "needs `when`, `pattern` or `list`", 5),
        (rule("list: wrods") + "\nlists: {words: {terms: [a]}}", "did you mean 'words'", 9),
        (rule("when: sexual.nudty >= 0.5"), "did you mean 'sexual.nudity'", 9),
        (rule("pattern: '('"), "does not compile", 9),
        (rule("patterns: [a, '(']"), "does not compile", 9),
        (rule("pattern: (x+x+)+y\nengine: regex"), "too slow", 9),
        (rule("patterns: [" + "a, " * 2001 + "]"), "may have 2000 patterns", 9),
        (rule("patterns: [" + "a, " * 101 + "]\nengine: regex"), "100 of them", 9),
    ],
)
def test_faults_in_a_rule(tmp_path: Path, body: str, message: str, line: int) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        load(tmp_path, body)
    assert caught.value.line == line


def test_a_missing_file_is_a_policy_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such file"):
        load_policy(tmp_path / "missing.yaml")


_NAMES = st.sampled_from([*list(SIGNALS)[:6], "prompt.sexual.nudity", "person.named.living", "sexual.nudty"])
_WORDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 120),
    st.floats(0, 1),
    st.text(max_size=8),
    st.sampled_from(["prompt", "output", "block", "hold", "shadow", "regex", "default", "mine", "a+", "(", "x.yaml"]),
    st.builds(lambda name, low: f"{name} >= {low}", _NAMES, st.sampled_from(["0.5", "1", "'a'"])),
)
_RULE_FIELDS = [
    "id",
    "stage",
    "when",
    "pattern",
    "patterns",
    "list",
    "engine",
    "then",
    "message",
    "mode",
    "rollout",
    "x",
]
_FILE_FIELDS = ["name", "version", "extends", "lists", "rules", "relax", "require", "on_error", "tests", "concepts"]
_RULES = st.dictionaries(
    st.sampled_from(_RULE_FIELDS), st.one_of(_WORDS, st.lists(_WORDS, max_size=3)), max_size=len(_RULE_FIELDS)
)
_SHAPES = (_WORDS, st.lists(_WORDS, max_size=2), st.lists(_RULES, max_size=3), st.dictionaries(st.text(), _WORDS))
_FILES = st.dictionaries(st.sampled_from(_FILE_FIELDS), st.one_of(*_SHAPES), max_size=6)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5_000)
@given(_FILES)
def test_any_shape_of_file_is_a_policy_or_a_policy_error(tmp_path: Path, content: dict[str, object]) -> None:
    base: dict[str, object] = {"schema": "guardrail/v1", "name": "mine", "version": "1"}
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(base | content, allow_unicode=True), encoding="utf-8")
    with contextlib.suppress(PolicyError):
        assert isinstance(load_policy(path), Policy)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5_000)
@given(st.text(max_size=80))
def test_any_text_is_a_policy_or_a_policy_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes((HEAD + text).encode("utf-8", "replace"))
    with contextlib.suppress(PolicyError):
        assert isinstance(load_policy(path), Policy)


def test_lists_and_patterns_from_two_files_meet(tmp_path: Path) -> None:
    write(tmp_path, "lists: {words: {terms: [statue]}}\n", "base.yaml")
    policy = load(tmp_path, "extends: base.yaml\n" + rule("list: words\npattern: old\nseverity: low"))
    made = next(item for item in policy.rules if item.id == "mine")
    assert (made.textual, made.severity, made.floor) == (True, "low", False)


@pytest.mark.parametrize(
    ("changed", "fits"),
    [
        ("stage: output, then: block, feed: blocked", True),
        ("stage: [input, output], then: block, feed: blocked", True),
        ("stage: input, then: block, feed: blocked", False),
        ("stage: output, then: hold, feed: blocked", False),
        ("stage: output, then: block, feed: A Bank", False),
    ],
)
def test_a_rule_that_feeds_a_bank_must_block_outputs(tmp_path: Path, changed: str, fits: bool) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "schema: guardrail/v1\nname: feeding\nversion: '1'\nrules:\n"
        f"  - {{id: fed, when: sexual.nudity >= 0.5, message: m, {changed}}}\n",
        encoding="utf-8",
    )
    if fits:
        assert {rule.feed for rule in load_policy(path).rules} == {None, "blocked"}
        return
    with pytest.raises(PolicyError, match="feed"):
        load_policy(path)

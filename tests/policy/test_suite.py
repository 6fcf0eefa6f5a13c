from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from guardrail.errors import PolicyError
from guardrail.policy import load_policy, run_suite
from guardrail.settings import shipped
from tests.policy.parts import rule, write

SUITES = sorted((shipped("policies") / "tests").glob("*.yaml"))
BODY = rule("when: sexual.nudity >= 0.5") + "\n"


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_shipped_policies_pass_their_tests(path: Path) -> None:
    report = run_suite(path)
    assert report.failures == ()
    assert report.passed > 0


def test_every_shipped_rule_is_seen_acting() -> None:
    named = {test.get("rule") for path in SUITES for test in yaml.safe_load(path.read_text("utf-8"))["tests"]}
    rules = {item.id for path in SUITES for item in load_policy(path.stem).rules}
    assert rules - named == set()


def test_failures_say_what_was_expected_and_what_came(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        BODY + "tests:\n"
        "  - {name: right, signals: {sexual.nudity: 0.5}, expect: block, rule: mine}\n"
        "  - {name: wrong action, signals: {sexual.nudity: 0.4}, expect: block}\n"
        "  - {name: wrong rule, signals: {sexual.nudity: 0.6}, expect: block, rule: other}\n",
    )
    report = run_suite(path)
    assert (report.passed, report.policy) == (1, "mine")
    assert [(item.test, item.line, item.expected, item.got) for item in report.failures] == [
        ("wrong action", 12, "block", "allow by no rule"),
        ("wrong rule", 13, "block by other", "block by mine"),
    ]
    assert report.to_dict()["failures"][0]["line"] == 12


def test_a_file_of_tests_names_its_policy_beside_it(tmp_path: Path) -> None:
    write(tmp_path, BODY)
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "policy: mine.yaml\ntests:\n  - name: facts\n    stage: output\n    prior: {input: {person.named: 0.2}}\n"
        "    evidence: {}\n    request: {tenant: t, uploads: 1, prompt: x, params: {a: b}}\n    expect: allow\n",
        encoding="utf-8",
    )
    assert run_suite(suite).passed == 1


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ("tests: []", "holds no tests"),
        ("tests: [{name: n, expect: allow, signals: {sexual.nudty: 0.5}}]", "did you mean 'sexual.nudity'"),
        ("tests: [{name: n, expect: allow, prior: {prompt: {zzzzzz: 0.5}}}]", "not in the taxonomy$"),
        ("tests: [{name: n, expect: allow, signals: {sexual.nudity: 1.5}}]", r"not in \[0, 1\]"),
        ("tests: [{name: n, expect: allow, signals: {sexual.nudity: .nan}}]", r"not in \[0, 1\]"),
        ("tests: [{name: n, expect: allow, evidence: {person.named: {era: historical}}}]", "does not raise"),
        ("tests: [{name: n, expect: alow}]", "did you mean 'allow'"),
    ],
)
def test_faults_in_tests(tmp_path: Path, tests: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        run_suite(write(tmp_path, BODY + tests))


def test_a_list_is_no_suite(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- policy\n", encoding="utf-8")
    with pytest.raises(PolicyError):
        run_suite(path)

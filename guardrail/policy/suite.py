"""Policy tests in YAML: given these signals and facts, this action is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from guardrail.errors import DetectionError, PolicyError
from guardrail.policy.load import load_policy
from guardrail.policy.policy import Policy
from guardrail.policy.schema import CaseSpec, PolicyFile, SuiteFile
from guardrail.policy.source import locate, parse, read_file
from guardrail.policy.tree import Document
from guardrail.signals import Coverage, Evidence, GenerationRequest, Picture, Prompt, Signal, Skip
from guardrail.taxonomy import Stage, nearest
from guardrail.verdict import Action


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that did not come out as written."""

    test: str
    line: int | None
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """What running the tests of one file gave."""

    file: str
    policy: str
    passed: int
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def run_suite(path: Path) -> SuiteReport:
    """Run the tests of a policy file, or of a file of tests that names its policy.

    Raises:
        PolicyError: the file does not load, holds no test, or a test names an unknown signal.
    """
    document = read_file(path)
    data = document.data
    if isinstance(data, dict) and "policy" in data:
        suite = parse(SuiteFile, document)
        policy, tests = load_policy(locate(suite.policy, path, document.line(("policy",)))), suite.tests
    else:
        policy, tests = load_policy(path), parse(PolicyFile, document).tests
    if not tests:
        raise PolicyError("the file holds no tests", file=str(path), advice="Add a `tests:` list; see docs/POLICY.md.")
    failures = []
    for position, test in enumerate(tests):
        failure = _run(policy, test, document, document.line(("tests", position)))
        if failure is not None:
            failures.append(failure)
    return SuiteReport(str(path), policy.ref.name, len(tests) - len(failures), tuple(failures))


def _run(policy: Policy, test: CaseSpec, document: Document, line: int | None) -> Failure | None:
    facts = test.request
    request = GenerationRequest(
        prompts=(Prompt(facts.prompt),),
        uploads=tuple(Picture(b"") for _ in range(facts.uploads)),
        operation=facts.operation,
        params=MappingProxyType(dict(facts.params)),
        tenant=facts.tenant or None,
    )
    for name in test.evidence.keys() - test.signals.keys():
        raise PolicyError(f"evidence for {name!r:.60}, which the test does not raise", file=document.file, line=line)
    try:
        signals = _signals(test.signals, test.evidence)
        prior = {Stage(stage): _signals(scores, {}) for stage, scores in test.prior.items()}
    except DetectionError as error:
        wrong = next((name for name in _all_names(test) if nearest(name) != name), None)
        close = nearest(wrong) if wrong else None
        raise PolicyError(error.message, file=document.file, line=line, nearest=close) from error
    stage = Stage(test.stage)
    coverage = Coverage(tuple(policy.required(stage)), tuple(Skip(what, "the test says so") for what in test.skipped))
    decision = policy.decide(stage, signals, request=request, coverage=coverage, prior=prior)
    fired = {reason.rule for reason in decision.reasons if reason.mode != "shadow"}
    expected = f"{test.expect} by {test.rule}" if test.rule else test.expect
    if decision.action is Action(test.expect) and (test.rule is None or test.rule in fired):
        return None
    got = f"{decision.action.value} by {', '.join(sorted(fired)) or 'no rule'}"
    return Failure(test.name, line, expected, got)


def _all_names(test: CaseSpec) -> list[str]:
    return [*test.signals, *(name for scores in test.prior.values() for name in scores)]


def _signals(scores: Mapping[str, float], evidence: Mapping[str, Mapping[str, str]]) -> Sequence[Signal]:
    return [
        Signal(name, score, "policy.test", (Evidence(detail=evidence[name]),) if name in evidence else ())
        for name, score in scores.items()
    ]

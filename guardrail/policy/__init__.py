"""YAML -> compiled `Policy` -> `Decision`. The only room that knows thresholds."""

from guardrail.policy.lint import Finding, lint
from guardrail.policy.load import load_policy
from guardrail.policy.policy import Policy, Rule
from guardrail.policy.schema import json_schema
from guardrail.policy.suite import Failure, SuiteReport, run_suite

__all__ = ["Failure", "Finding", "Policy", "Rule", "SuiteReport", "json_schema", "lint", "load_policy", "run_suite"]

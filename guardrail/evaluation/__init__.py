"""Labelled sets -> results and rates."""

from guardrail.evaluation.metrics import Rate, auroc, summary
from guardrail.evaluation.run import Result, judge, run
from guardrail.evaluation.sets import Row, read_set

__all__ = ["Rate", "Result", "Row", "auroc", "judge", "read_set", "run", "summary"]

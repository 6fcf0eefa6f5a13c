"""Labelled sets -> results and rates."""

from guardrail.evaluation.metrics import Rate, auroc, summary
from guardrail.evaluation.run import Row, read_set, run

__all__ = ["Rate", "Row", "auroc", "read_set", "run", "summary"]

"""Labelled sets -> results and rates."""

from guardrail.evaluation.by_field import slices_by
from guardrail.evaluation.metrics import Rate, summary
from guardrail.evaluation.ranking import Area, area, auroc
from guardrail.evaluation.reliability import Reliability, reliability
from guardrail.evaluation.results import read_results
from guardrail.evaluation.run import Result, judge, run
from guardrail.evaluation.sets import Row, read_set
from guardrail.evaluation.sliced import Slice, Sliced
from guardrail.evaluation.slices import read_slices
from guardrail.evaluation.tables import change_table, flips, slice_table

__all__ = [
    "Area",
    "Rate",
    "Reliability",
    "Result",
    "Row",
    "Slice",
    "Sliced",
    "area",
    "auroc",
    "change_table",
    "flips",
    "judge",
    "read_results",
    "read_set",
    "read_slices",
    "reliability",
    "run",
    "slice_table",
    "slices_by",
    "summary",
]

"""A set in slices: named groups of rows, and rows that prove a signal right or wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guardrail.evaluation.conditions import Condition
from guardrail.evaluation.sets import Row

MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class Slice:
    """A named group of rows.

    Attributes:
        name: unique in its file.
        what: one line for the reader.
        families: starts of signal names whose best score counts; empty means every signal.
        label: rows must have it; None takes all.
        groups: a row is in when all conditions of one group hold; no group takes every row.
        against: name of the slice it is told apart from, or None.
        plain: field that holds the text of a row's undisguised twin, or None.
    """

    name: str
    what: str
    families: tuple[str, ...] = ()
    label: str | None = None
    groups: tuple[tuple[Condition, ...], ...] = ()
    against: str | None = None
    plain: str | None = None

    def holds(self, row: Row) -> bool:
        """Whether `row` belongs to it."""
        if self.label is not None and row.label != self.label:
            return False
        return not self.groups or any(all(condition.holds(row) for condition in group) for group in self.groups)


Members = Mapping[str, Sequence[int]]
"""Slice name -> positions of its rows."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Rows that say whether a signal is right.

    Attributes:
        yes: positions of rows that have what the signal speaks of.
        no: positions of rows that have it not.
        names: of the slices on both sides, for the reader.
    """

    yes: frozenset[int]
    no: frozenset[int]
    names: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Sliced:
    """A set in slices.

    Attributes:
        slices: in the order of the file.
        members: rows of each; slices left out as empty have none.
        truths: by signal, for its reliability; signals without one are held against the rows' labels.
    """

    slices: tuple[Slice, ...] = ()
    members: Members = field(default_factory=dict)
    truths: Mapping[str, Truth] = field(default_factory=dict)

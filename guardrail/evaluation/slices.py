"""Slices of a set: named groups of rows, defined in YAML or by the values of one field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from guardrail.errors import ConfigurationError, PolicyError
from guardrail.evaluation.conditions import ADVICE, Condition, parse_where, wrong
from guardrail.evaluation.sets import Row
from guardrail.policy.expression import closest
from guardrail.policy.source import parse, read_file
from guardrail.policy.tree import Document
from guardrail.taxonomy import SIGNALS

MAX_VALUES = 200
MAX_NAME = 80
_Words = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _SliceSpec(_Strict):
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    what: _Words
    where: Any = None
    label: Literal["block", "allow", "ambiguous"] | None = None
    families: list[str] = Field(default_factory=list)
    against: str | None = None
    plain: str | None = None


class _SlicesFile(_Strict):
    slices: Annotated[list[_SliceSpec], Field(min_length=1, max_length=1_000)]


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


def read_slices(path: Path, rows: Sequence[Row], *, skip_empty: bool = False) -> tuple[list[Slice], Members]:
    """Read a slices file and find the rows of each slice.

    Args:
        path: YAML: `slices`, a list of `name`, `what`, and if wanted `where`, `label`, `families`, `against`, `plain`.
        rows: the set.
        skip_empty: leave out slices without rows instead of refusing them, and comparisons with them.

    Raises:
        ConfigurationError: with file and line: YAML that does not parse, an unknown key, field, signal or slice, a
            name given twice, a cycle of `against`, a pattern that does not compile, a slice without rows.
    """
    try:
        document = read_file(path)
        specs = parse(_SlicesFile, document).slices
    except PolicyError as error:
        raise ConfigurationError(error.message, advice=ADVICE) from error
    found = [_slice(document, place, spec) for place, spec in enumerate(specs)]
    _check_names(document, found)
    _check_cycles(document, found)
    if not skip_empty:
        _check_fields(document, found, rows)
    members = {item.name: [at for at, row in enumerate(rows) if item.holds(row)] for item in found}
    empty = {item.name for item in found if not members[item.name]}
    if empty and not skip_empty:
        place, first = next((place, item) for place, item in enumerate(found) if item.name in empty)
        raise _wrong(document, place, "name", f"no row of the set is in the slice {first.name!r}")
    return [item for item in found if item.name not in empty], members


def slices_by(field: str, rows: Sequence[Row], families: Sequence[str] = ()) -> tuple[list[Slice], Members]:
    """One slice for each label and value of `field`; what is to be blocked is told apart from the same value's rest.

    Rows without the field and rows labelled ambiguous are in none.

    Raises:
        ConfigurationError: no row has the field; it has more than 200 values, or ones longer than 80 characters or
            equal to a prompt, so that they would say what the prompts say; or a family is unknown.
    """
    for family in families:
        if not any(name.startswith(family) for name in SIGNALS):
            raise ConfigurationError(f"no signal's name starts with {family!r:.60}", advice="Say sexual. or the like.")
    values: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        value = row.value(field) if row.label != "ambiguous" else None
        for item in value if isinstance(value, tuple) else () if value is None else (value,):
            values.setdefault((str(item) or "(empty)", row.label), []).append(place)
    if not values:
        known = {name for row in rows for name in row.names}
        nearest = closest(field, known - {field})
        hint = f" (did you mean {nearest!r}?)" if nearest else ""
        raise ConfigurationError(f"no labelled row has a field {field!r:.60}{hint}", advice="Choose another --by.")
    names = {value for value, _ in values}
    telling = field == "text" or not names.isdisjoint(row.text for row in rows)
    if telling or len(names) > MAX_VALUES or any(len(name) > MAX_NAME or not name.isprintable() for name in names):
        raise ConfigurationError(
            f"the values of {field!r:.60} cannot name slices",
            advice=f"Choose a field with at most {MAX_VALUES} short values that are not prompts.",
        )
    members = {_named(*key): values[key] for key in sorted(values)}
    found = [
        Slice(
            _named(value, label),
            f"rows to {label}",
            tuple(families),
            label,
            against=_named(value, "allow") if label == "block" and (value, "allow") in values else None,
        )
        for value, label in sorted(values)
    ]
    return found, members


def _named(value: str, label: str) -> str:
    return f"{value}: {label}"


def _slice(document: Document, place: int, spec: _SliceSpec) -> Slice:
    for key in ("name", "what"):
        if not getattr(spec, key).isprintable():
            raise _wrong(document, place, key, f"`{key}` is one line of printable text")
    for number, family in enumerate(spec.families):
        if not family or not any(name.startswith(family) for name in SIGNALS):
            nearest = closest(family, [*SIGNALS, *{f"{name.partition('.')[0]}." for name in SIGNALS}])
            problem = f"no signal's name starts with {family!r:.60}"
            raise wrong(document, ("slices", place, "families", number), problem, nearest)
    path = ("slices", place, "where")
    groups = parse_where(document, path, spec.where) if path in document.lines else ()
    return Slice(spec.name, spec.what, tuple(spec.families), spec.label, groups, spec.against, spec.plain)


def _check_names(document: Document, found: Sequence[Slice]) -> None:
    seen: set[str] = set()
    names = [item.name for item in found]
    for place, item in enumerate(found):
        if item.name in seen:
            raise _wrong(document, place, "name", f"{item.name!r} is given twice")
        seen.add(item.name)
        if item.against is not None and item.against not in names:
            problem = f"no slice is called {item.against!r:.80}"
            raise _wrong(document, place, "against", problem, closest(item.against, names))


def _check_cycles(document: Document, found: Sequence[Slice]) -> None:
    after = {item.name: item.against for item in found}
    for place, item in enumerate(found):
        way, name = [item.name], item.against
        while name is not None and name not in way:
            way.append(name)
            name = after[name]
        if name == item.name:
            raise _wrong(document, place, "against", f"`against` runs in a circle: {' -> '.join([*way, name])}")


def _check_fields(document: Document, found: Sequence[Slice], rows: Sequence[Row]) -> None:
    known = {name for row in rows for name in row.names}
    for place, item in enumerate(found):
        for condition in (condition for group in item.groups for condition in group):
            if condition.field not in known:
                nearest = closest(condition.field, known)
                hint = f" (did you mean {nearest!r}?)" if nearest else ""
                problem = f"no row of the set has a field {condition.field!r:.60}{hint}"
                raise ConfigurationError(f"{document.file}:{condition.line}: {problem}", advice=ADVICE)
        if item.plain is not None and item.plain not in known:
            problem = f"no row of the set has a field {item.plain!r:.60}"
            raise _wrong(document, place, "plain", problem, closest(item.plain, known))


def _wrong(document: Document, place: int, key: str, problem: str, nearest: str | None = None) -> ConfigurationError:
    return wrong(document, ("slices", place, key), problem, nearest)

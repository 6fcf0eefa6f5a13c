"""Slices files: YAML -> the slices of a set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from guardrail.errors import ConfigurationError, PolicyError
from guardrail.evaluation.conditions import ADVICE, parse_where, wrong
from guardrail.evaluation.sets import Row
from guardrail.evaluation.sliced import MAX_NAME, Members, Slice, Sliced, Truth
from guardrail.policy.expression import closest
from guardrail.policy.source import parse, read_file
from guardrail.policy.tree import Document
from guardrail.policy.tree import Path as Where
from guardrail.taxonomy import SIGNALS

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


class _TruthSpec(_Strict):
    signals: Annotated[list[str], Field(min_length=1)]
    yes: Annotated[list[str], Field(min_length=1)]
    no: Annotated[list[str], Field(min_length=1)]


class _SlicesFile(_Strict):
    slices: Annotated[list[_SliceSpec], Field(min_length=1, max_length=1_000)]
    reliability: list[_TruthSpec] = Field(default_factory=list)


def read_slices(path: Path, rows: Sequence[Row], *, skip_empty: bool = False) -> Sliced:
    """Read a slices file and find the rows of each slice.

    Args:
        path: YAML as docs/EVALUATION.md describes it.
        rows: the set.
        skip_empty: leave out slices without rows instead of refusing them, and comparisons with them.

    Raises:
        ConfigurationError: with file and line: YAML that does not parse, an unknown key, field, signal or slice, a
            name given twice, a cycle of `against`, a pattern that does not compile, a slice without rows, rows that
            are said to have and not to have a signal.
    """
    try:
        document = read_file(path)
        file = parse(_SlicesFile, document)
    except PolicyError as error:
        raise ConfigurationError(error.message, advice=ADVICE) from error
    found = [_slice(document, place, spec) for place, spec in enumerate(file.slices)]
    _check_names(document, found)
    _check_cycles(document, found)
    if not skip_empty:
        _check_fields(document, found, rows)
    members = {item.name: [at for at, row in enumerate(rows) if item.holds(row)] for item in found}
    for place, item in enumerate(found):
        if not members[item.name] and not skip_empty:
            raise _wrong(document, place, "name", f"no row of the set is in the slice {item.name!r}")
    truths: dict[str, Truth] = {}
    for place, spec in enumerate(file.reliability):
        _add_truth(document, place, spec, members, truths)
    kept = {signal: truth for signal, truth in truths.items() if truth.yes and truth.no}
    return Sliced(tuple(item for item in found if members[item.name]), members, kept)


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


def _add_truth(document: Document, place: int, spec: _TruthSpec, members: Members, truths: dict[str, Truth]) -> None:
    yes, no = (_side(document, ("reliability", place, key), getattr(spec, key), members) for key in ("yes", "no"))
    both = len(yes & no)
    if both:
        raise wrong(document, ("reliability", place), f"{both} rows are in slices of `yes` and of `no`")
    for number, signal in enumerate(spec.signals):
        if signal not in SIGNALS:
            problem = f"no signal is called {signal!r:.60}"
            raise wrong(document, ("reliability", place, "signals", number), problem, closest(signal, SIGNALS))
        if signal in truths:
            raise wrong(document, ("reliability", place, "signals", number), f"{signal!r} is given twice")
        truths[signal] = Truth(yes, no, (", ".join(spec.yes), ", ".join(spec.no)))


def _side(document: Document, path: Where, names: Sequence[str], members: Members) -> frozenset[int]:
    for number, name in enumerate(names):
        if name not in members:
            problem = f"no slice is called {name!r:.80}"
            raise wrong(document, (*path, number), problem, closest(name, members))
    return frozenset(at for name in names for at in members[name])


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

"""Conditions on the fields of a row: what `where` of a slice says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import re2

from guardrail.errors import ConfigurationError
from guardrail.evaluation.sets import Row, Scalar, Value
from guardrail.policy.expression import closest
from guardrail.policy.tree import Document, Path

ADVICE = "Correct the file and run again; docs/EVALUATION.md describes it."
MAX_PATTERN_LENGTH = 2_000
_PATTERN_MEMORY = 8 << 20
_BOUNDS: Mapping[str, Callable[[float, float], bool]] = {
    "above": lambda value, bound: value > bound,
    "at_least": lambda value, bound: value >= bound,
    "at_most": lambda value, bound: value <= bound,
    "below": lambda value, bound: value < bound,
}
_TESTS = (*_BOUNDS, "regex", "not")
Test = Callable[[Scalar], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """One field and what it must hold.

    Attributes:
        field: name of the field.
        line: where the file says so.
        test: of one value; a field with a list holds when one of its values does.
        negated: a row without the field holds then.
    """

    field: str
    line: int | None
    test: Test
    negated: bool = False

    def holds(self, row: Row) -> bool:
        """Whether `row` fulfils it."""
        value = row.value(self.field)
        found = False if value is None else any(map(self.test, _each(value)))
        return found is not self.negated


def parse_where(document: Document, path: Path, where: object) -> tuple[tuple[Condition, ...], ...]:
    """Read `where`: fields that must all hold, or a list of such groups of which one must hold.

    Args:
        document: the file, for lines.
        path: of `where` in it.
        where: its value.

    Returns:
        The groups.

    Raises:
        ConfigurationError: with file and line.
    """
    if isinstance(where, dict):
        return (_group(document, path, where),)
    if isinstance(where, list) and where:
        return tuple(_group(document, (*path, place), item) for place, item in enumerate(where))
    raise wrong(document, path, "`where` holds fields, or a list of such groups")


def wrong(document: Document, path: Path, problem: str, nearest: str | None = None) -> ConfigurationError:
    """An error that names file and line of the value at `path`."""
    hint = f" (did you mean {nearest!r}?)" if nearest else ""
    return ConfigurationError(f"{document.file}:{document.line(path)}: {problem}{hint}", advice=ADVICE)


def _group(document: Document, path: Path, fields: object) -> tuple[Condition, ...]:
    if not isinstance(fields, dict) or not fields:
        raise wrong(document, path, "a group of conditions names at least one field")
    return tuple(
        condition for field, said in fields.items() for condition in _field(document, (*path, field), field, said)
    )


def _field(document: Document, path: Path, field: str, said: object) -> list[Condition]:
    line = document.line(path)
    if not isinstance(said, dict):
        return [Condition(field, line, _exact(document, path, said))]
    if not said:
        raise wrong(document, path, f"a test is missing; there are: {', '.join(_TESTS)}")
    found = []
    for name, operand in said.items():
        place = (*path, name)
        if name == "not":
            inner = operand if isinstance(operand, dict) else None
            if inner is not None and set(inner) != {"regex"}:
                raise wrong(document, place, "`not` takes a value, a list of values or `regex`")
            test = _exact(document, place, operand) if inner is None else _pattern(document, place, inner["regex"])
            found.append(Condition(field, line, test, negated=True))
        elif name == "regex":
            found.append(Condition(field, line, _pattern(document, place, operand)))
        elif name in _BOUNDS:
            found.append(Condition(field, line, _bound(document, place, name, operand)))
        else:
            problem = f"no test is called {name!r:.60}; there are: {', '.join(_TESTS)}"
            raise wrong(document, place, problem, closest(name, _TESTS))
    return found


def _exact(document: Document, path: Path, said: object) -> Test:
    values = said if isinstance(said, list) else [said]
    if not values or not all(isinstance(value, Scalar) for value in values):
        raise wrong(document, path, "a field is compared with text, a number, true or false, or a list of those")
    # True equals 1 in Python; in a row they are two things.
    wanted = {(isinstance(value, bool), value) for value in values}
    return lambda value: (isinstance(value, bool), value) in wanted


def _bound(document: Document, path: Path, name: str, said: object) -> Test:
    if isinstance(said, bool) or not isinstance(said, int | float) or said != said:
        raise wrong(document, path, f"`{name}` takes a number")
    bound, compare = said, _BOUNDS[name]
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and compare(value, bound)


def _pattern(document: Document, path: Path, said: object) -> Test:
    if not isinstance(said, str) or len(said) > MAX_PATTERN_LENGTH:
        raise wrong(document, path, f"`regex` takes text of at most {MAX_PATTERN_LENGTH} characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _PATTERN_MEMORY
    try:
        compiled: Any = re2.compile(said, options)
    except re2.error as error:
        problem = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        message = f"the pattern does not compile: {problem} (RE2 has no lookaround and no backreferences)"
        raise wrong(document, path, message) from error
    # A row may hold lone surrogates, which UTF-8 and so RE2 cannot.
    return lambda value: isinstance(value, str) and compiled.search(value.encode("utf-8", "replace")) is not None


def _each(value: Value) -> tuple[Scalar, ...]:
    return value if isinstance(value, tuple) else (value,)

"""CEL conditions over signal names and request facts, type-checked when the policy loads.

The library is cel-expr-python, the binding of the reference C++ implementation: it knows qualified names, so that
`sexual.nudity` is one declared variable, and it refuses an undeclared name or a wrong type before anything is judged.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cel_expr_python import cel

from guardrail.errors import PolicyError
from guardrail.signals import GenerationRequest, Signal
from guardrail.taxonomy import SIGNALS, Stage

ERA, HISTORICAL = "era", "historical"
_LIVING, _HISTORICAL = "person.named.living", "person.named.historical"
DERIVED: Mapping[str, str] = {_LIVING: "person.named", _HISTORICAL: "person.named"}
"""Names for a part of a signal, by its evidence -> the signal they are read from."""

EARLIER = (Stage.PROMPT, Stage.INPUT)
"""Stages whose signals later rules may read with the stage's name in front: `prompt.sexual.undress`."""

FACTS: Mapping[str, str] = {
    "stage": "prompt, input or output",
    "request.operation": "generate, edit, variation or moderate",
    "request.uploads": "number of uploaded pictures",
    "request.tenant": "tenant, or empty text",
    "request.params": "other request fields as text, such as request.params['model']",
}

MAX_LENGTH = 2_000
_STRINGS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression.

    Attributes:
        source: as written.
        reads: signal names read at the rule's own stage.
        reads_earlier: (stage, signal name) pairs read from earlier stages.
    """

    source: str
    reads: frozenset[str]
    reads_earlier: frozenset[tuple[Stage, str]]
    compiled: Any

    def holds(self, values: Any) -> bool:
        """Evaluate over the activation from `bind`.

        Raises:
            ValueError: the expression failed at run time, for example on a missing key of a map.
        """
        try:
            result = self.compiled.eval(values).value()
        except RuntimeError as error:
            raise ValueError("a condition failed to evaluate") from error
        if not isinstance(result, bool):
            raise ValueError("a condition failed to evaluate")
        return result


def compile_condition(source: str, *, file: str | None, line: int | None) -> Condition:
    """Parse and type-check one expression.

    Raises:
        PolicyError: a syntax or type error, a misspelt name (with the nearest right one), or a result that is not
            true or false.
    """
    if len(source) > MAX_LENGTH:
        raise PolicyError(f"a condition may have {MAX_LENGTH} characters", file=file, line=line)
    try:
        compiled = _environment().compile(source)
    except RuntimeError as error:
        raise _explained(str(error), file, line) from error
    if compiled.return_type() != cel.Type.BOOL:
        raise PolicyError("a condition must be true or false; compare the score: `>= 0.5`", file=file, line=line)
    reads, earlier = _names(source)
    return Condition(source, reads, earlier, compiled)


def bind(
    stage: Stage,
    signals: Iterable[Signal],
    prior: Mapping[Stage, Sequence[Signal]],
    request: GenerationRequest,
    *,
    uploads: int | None = None,
) -> Any:
    """A CEL activation with a value for every declared name.

    Args:
        stage, signals: what was raised where.
        prior: signals of earlier stages.
        request: facts.
        uploads: stands for the number of the request's uploads when given.
    """
    values: dict[str, Any] = dict(_zeros())
    _fill(values, "", signals)
    for earlier in EARLIER:
        if earlier in prior:
            _fill(values, f"{earlier.value}.", prior[earlier])
    values["stage"] = stage.value
    values["request.operation"] = request.operation
    values["request.uploads"] = len(request.uploads) if uploads is None else uploads
    values["request.tenant"] = request.tenant or ""
    values["request.params"] = {name: str(value) for name, value in request.params.items()}
    return _environment().Activation(values)


def closest(wrong: str, right: Iterable[str]) -> str | None:
    """The name in `right` that is closest in spelling to `wrong`, or None when none is close."""
    found = difflib.get_close_matches(wrong, list(right), n=1, cutoff=0.5)
    return found[0] if found else None


def _fill(values: dict[str, Any], prefix: str, signals: Iterable[Signal]) -> None:
    for signal in signals:
        names = [signal.name]
        if signal.name == "person.named":
            eras = [item.detail.get(ERA) for item in signal.evidence]
            historical = bool(eras) and all(era == HISTORICAL for era in eras)
            names.append(_HISTORICAL if historical else _LIVING)
        for name in names:
            key = prefix + name
            if signal.score > values[key]:
                values[key] = float(signal.score)


@cache
def _zeros() -> Mapping[str, float]:
    prefixes = ("", *(f"{stage.value}." for stage in EARLIER))
    return {prefix + name: 0.0 for prefix in prefixes for name in (*SIGNALS, *DERIVED)}


@cache
def _environment() -> Any:
    text = cel.Type.STRING
    variables: dict[str, Any] = dict.fromkeys(_zeros(), cel.Type.DOUBLE)
    variables |= {"stage": text, "request.operation": text, "request.tenant": text}
    variables |= {"request.uploads": cel.Type.INT, "request.params": cel.Type.Map(text, text)}
    return cel.NewEnv(variables=variables)


def _names(source: str) -> tuple[frozenset[str], frozenset[tuple[Stage, str]]]:
    reads: set[str] = set()
    earlier: set[tuple[Stage, str]] = set()
    for name in _NAME.findall(_STRINGS.sub("''", source)):
        first, _, rest = name.partition(".")
        if name in _zeros() and first in {stage.value for stage in EARLIER}:
            earlier.add((Stage(first), DERIVED.get(rest, rest)))
        elif name in _zeros():
            reads.add(DERIVED.get(name, name))
    return frozenset(reads), frozenset(earlier)


def _explained(problem: str, file: str | None, line: int | None) -> PolicyError:
    undeclared = _UNDECLARED.search(problem)
    if undeclared:
        wrong = undeclared.group(1)
        nearest = closest(wrong, [*_zeros(), *FACTS])
        return PolicyError(f"no signal or fact is called {wrong!r}", file=file, line=line, nearest=nearest)
    if "(double, int)" in problem or "(int, double)" in problem:
        return PolicyError("a score is a decimal number: write 1.0, not 1", file=file, line=line)
    first = problem.split("\n", 1)[0].removeprefix("INVALID_ARGUMENT: ERROR: <input>:")
    return PolicyError(f"the condition does not parse or type-check: {first}", file=file, line=line)

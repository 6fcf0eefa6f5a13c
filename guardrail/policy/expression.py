"""CEL conditions over signal names and request facts, type-checked when the policy loads.

The library is cel-expr-python, the binding of the reference C++ implementation: it knows qualified names, so that
`sexual.nudity` is one declared variable, and it refuses an undeclared name or a wrong type before anything is judged.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import Any

from cel_expr_python import cel

from guardrail.errors import PolicyError
from guardrail.signals import GenerationRequest, Signal
from guardrail.taxonomy import SIGNALS, Stage

ERA, HISTORICAL = "era", "historical"
PARTS: Mapping[str, tuple[str, str, str, str]] = {
    "person.named": (ERA, HISTORICAL, "person.named.historical", "person.named.living"),
    "sexual.nudity": ("medium", "art", "sexual.nudity.art", "sexual.nudity.photo"),
}
"""Signal -> a detail of its evidence, a word, and the names the signal also goes by: the first when all its evidence
has that word, the second otherwise."""
DERIVED: Mapping[str, str] = {name: signal for signal, (_, _, *names) in PARTS.items() for name in names}
"""Names for a part of a signal, by its evidence -> the signal they are read from."""

EARLIER = (Stage.PROMPT, Stage.INPUT)
"""Stages whose signals later rules may read with the stage's name in front: `prompt.sexual.undress`."""

FACTS: Mapping[str, str] = {
    "stage": "prompt, input or output",
    "request.operation": "generate, edit, variation or moderate",
    "request.uploads": "number of uploaded pictures",
    "request.tenant": "tenant, or empty text",
    "request.params": "other request fields as text, such as request.params['model']",
    "coverage.skipped": "what was not inspected, such as 'picture.exif' or a detector's name",
}
_COVERAGE = re.compile(r"\bcoverage\s*\.\s*skipped\b")

MAX_LENGTH = 2_000
_MAX_INT_BITS = 1_024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression.

    Attributes:
        source: as written.
        names: declared signal names that occur, such as "sexual.nudity" or "prompt.sexual.undress".
        reads: signal names read at the rule's own stage.
        reads_earlier: (stage, signal name) pairs read from earlier stages.
        reads_coverage: whether it asks what was not inspected, which is known only at the end of a stage.
    """

    source: str
    names: frozenset[str]
    reads: frozenset[str]
    reads_earlier: frozenset[tuple[Stage, str]]
    compiled: Any
    reads_coverage: bool = False

    def touched(self, raised: Set[str], earlier: Set[tuple[Stage, str]]) -> bool:
        """Whether a signal it reads is raised, at its own stage or an earlier one."""
        return not (self.reads.isdisjoint(raised) and self.reads_earlier.isdisjoint(earlier))

    def seen(self, raised: Set[str], earlier: Set[tuple[Stage, str]]) -> tuple[str, ...]:
        """Names of the raised signals it reads, whatever their stage, sorted."""
        return tuple(sorted(self.reads & raised | {name for _, name in self.reads_earlier & earlier}))

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


def compile_condition(
    source: str, *, file: str | None, line: int | None, concepts: frozenset[str] = frozenset()
) -> Condition:
    """Parse and type-check one expression; `concepts` are the signal names that the policy itself declares.

    Raises:
        PolicyError: a syntax or type error, a misspelt name (with the nearest right one), or a result that is not
            true or false.
    """
    if len(source) > MAX_LENGTH:
        raise PolicyError(f"a condition may have {MAX_LENGTH} characters", file=file, line=line)
    try:
        compiled = _environment(concepts).compile(source)
    except RuntimeError as error:
        raise _explained(str(error), file, line, concepts) from error
    if compiled.return_type() != cel.Type.BOOL:
        raise PolicyError("a condition must be true or false; compare the score: `>= 0.5`", file=file, line=line)
    names = frozenset(_NAME.findall(source)) & _zeros(concepts).keys()
    _check_names(source, names, file, line)
    return Condition(source, names, *_reads(names), compiled, _COVERAGE.search(source) is not None)


def bind(
    names: Iterable[str],
    stage: Stage,
    signals: Iterable[Signal],
    prior: Mapping[Stage, Sequence[Signal]],
    request: GenerationRequest,
    *,
    uploads: int | None = None,
    skipped: Iterable[str] = (),
    concepts: frozenset[str] = frozenset(),
) -> Any:
    """A CEL activation.

    Args:
        names: signal names that get a value, 0.0 where nothing was raised.
        stage, signals: what was raised where.
        prior: signals of earlier stages.
        request: facts.
        uploads: stands for the number of the request's uploads when given.
        skipped: what was not inspected.
        concepts: signal names that the policy itself declares.
    """
    values: dict[str, Any] = dict.fromkeys(names, 0.0)
    _fill(values, "", signals)
    for earlier in EARLIER:
        if earlier in prior:
            _fill(values, f"{earlier.value}.", prior[earlier])
    values["stage"] = stage.value
    values["request.operation"] = request.operation
    values["request.uploads"] = len(request.uploads) if uploads is None else uploads
    values["request.tenant"] = text_of(request.tenant or "")
    values["request.params"] = {text_of(name): text_of(value) for name, value in request.params.items()}
    values["coverage.skipped"] = [text_of(what) for what in skipped]
    return _environment(concepts).Activation(values)


def text_of(value: object) -> str:
    """A caller's scalar as text that CEL can hold: lone surrogates replaced, whole numbers bounded."""
    if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
        return "out of range"
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def closest(wrong: str, right: Iterable[str]) -> str | None:
    """The name in `right` that is closest in spelling to `wrong`, or None when none is close."""
    found = difflib.get_close_matches(wrong, list(right), n=1, cutoff=0.5)
    return found[0] if found else None


def _fill(values: dict[str, Any], prefix: str, signals: Iterable[Signal]) -> None:
    for signal in signals:
        names = [signal.name]
        if signal.name in PARTS:
            detail, word, if_all, otherwise = PARTS[signal.name]
            words = [item.detail.get(detail) for item in signal.evidence]
            names.append(if_all if words and all(found == word for found in words) else otherwise)
        for name in names:
            key = prefix + name
            if signal.score > values.get(key, 1.0):
                values[key] = float(signal.score)


@cache
def _zeros(concepts: frozenset[str] = frozenset()) -> Mapping[str, float]:
    prefixes = ("", *(f"{stage.value}." for stage in EARLIER))
    return {prefix + name: 0.0 for prefix in prefixes for name in (*SIGNALS, *DERIVED, *concepts)}


def _declared(names: Iterable[str]) -> Any:
    text = cel.Type.STRING
    variables: dict[str, Any] = dict.fromkeys(names, cel.Type.DOUBLE)
    variables |= {"stage": text, "request.operation": text, "request.tenant": text}
    variables["coverage.skipped"] = cel.Type.List(text)
    variables |= {"request.uploads": cel.Type.INT, "request.params": cel.Type.Map(text, text)}
    return cel.NewEnv(variables=variables)


@cache
def _environment(concepts: frozenset[str]) -> Any:
    return _declared(_zeros(concepts))


def _check_names(source: str, names: frozenset[str], file: str | None, line: int | None) -> None:
    """Prove that no name was overlooked, or the rule would sleep while its signal is raised."""
    try:
        _declared(names).compile(source)
    except RuntimeError as error:
        raise PolicyError("write signal names in one piece, as `sexual.nudity`", file=file, line=line) from error


def _reads(names: Iterable[str]) -> tuple[frozenset[str], frozenset[tuple[Stage, str]]]:
    reads: set[str] = set()
    earlier: set[tuple[Stage, str]] = set()
    for name in names:
        first, _, rest = name.partition(".")
        if first in EARLIER:
            earlier.add((Stage(first), DERIVED.get(rest, rest)))
        else:
            reads.add(DERIVED.get(name, name))
    return frozenset(reads), frozenset(earlier)


def _explained(problem: str, file: str | None, line: int | None, concepts: frozenset[str]) -> PolicyError:
    undeclared = _UNDECLARED.search(problem)
    if undeclared:
        wrong = undeclared.group(1)
        nearest = closest(wrong, [*_zeros(concepts), *FACTS])
        return PolicyError(f"no signal or fact is called {wrong!r}", file=file, line=line, nearest=nearest)
    if "(double, int)" in problem or "(int, double)" in problem:
        return PolicyError("a score is a decimal number: write 1.0, not 1", file=file, line=line)
    first = problem.split("\n", 1)[0].removeprefix("INVALID_ARGUMENT: ERROR: <input>:")
    return PolicyError(f"the condition does not parse or type-check: {first}", file=file, line=line)

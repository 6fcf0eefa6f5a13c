"""Results files: what an earlier run wrote, joined to the rows of a set by id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from guardrail.errors import ConfigurationError
from guardrail.evaluation.run import Result
from guardrail.evaluation.sets import Row
from guardrail.verdict import Action

_ADVICE = "Give a file that `guardrail eval --out` wrote."
_MAX_NAME = 100
_MAX_MS = 1e12


def read_results(path: Path, rows: Sequence[Row]) -> list[Result]:
    """Read a results file of exactly these rows.

    Args:
        path: JSONL with a result a line, in any order.
        rows: the set.

    Returns:
        One result a row, in the order of `rows`. The file does not say which ones a limit or a fault stopped, so
        `judged` is true for all of them.

    Raises:
        ConfigurationError: a line is no result (file and line), an id comes twice, or ids are missing or unknown; the
            message says how many.
    """
    found: dict[str, Result] = {}
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                result = _result(line, f"{path}:{number}")
                if result.id in found:
                    raise ConfigurationError(f"{path}:{number}: an id is there twice", advice=_ADVICE)
                found[result.id] = result
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}:{number + 1}: not UTF-8 in or after this line", advice=_ADVICE) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", advice="Check the path.") from error
    missing = sum(row.id not in found for row in rows)
    unknown = len(found) - (len(rows) - missing)
    if missing or unknown:
        raise ConfigurationError(
            f"{path}: {missing} of the set's {len(rows)} rows have no result, and {unknown} results belong to no row",
            advice="Name the sets that the results were made from, all of them, and let the run reach its end.",
        )
    return [found[row.id] for row in rows]


def _result(line: str, place: str) -> Result:
    try:
        data: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{place}: not JSON, or nested too deeply", advice=_ADVICE) from None
    if not isinstance(data, dict) or not isinstance(data.get("id"), str):
        raise ConfigurationError(f"{place}: a result is a JSON object with an `id`", advice=_ADVICE)
    action, rules, ms = data.get("action"), data.get("rules"), data.get("ms")
    if action not in tuple(Action):
        raise ConfigurationError(f"{place}: `action` is one of {', '.join(Action)}", advice=_ADVICE)
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise ConfigurationError(f"{place}: `rules` is a list of text", advice=_ADVICE)
    if not _number(ms) or not 0 <= ms <= _MAX_MS:
        raise ConfigurationError(f"{place}: `ms` is a number of at least 0", advice=_ADVICE)
    return Result(data["id"], Action(action), tuple(rules), _signals(data.get("signals"), place), float(ms))


def _signals(data: object, place: str) -> dict[str, float]:
    if isinstance(data, dict) and all(
        _named(name) and _number(score) and 0 <= score <= 1 for name, score in data.items()
    ):
        return {name: float(score) for name, score in data.items()}
    raise ConfigurationError(f"{place}: `signals` holds scores from 0 to 1 by signal name", advice=_ADVICE)


def _named(name: str) -> bool:
    return 0 < len(name) <= _MAX_NAME and name.isprintable()


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Slices by the values of one field of the rows."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.errors import ConfigurationError
from guardrail.evaluation.sets import Row
from guardrail.evaluation.sliced import MAX_NAME, Slice, Sliced
from guardrail.policy.expression import closest
from guardrail.taxonomy import SIGNALS

MAX_VALUES = 200


def slices_by(field: str, rows: Sequence[Row], families: Sequence[str] = ()) -> Sliced:
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
    found = tuple(
        Slice(
            _named(value, label),
            f"rows to {label}",
            tuple(families),
            label,
            against=_named(value, "allow") if label == "block" and (value, "allow") in values else None,
        )
        for value, label in sorted(values)
    )
    return Sliced(found, members)


def _named(value: str, label: str) -> str:
    return f"{value}: {label}"

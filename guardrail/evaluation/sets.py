"""Labelled sets: JSONL files whose rows say what to judge and what should come of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigurationError
from guardrail.taxonomy import Stage

LABELS = ("block", "allow", "ambiguous")
Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]
_OWN = ("id", "text", "label", "category", "stage")
_ADVICE = "Correct the row and run again; `guardrail eval --help` says what a row holds."


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a set.

    Attributes:
        id: unique over all sets of a run.
        text: a prompt, or None.
        image: path of an encoded picture, or None; at least one of the two is there.
        stage: where in a request's life it stands; text alone is judged as a prompt whatever it says.
        label: "block", "allow", or "ambiguous", which is left out of rates.
        category: what the rates are broken down by; "" when the row names none.
        place: file and line, for messages.
        extra: further fields of the row that hold text, a number, true or false, or a list of those.
    """

    id: str
    text: str | None
    image: Path | None
    stage: Stage
    label: str
    category: str
    place: str
    extra: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def value(self, name: str) -> Value | None:
        """What the field `name` holds, None when the row has no such field."""
        if name in _OWN:
            own: str | None = getattr(self, name)
            return own
        return self.extra.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Every field that `value` knows."""
        return (*_OWN, *self.extra)


def read_set(*paths: Path) -> list[Row]:
    """Read JSONL sets in order. Every row is checked before any is judged.

    Raises:
        ConfigurationError: a row is not a JSON object, lacks `id`, `text` or `image`, repeats an id, has an unknown
            stage or label, or names a picture that is not there (the message names file and line); or there is no row.
    """
    rows: list[Row] = []
    places: dict[str, str] = {}
    for path in paths:
        for row in _rows(path):
            if row.id in places:
                first = places[row.id]
                raise ConfigurationError(f"{row.place}: the id of {first} again", advice="Give each row its own id.")
            places[row.id] = row.place
            rows.append(row)
    if not rows:
        raise ConfigurationError("the set holds no rows", advice="Give a JSONL file with one row a line.")
    return rows


def _rows(path: Path) -> Iterator[Row]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(line, path, f"{path}:{number}")
    except UnicodeDecodeError:
        raise _wrong(f"{path}:{number + 1}: not UTF-8 in or after this line") from None
    except OSError as error:
        raise _wrong(f"{path} cannot be read: {error.strerror}", "Check its permissions.") from error


def _row(line: str, path: Path, place: str) -> Row:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        # Not chained: the parser's error quotes the line.
        raise _wrong(f"{place}: not JSON, or nested too deeply") from None
    if not isinstance(data, dict):
        raise _wrong(f"{place}: a row is a JSON object")
    text, image = _text(data, "text", place), _text(data, "image", place)
    if text is None and image is None:
        raise _wrong(f"{place}: a row needs `text` or `image`")
    picture = path.parent / image if image is not None else None
    if picture is not None and not picture.is_file():
        raise _wrong(f"{place}: there is no picture at `image`", advice="Paths start at the folder of the set.")
    label = data.get("label", "ambiguous")
    if label not in LABELS:
        raise _wrong(f"{place}: unknown label; there are: {', '.join(LABELS)}")
    name = _text(data, "id", place)
    if not name:
        raise _wrong(f"{place}: a row needs an `id`")
    stage = _stage(data, text, picture, place)
    category = _text(data, "category", place) or ""
    for value in (name, category):
        if not value.isprintable():
            raise _wrong(f"{place}: `id` and `category` are printable text")
    return Row(name, text, picture, stage, label, category, place, dict(_extra(data)))


def _extra(data: dict[str, Any]) -> Iterator[tuple[str, Value]]:
    for name, value in data.items():
        if name in _OWN or name == "image":
            continue
        if isinstance(value, Scalar):
            yield name, value
        elif isinstance(value, list) and value and all(isinstance(item, Scalar) for item in value):
            yield name, tuple(value)


def _text(data: dict[str, Any], name: str, place: str) -> str | None:
    value = data.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _wrong(f"{place}: `{name}` must be text")


def _stage(data: dict[str, Any], text: str | None, image: Path | None, place: str) -> Stage:
    usual = Stage.PROMPT if image is None else Stage.OUTPUT if text is None else Stage.INPUT
    stage = data.get("stage", usual.value)
    if stage not in tuple(Stage):
        raise _wrong(f"{place}: unknown stage; there are: {', '.join(Stage)}")
    if image is not None and stage == Stage.PROMPT:
        raise _wrong(f"{place}: stage prompt does not go with `image`", advice="Say input or output.")
    return Stage(stage)


def _wrong(message: str, advice: str = _ADVICE) -> ConfigurationError:
    return ConfigurationError(message, advice=advice)

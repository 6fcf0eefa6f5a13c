"""Reading the shipped data files of this room, with typed errors that name the file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from guardrail.errors import ConfigurationError
from guardrail.settings import shipped

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def folder() -> Path:
    """Where the shipped lists are."""
    return shipped("policies") / "lists"


def lines(name: str) -> tuple[str, ...]:
    """Lines of a shipped text file that are neither empty nor a comment.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    path = folder() / name
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}", advice="Install the package again.") from error
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def mapping(path: Path) -> dict[str, Any]:
    """A YAML file whose top level is a mapping.

    Raises:
        ConfigurationError: it cannot be read, does not parse, or is not a mapping.
    """
    try:
        with path.open(encoding="utf-8") as file:
            data = yaml.load(file, Loader=_LOADER)  # noqa: S506 (a safe loader, in C where there is one)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {error}", advice="Correct the file at the named line.") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: the top level must be a mapping", advice="Start it with `groups:`.")
    return data


@cache
def lexicon_files() -> tuple[tuple[Path, dict[str, Any]], ...]:
    """Every lexicon*.yaml with its content, in the order of their names."""
    return tuple((path, mapping(path)) for path in sorted(folder().glob("lexicon*.yaml")))


@cache
def ranked_words() -> tuple[str, ...]:
    """Common English words, the most frequent first."""
    return lines("words.txt")


@cache
def words() -> frozenset[str]:
    """Common English words."""
    return frozenset(ranked_words())


@cache
def given_names() -> frozenset[str]:
    """Frequent given names, lower case."""
    return frozenset(lines("given_names.txt"))

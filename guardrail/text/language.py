"""Whether a text is one that the English networks were made for."""

from __future__ import annotations

import re
from functools import cache

import yaml

from guardrail.errors import ConfigurationError
from guardrail.settings import shipped
from guardrail.text.normalise import clean, skeleton

MIN_LETTERS = 3
_WORD = re.compile(r"[^\W\d_]+")
_SAMPLE = 4_000


def unread_because(text: str) -> str | None:
    """Why an English network should not score `text`, or None when it may.

    A network that meets another language answers with noise: such text is left to the word lists, and the verdict's
    coverage says so. Text without any of the small words, such as a list of tags, counts as English.
    """
    found = _WORD.findall(text[:_SAMPLE].lower())
    letters = sum(map(len, found))
    if letters < MIN_LETTERS:
        return "too short to mean anything"
    latin = sum(len(word) for word in found if skeleton(clean(word)).isascii())
    if latin < 0.5 * letters:
        return "not in Latin script"
    english, other = _function_words()
    here = sum(word in english for word in found)
    there = max(sum(word in words for word in found) for words in other)
    return "not English" if there > here else None


@cache
def _function_words() -> tuple[frozenset[str], tuple[frozenset[str], ...]]:
    path = shipped("policies") / "lists" / "function_words.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        other = tuple(_both(words) for words in data["other"].values())
        return _both(data["en"]), other
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _both(words: str) -> frozenset[str]:
    """Words as written and as a skeleton has them."""
    return frozenset(words.split()) | frozenset(skeleton(clean(words)).split())

"""What a concept of a policy would catch in a file of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from guardrail.detector import DetectorContext
from guardrail.errors import ConfigurationError, PolicyError
from guardrail.inference import ModelStore
from guardrail.policy import Policy
from guardrail.records import LocalRegistry
from guardrail.settings import load_settings
from guardrail.signals import GenerationRequest, Prompt, Subject, best_scores
from guardrail.taxonomy import Stage
from guardrail.text.concepts import ConceptsDetector

MAX_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Tried:
    """One prompt and its score.

    Attributes:
        line: number in the file, from 1.
        text: the prompt.
        score: 0 to 1.
    """

    line: int
    text: str
    score: float


def read_prompts(path: Path) -> list[tuple[int, str]]:
    """(line, prompt) of a file with one prompt a line, or JSON lines with a field "text"; empty lines are left out.

    Raises:
        ConfigurationError: it cannot be read, is too large, is not UTF-8, or a JSON line has no text.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path} has more than {MAX_BYTES} bytes", advice="Split the file.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read", advice="Give a text file in UTF-8.") from error
    return [(number, _prompt(path, number, line)) for number, line in enumerate(lines, 1) if line.strip()]


def concept_scores(policy: Policy, name: str, prompts: Sequence[tuple[int, str]]) -> list[Tried]:
    """The score of every prompt for one concept.

    Raises:
        PolicyError: the policy has no such concept, or its sentences contradict each other.
        ModelError: weights are missing.
    """
    found = [concept for concept in policy.concepts if concept.name == name]
    if not found:
        known = ", ".join(concept.name for concept in policy.concepts) or "none"
        raise PolicyError(f"policy {policy.ref.name!r} has no concept {name!r}; it has: {known}")
    settings = load_settings()
    context = DetectorContext(settings, ModelStore(settings), LocalRegistry(settings), {"concepts": found})
    detector = ConceptsDetector(context)
    return [Tried(line, text, _score(detector, text, found[0].signal)) for line, text in prompts]


def _score(detector: ConceptsDetector, text: str, signal: str) -> float:
    prompt = Prompt(text)
    subject = Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt)
    return best_scores(detector.detect(subject).signals).get(signal, 0.0)


def _prompt(path: Path, number: int, line: str) -> str:
    if not line.lstrip().startswith("{"):
        return line
    try:
        text = orjson.loads(line)["text"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ConfigurationError(
            f"{path}:{number}: no field `text`", advice="Give plain lines, or JSON lines with a field text."
        )
    return text

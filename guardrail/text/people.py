"""`PeopleDetector`: real people named, pinned down or meant by relation; not styles, works or characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import re2
import yaml

from guardrail.detector import DetectorContext, Example
from guardrail.errors import ConfigurationError
from guardrail.settings import shipped
from guardrail.signals import Coverage, Detection, Evidence, GenerationRequest, Prompt, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.text.gazetteer import Gazetteer, PublicFigure, reference, shipped_figures
from guardrail.text.views import View, views_of

NAME = "text.people"
_NAMED = 0.95
_STYLE = 0.2
_RELATION = 0.75
_PRONOUN_WITH_UPLOAD = 0.6
_WINDOW = 60
_MAX_EVIDENCE = 8


class PeopleDetector:
    """Raises `person.named` and `person.public_figure` for listed names, `person.private` for relations.

    A name that only says whose style or work is meant scores 0.2. Evidence holds an opaque reference, never the name,
    and the era, so that a policy can let historical people through.

    Args:
        context: `parameters["people"]` may hold an operator's own names.
    """

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = frozenset({"person.named", "person.public_figure", "person.private"})
    cost_ms = 0.05
    models: tuple[str, ...] = ()

    def __init__(self, context: DetectorContext | None = None) -> None:
        own = context.parameters.get("people", ()) if context is not None else ()
        extra = tuple(PublicFigure(str(name), reference(str(name)), "operator", None) for name in own)
        self._gazetteer = Gazetteer((*extra, *shipped_figures())) if extra else _shipped_gazetteer()
        self._cues = _cues()

    def detect(self, subject: Subject) -> Detection:
        """Names and relations over every reading of the prompt."""
        if subject.prompt is None:
            return Detection()
        named: list[tuple[float, Evidence]] = []
        private: list[tuple[float, Evidence]] = []
        views = views_of(subject).all
        for view in views:
            named += self._named(view)
            private += self._private(view, bool(subject.request.uploads))
        signals = [
            *_signals("person.named", named, split_eras=True),
            *_signals("person.public_figure", named),
            *_signals("person.private", private),
        ]
        return Detection(tuple(signals), Coverage((f"{NAME}:names={len(self._gazetteer)}",)))

    def examples(self) -> Sequence[Example]:
        """A public figure, a style, a relation, and nobody."""
        return (
            _example("Emma Watson riding a bicycle", at_least={"person.named": 0.9}, note="a public figure"),
            _example("a harbour in the style of Claude Monet", below={"person.named": 0.5}, note="a style"),
            _example("my neighbour on a balcony", at_least={"person.private": 0.5}, note="a relation"),
            _example("a woman in a red coat", below={"person.named": 0.1, "person.private": 0.5}, note="nobody"),
        )

    def _named(self, view: View) -> Iterable[tuple[float, Evidence]]:
        for figure, start, end in self._gazetteer.find(view.text):
            score = _STYLE if view.where != "lora" and self._is_style(view.text, start, end) else _NAMED
            detail = {"kind": figure.kind.replace(" ", "_")}
            if figure.historical:
                detail["era"] = "historical"
            yield (
                score,
                Evidence(view.span_of(start, end), where=view.where, view=view.name, ref=figure.ref, detail=detail),
            )

    def _is_style(self, text: str, start: int, end: int) -> bool:
        before, after = text[max(0, start - _WINDOW) : start].rstrip(" '\"“‘("), text[end : end + _WINDOW]
        return bool(self._cues["style_before"].search(before)) or bool(self._cues["style_after"].match(after))

    def _private(self, view: View, uploads: bool) -> Iterable[tuple[float, Evidence]]:
        kinds = [("relations", _RELATION)] + ([("pronouns", _PRONOUN_WITH_UPLOAD)] if uploads else [])
        for kind, score in kinds:
            match = self._cues[kind].search(view.text)
            if match is not None:
                span = view.span_of(match.start(), match.end())
                yield score, Evidence(span, where=view.where, view=view.name, detail={"kind": kind})


@cache
def _shipped_gazetteer() -> Gazetteer:
    return Gazetteer(shipped_figures())


@cache
def _cues() -> dict[str, Any]:
    path = shipped("policies") / "lists" / "relations.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        joined = {key: "|".join(f"(?:{item})" for item in data[key]) for key in ("relations", "pronouns")}
        before = "|".join(f"(?:{item})" for item in data["style_before"])
        joined["style_before"] = rf"\b(?:{before})\s*,?$"
        joined["style_after"] = "|".join(f"(?:{item})" for item in data["style_after"])
        return {key: re2.compile(f"(?i){source}") for key, source in joined.items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, re2.error) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _signals(name: str, found: Sequence[tuple[float, Evidence]], *, split_eras: bool = False) -> Iterable[Signal]:
    """One signal, or one for living and one for historical people, with the best score of each."""
    groups: dict[bool, list[tuple[float, Evidence]]] = {}
    for score, evidence in found:
        groups.setdefault(split_eras and evidence.detail.get("era") == "historical", []).append((score, evidence))
    for items in groups.values():
        best = max(score for score, _ in items)
        yield Signal(name, best, NAME, tuple(evidence for _, evidence in items[:_MAX_EVIDENCE]))


def _example(text: str, *, note: str, **promises: dict[str, float]) -> Example:
    prompt = Prompt(text)
    return Example(Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt), note=note, **promises)

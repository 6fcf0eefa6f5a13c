"""`PeopleDetector`: who is meant. Public figures by name, private people by name pattern or relation to the caller."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import re2

from guardrail.detector import DetectorContext, Example
from guardrail.errors import ConfigurationError
from guardrail.signals import Coverage, Detection, Evidence, ListedName, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.text.gazetteer import ARTISTS, Gazetteer, PublicFigure, not_people, reference, shipped_figures
from guardrail.text.listed import Listed, ListedNames
from guardrail.text.lists import folder, given_names, mapping, ranked_words
from guardrail.text.memory import Remembered, remembered
from guardrail.text.misspelt import NearlyNames
from guardrail.text.views import PromptViews, View, repaired_view, views_of

NAME = "text.people"
_NAMED = 0.95
_NEARLY = 0.8
_STYLE = 0.2
_RELATION = 0.75
_PATTERN = 0.6
_PATTERN_IN_CONTEXT = 0.75
_PRONOUN_WITH_UPLOAD = 0.6
_WINDOW = 60
_MAX_EVIDENCE = 8
_COMMON_RANK = 12_000
_HANDLE = re.compile(r"[@#](\w{8,40})")
_FULL_NAME = re.compile(
    r"(?<![\w.])[A-Z][a-z\u00c0-\u024f]+(?: [A-Z]\.)?(?: [A-Z][a-z\u00c0-\u024f'\u2019-]+){1,2}(?!\w)"
)

Found = tuple[float, Evidence]


class PeopleDetector:
    """Raises `person.named` and `person.public_figure` for listed names, `person.private` for everybody else.

    Names of the operator's list raise `person.named`, and by their entry `person.public_figure`, `person.private` and
    `person.protected`. A name that only says whose style or work is meant scores 0.2. Evidence holds an opaque
    reference, never the name, and the era, so that a policy can let historical people through.

    Args:
        context: `parameters["people"]` may hold an operator's own names.
    """

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = frozenset({"person.named", "person.public_figure", "person.private", "person.protected"})
    cost_ms = 0.05
    models: tuple[str, ...] = ()

    def __init__(self, context: DetectorContext | None = None) -> None:
        self.detections: Remembered[Detection] = Remembered()
        own = context.parameters.get("people", ()) if context is not None else ()
        extra = tuple(PublicFigure(str(name), reference(str(name)), "operator", None) for name in own)
        self._gazetteer = Gazetteer((*extra, *shipped_figures())) if extra else _shipped_gazetteer()
        self._nearly = NearlyNames((*extra, *shipped_figures())) if extra else _shipped_nearly()
        self._cues = _cues()
        self._names = ListedNames.shared(context.registry) if context is not None else None
        self._listed = self._names.current() if self._names is not None else None

    def detect(self, subject: Subject) -> Detection:
        """Names and relations over every reading of the prompt.

        Raises:
            RecordError: the operator's list cannot be read.
        """
        if self._names is not None:
            listed = self._names.current()
            if listed is not self._listed:
                # In this order: what is remembered from now on was found with the new list.
                self._listed = listed
                self.detections = Remembered()
        return self._detect(subject)

    @remembered
    def _detect(self, subject: Subject) -> Detection:
        if subject.prompt is None:
            return Detection()
        listed = self._listed
        named: list[Found] = []
        own: list[Found] = []
        private: list[Found] = []
        views = views_of(subject)
        for view in views.all:
            here, spans = self._named(view, self._gazetteer, self._nearly)
            named += here
            if listed is not None:
                here, taken = self._of_the_operator(view, listed)
                own += here
                spans += taken
            private += self._relations(view, bool(subject.request.uploads))
            if view.name in ("plain", "syntax"):
                private += self._patterns(view, spans)
        named += self._handles(views, self._gazetteer)
        count = len(self._gazetteer)
        signals: list[Signal] = []
        if listed is not None:
            own += self._handles(views, listed.gazetteer)
            private += _kept(own, listed, lambda entry: entry.kind == "private")
            signals += _signals("person.protected", _kept(own, listed, lambda entry: entry.protected))
            count += len(listed.gazetteer)
        known = named + (_kept(own, listed, lambda entry: entry.kind == "public") if listed is not None else [])
        signals += [
            *_signals("person.named", named + own, split_eras=True),
            *_signals("person.public_figure", known),
            *_signals("person.private", private),
        ]
        return Detection(tuple(signals), Coverage((f"{NAME}:names={count}",)))

    def examples(self) -> Sequence[Example]:
        """A public figure, a LoRA and a handle of one, a style, a relation, and nobody."""
        return (
            Example.of_prompt("Emma Watson riding a bicycle", at_least={"person.named": 0.9}, note="a public figure"),
            Example.of_prompt(
                "portrait, <lora:taylorSwift_v2:0.8>", at_least={"person.named": 0.9}, note="a LoRA of one"
            ),
            Example.of_prompt("@taylorswift13 on a balcony", at_least={"person.named": 0.9}, note="a handle"),
            Example.of_prompt("a harbour in the style of Claude Monet", below={"person.named": 0.5}, note="a style"),
            Example.of_prompt("my neighbour on a balcony", at_least={"person.private": 0.5}, note="a relation"),
            Example.of_prompt(
                "a woman in a red coat", below={"person.named": 0.1, "person.private": 0.5}, note="nobody"
            ),
        )

    def _named(
        self, view: View, gazetteer: Gazetteer, nearly_names: NearlyNames
    ) -> tuple[list[Found], list[tuple[int, int]]]:
        """Listed names, and where they stand in the view."""
        found: list[Found] = []
        spans: list[tuple[int, int]] = []
        names = gazetteer.find(view.text, view.odd, view.words)
        if view.where == "lora" and not names and (figure := gazetteer.joined(view.text)):
            names = [(figure, 0, len(view.text))]
        exact = {(low, high) for _, low, high in names}
        nearly = [
            item
            for item in nearly_names.find(view.text, view.odd, view.words)
            if not any(item[1] < high and low < item[2] for low, high in exact)
        ]
        others = _others(view.text) if names or nearly else []
        for figure, start, end in (*names, *nearly):
            spans.append((start, end))
            if any(start < high and low < end for low, high in others) or not _really(figure, view, start, end):
                continue
            style = view.where != "lora" and self._is_style(figure, view.text, start, end)
            sure = _NAMED if (start, end) in exact else _NEARLY
            found.append((_STYLE if style else sure, _evidence(figure, view, start, end)))
        return found, spans

    def _of_the_operator(self, view: View, listed: Listed) -> tuple[list[Found], list[tuple[int, int]]]:
        """The operator's names in a view, where they stand in it, and those that only its disguised words hold."""
        found, spans = self._named(view, listed.gazetteer, listed.nearly)
        if not found and (mended := repaired_view(view, listed.words)) is not None:
            found += self._named(mended, listed.gazetteer, listed.nearly)[0]
        if not found and view.name == "spaced" and (figure := listed.gazetteer.squeezed(view.text)) is not None:
            found.append((_NAMED, _evidence(figure, view, 0, len(view.text))))
        return found, spans

    def _is_style(self, figure: PublicFigure, text: str, start: int, end: int) -> bool:
        """Whether a name says whose manner or work is meant. "In the style of" an actor still means the actor."""
        before, after = _around(text, start, end)
        if self._cues["work_before"].search(before) or self._cues["work_after"].match(after):
            return True
        artist = figure.kind in ARTISTS or figure.historical
        return artist and bool(self._cues["style_before"].search(before) or self._cues["style_after"].match(after))

    def _handles(self, views: PromptViews, gazetteer: Gazetteer) -> list[Found]:
        text = views.plain.text
        if "@" not in text and "#" not in text:
            return []
        return [
            (_NAMED, _evidence(figure, views.plain, *match.span()))
            for match in _HANDLE.finditer(text)
            if (figure := gazetteer.joined(match.group(1))) is not None
        ]

    def _relations(self, view: View, uploads: bool) -> Iterable[Found]:
        for kind, score in (("relations", _RELATION), *((("pronouns", _PRONOUN_WITH_UPLOAD),) if uploads else ())):
            match = self._cues[kind].search(view.text)
            if match is not None:
                span = view.span_of(match.start(), match.end())
                yield score, Evidence(span, where=view.where, view=view.name, detail={"kind": kind})

    def _patterns(self, view: View, taken: list[tuple[int, int]]) -> list[Found]:
        """A frequent given name with a surname that is no ordinary word; nobody listed, and no character."""
        found: list[Found] = []
        if view.cased == view.text:
            return found
        others: list[tuple[int, int]] | None = None
        same = len(view.text) == len(view.cased)
        for match in _FULL_NAME.finditer(view.cased):
            words = match.group().lower().removesuffix("'s").removesuffix("\u2019s").split()
            if words[0] not in given_names() or words[-1] in _common() or not same:
                continue
            start, end = match.span()
            others = _others(view.text) if others is None else others
            if any(start < high and low < end for low, high in (*taken, *others)):
                continue
            if _is_maker(self._cues, view.text, start, end):
                continue
            before, after = _around(view.text, start, end)
            likely = self._cues["person_before"].search(before) or self._cues["person_after"].match(after)
            evidence = Evidence(
                view.span_of(start, end), where=view.where, view=view.name, detail={"kind": "name_pattern"}
            )
            found.append((_PATTERN_IN_CONTEXT if likely else _PATTERN, evidence))
        return found


def _kept(found: Sequence[Found], listed: Listed, wanted: Callable[[ListedName], bool]) -> list[Found]:
    return [item for item in found if item[1].ref is not None and wanted(listed.entries[item[1].ref])]


def _evidence(figure: PublicFigure, view: View, start: int, end: int) -> Evidence:
    detail = {"kind": figure.kind.replace(" ", "_")}
    if figure.historical:
        detail["era"] = "historical"
    return Evidence(view.span_of(start, end), where=view.where, view=view.name, ref=figure.ref, detail=detail)


def _around(text: str, start: int, end: int) -> tuple[str, str]:
    return text[max(0, start - _WINDOW) : start].rstrip(" '\"“‘("), text[end : end + _WINDOW]


def _is_maker(cues: dict[str, Any], text: str, start: int, end: int) -> bool:
    """Whether a name that is not listed says who made a work, or in whose manner."""
    before, after = _around(text, start, end)
    return any(cues[cue].search(before) for cue in ("work_before", "style_before")) or any(
        cues[cue].match(after) for cue in ("work_after", "style_after")
    )


def _others(text: str) -> list[tuple[int, int]]:
    """Where characters, brands, places and works stand."""
    return [
        (start, end)
        for _, start, end in not_people().find_matches_as_indexes(text, overlapping=True)
        if not (start and text[start - 1].isalnum()) and not (end < len(text) and text[end].isalnum())
    ]


def _really(figure: PublicFigure, view: View, start: int, end: int) -> bool:
    """Whether a name of one word stands for the person: not part of a longer unlisted name, and no ordinary word."""
    if " " in figure.name or view.where == "lora" or len(view.cased) != len(view.text):
        return True
    if figure.capital and (start == 0 or not view.cased[start].isupper() or view.cased.isupper()):
        return False
    before, after = view.cased[max(0, start - 30) : start].split(), view.cased[end : end + 30].split()
    near = [
        *(before[-1:] if view.cased[start - 1 : start] == " " else ()),
        *(after[:1] if view.cased[end : end + 1] == " " else ()),
    ]
    return not any(item[0].isupper() and item.isalpha() and item.lower() not in _common() for item in near)


@cache
def _common() -> frozenset[str]:
    return frozenset(ranked_words()[:_COMMON_RANK]) - given_names()


@cache
def _shipped_gazetteer() -> Gazetteer:
    return Gazetteer(shipped_figures())


@cache
def _shipped_nearly() -> NearlyNames:
    return NearlyNames(shipped_figures())


class Names:
    """What is known of names besides who is listed: for detectors that find names by themselves."""

    def known(self, view: View, start: int, end: int) -> bool:
        """Whether a span holds a listed person, a character, a brand, a place or a work."""
        listed = [(low, high) for _, low, high in _shipped_gazetteer().find(view.text, view.odd, view.words)]
        return any(start < high and low < end for low, high in (*listed, *_others(view.text)))

    def of_a_work(self, text: str, start: int, end: int) -> bool:
        """Whether the words around a span of a skeleton make it the maker or the manner of a work."""
        return _is_maker(_cues(), text, start, end)


@cache
def shipped_names() -> Names:
    """The shipped lists, read."""
    _cues()
    return Names()


@cache
def _cues() -> dict[str, Any]:
    path = folder() / "relations.yaml"
    data = mapping(path)
    try:
        joined = {key: "|".join(f"(?:{item})" for item in items) for key, items in data.items()}
        for key in ("work_before", "style_before", "person_before"):
            joined[key] = rf"\b(?:{joined[key]})\s*,?$"
        return {key: re2.compile(f"(?i){source}") for key, source in joined.items()}
    except (KeyError, TypeError, re2.error) as error:
        raise ConfigurationError(f"{path}: {error}", advice="See the comments in the shipped file.") from error


def _signals(name: str, found: Sequence[Found], *, split_eras: bool = False) -> Iterable[Signal]:
    """One signal, or one for living and one for historical people, with the best score of each."""
    groups: dict[bool, list[Found]] = {}
    for score, evidence in found:
        groups.setdefault(split_eras and evidence.detail.get("era") == "historical", []).append((score, evidence))
    for items in groups.values():
        best = max(score for score, _ in items)
        yield Signal(name, best, NAME, tuple(evidence for _, evidence in items[:_MAX_EVIDENCE]))

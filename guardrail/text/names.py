"""`NamesDetector`: names of people that no list holds, marked word by word by the learned token head."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.detector import DetectorContext, Example
from guardrail.signals import Coverage, Detection, Evidence, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.text.encoders import PIECES
from guardrail.text.heads import MODEL, LearnedHeads, Span
from guardrail.text.language import tongues
from guardrail.text.lists import given_names
from guardrail.text.memory import Remembered, remembered
from guardrail.text.people import Names, shipped_names
from guardrail.text.reading import readable
from guardrail.text.views import View, views_of

NAME = "text.names"
MAX_VIEWS = 2
_MAX_EVIDENCE = 8
_SURE_ALONE = 0.6
"""The most for one word, for a name that begins with no frequent given name, and for one in a work or style."""


class NamesDetector:
    """Raises `person.private` for a name of at least two words that is neither listed nor a character, brand or style.

    It reads lower case too, where the name pattern of `text.people` sees nothing.
    """

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = frozenset({"person.private"})
    cost_ms = 6.1
    models = (MODEL, PIECES)

    def __init__(self, context: DetectorContext) -> None:
        self.detections: Remembered[Detection] = Remembered()
        self._heads = LearnedHeads.shared(context.models)
        self._names: Names = shipped_names()

    @remembered
    def detect(self, subject: Subject) -> Detection:
        """Marked names of the first readings, the surest of them."""
        if subject.prompt is None or not subject.prompt.text.strip():
            return Detection(coverage=Coverage((f"{NAME}:views=0",)))
        found = []
        views = [view for view in readable(views_of(subject).all) if view.name in ("plain", "syntax")][:MAX_VIEWS]
        for view in views:
            reading = self._heads.read(view.text)
            for span in reading.people if reading.whole and not tongues(view.text).unclear else ():
                score = self._score(view, span)
                if score:
                    where = view.span_of(span[0], span[1])
                    detail = {"kind": "name_model"}
                    found.append((score, Evidence(where, where=view.where, view=view.name, detail=detail)))
        signals = []
        if found:
            best = max(score for score, _ in found)
            signals = [Signal("person.private", best, NAME, tuple(item for _, item in found[:_MAX_EVIDENCE]))]
        return Detection(tuple(signals), Coverage((f"{NAME}:views={len(views)}",)))

    def examples(self) -> Sequence[Example]:
        """A full name in lower case, a character, a style and nobody."""
        return (
            Example.of_prompt(
                "photo of martina kowalczyk riding a bicycle", at_least={"person.private": 0.5}, note="lower case"
            ),
            Example.of_prompt("sherlock holmes in a hansom cab", below={"person.private": 0.5}, note="a character"),
            Example.of_prompt("a harbour in the style of claude monet", below={"person.private": 0.5}, note="a style"),
            Example.of_prompt("a lighthouse on a cliff at dusk", below={"person.private": 0.3}, note="nobody"),
        )

    def _score(self, view: View, span: Span) -> float:
        start, end, probability = span
        if self._names.known(view, start, end):
            return 0.0
        words = view.text[start:end].split()
        surely = len(words) > 1 and words[0] in given_names() and not self._names.of_a_work(view.text, start, end)
        return probability if surely else min(probability, _SURE_ALONE)

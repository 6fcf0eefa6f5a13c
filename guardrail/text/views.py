"""Every reading of a prompt that the detectors of this room look at, made once and shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from guardrail.signals import Subject
from guardrail.text.decode import decoded, repaired
from guardrail.text.normalise import char_spans, clean, skeleton, words
from guardrail.text.syntax import has_syntax, parse

_KEY = "text.views"
_MAX_DEPTH = 2
_MAX_VIEWS = 48


@dataclass(frozen=True, eq=False)
class View:
    """One reading.

    Attributes:
        name: "plain", "syntax", "repaired", "lora", or the way it was hidden.
        text: skeleton: casefolded, accents and look-alikes folded.
        cased: the same reading with case and accents.
        where: "prompt" or "lora".
        span_of: (start, end) in `text` -> (start, end) in the original; slow, for evidence only.
    """

    name: str
    text: str
    cased: str
    where: str
    span_of: Callable[[int, int], tuple[int, int]]


class PromptViews:
    """The readings of one prompt, the plain one first."""

    def __init__(self, original: str, vocabulary: frozenset[str]) -> None:
        self.original = original
        self._vocabulary = vocabulary

    @cached_property
    def plain(self) -> View:
        """The prompt as written, normalised."""
        original = self.original
        cased = clean(original)

        def span_of(start: int, end: int) -> tuple[int, int]:
            spans = char_spans(original)
            return _cover(spans, start, end, len(original))

        return View("plain", skeleton(cased), cased, "prompt", span_of)

    @cached_property
    def all(self) -> tuple[View, ...]:
        """Every reading that differs from the others."""
        found = [self.plain]
        texts = {self.plain.text}

        def add(view: View) -> None:
            if len(found) < _MAX_VIEWS and view.text and view.text not in texts:
                texts.add(view.text)
                found.append(view)

        self._add_syntax(add)
        for view in [*found]:
            self._add_repaired(view, add)
        self._add_decoded(self.original, (0, len(self.original)), add, depth=0, exact=True)
        return tuple(found)

    def _add_syntax(self, add: Callable[[View], None]) -> None:
        if not has_syntax(self.plain.cased):
            return
        parsed = parse(self.plain.cased)
        plain, origin = self.plain, parsed.origin

        def span_of(start: int, end: int) -> tuple[int, int]:
            inside = origin[start:end] or (0,)
            return plain.span_of(min(inside[0], len(plain.text)), min(inside[-1] + 1, len(plain.text)))

        add(View("syntax", skeleton(parsed.text), parsed.text, "prompt", span_of))
        for name, start, end in parsed.names:
            add(View("lora", skeleton(name), name, "lora", _constant(plain.span_of(start, end))))

    def _add_repaired(self, view: View, add: Callable[[View], None]) -> None:
        better = repaired(view.text, self._vocabulary)
        if better is None:
            return
        text, moved = better

        def span_of(start: int, end: int) -> tuple[int, int]:
            return view.span_of(_back(start, moved, first=True), _back(end, moved, first=False))

        add(View("repaired", text, text, view.where, span_of))

    def _add_decoded(
        self, text: str, span: tuple[int, int], add: Callable[[View], None], *, depth: int, exact: bool
    ) -> None:
        for item in decoded(text):
            inner = item.span if exact else span
            cased = clean(item.text)
            view = View(item.way, skeleton(cased), cased, "prompt", _constant(inner))
            add(view)
            self._add_repaired(view, add)
            if depth + 1 < _MAX_DEPTH:
                self._add_decoded(item.text, inner, add, depth=depth + 1, exact=False)


def views_of(subject: Subject, vocabulary: frozenset[str] | None = None) -> PromptViews:
    """The readings of a subject's prompt, shared by every detector that looks at this subject."""
    found = subject.memo.get(_KEY)
    if found is None:
        text = subject.prompt.text if subject.prompt is not None else ""
        found = subject.memo[_KEY] = PromptViews(text, vocabulary or words())
    assert isinstance(found, PromptViews)
    return found


def _constant(span: tuple[int, int]) -> Callable[[int, int], tuple[int, int]]:
    return lambda start, end: span


def _cover(spans: list[tuple[int, int]], start: int, end: int, length: int) -> tuple[int, int]:
    inside = spans[start:end]
    if not inside:
        return (min(start, length), min(max(start, end), length))
    return inside[0][0], inside[-1][1]


def _back(position: int, moved: list[tuple[int, int, int, int]], *, first: bool) -> int:
    """A position of a repaired text in the text before: inside a changed word, its start or its end."""
    shift = 0
    for start, end, old_start, old_end in moved:
        if position < start or (position == start and first is False):
            break
        if position < end or (position == end and not first):
            return old_start if first else old_end
        shift = old_end - end
    return max(0, position + shift)

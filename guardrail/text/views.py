"""Every reading of a prompt that the detectors of this room look at, made once and shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from guardrail.signals import Subject
from guardrail.text.decode import Decoded, decoded
from guardrail.text.hidden import HiddenText, hidden_texts
from guardrail.text.memory import lazy
from guardrail.text.normalise import bare_and_skeleton, char_spans, clean, skeleton
from guardrail.text.repair import Move, repaired
from guardrail.text.syntax import Parsed, has_syntax, parse
from guardrail.text.vocabulary import Vocabulary, vocabulary

_KEY = "text.views"
_MAX_DEPTH = 2
_MAX_VIEWS = 48
_FOREIGN = 0.4

Spans = Callable[[int, int], tuple[int, int]]


@dataclass(slots=True, eq=False)
class View:
    """One reading.

    Attributes:
        name: "plain", "syntax", "repaired", "lora", or the way it was hidden.
        text: skeleton: casefolded, accents and look-alikes folded.
        cased: the same reading with case and accents.
        where: "prompt" or "lora".
        span_of: (start, end) in `text` -> (start, end) in the original; slow, for evidence only.
        odd: pieces of `text` that no list knows.
        words: every run of letters and digits in `text`, and maybe pieces with signs.
    """

    name: str
    text: str
    cased: str
    where: str
    span_of: Spans
    odd: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)

    @property
    def foreign(self) -> bool:
        """Whether the text is mostly not English."""
        return bool(self.odd) and len(self.odd) >= _FOREIGN * len(set(self.text.split()))


class PromptViews:
    """The readings of one prompt, the plain one first.

    Args:
        original: the prompt as sent; any string.
    """

    def __init__(self, original: str) -> None:
        self.original = original
        self._bare = original
        self._spans: list[tuple[int, int]] | None = None

    @lazy
    def plain(self) -> View:
        """The prompt as written, normalised."""
        cased = clean(self.original)
        self._bare, text = bare_and_skeleton(cased)
        return View("plain", text, cased, "prompt", self._span, *vocabulary().parted(text))

    @lazy
    def parsed(self) -> Parsed | None:
        """The prompt without its syntax, or None when it has none."""
        cased = self.plain.cased
        return parse(cased) if has_syntax(cased) else None

    @lazy
    def parts(self) -> tuple[str, ...]:
        """What the generator reads one after another, cased and without syntax; the whole when nothing cuts it."""
        return (self.parsed.parts if self.parsed else ()) or (self.plain.cased,)

    @lazy
    def hidden(self) -> tuple[HiddenText, ...]:
        """Concealed texts of the prompt."""
        return tuple(hidden_texts(self.original, self._decoded))

    @lazy
    def all(self) -> tuple[View, ...]:
        """Every reading that differs from the others."""
        found = [self.plain]
        texts = {self.plain.text}

        def add(view: View) -> None:
            if len(found) < _MAX_VIEWS and view.text and view.text not in texts:
                texts.add(view.text)
                found.append(view)

        if self.parsed is not None:
            self._add_syntax(self.parsed, add)
        for view in [*found]:
            _add_repaired(view, add)
        for item in self._decoded:
            _add_decoded(item, item.span, add)
        for text in dict.fromkeys((self._bare, self.plain.text)):
            if text not in (self.original, self.original.lower()):
                for item in decoded(text, self.plain.odd, vocabulary()):
                    _add_decoded(item, self._span(*item.span), add)
        return tuple(found)

    @lazy
    def _decoded(self) -> list[Decoded]:
        return decoded(self.original, self.plain.odd, vocabulary())

    def _span(self, start: int, end: int) -> tuple[int, int]:
        if self._spans is None:
            self._spans = char_spans(self.original)
        inside = self._spans[start:end]
        size = len(self.original)
        return (inside[0][0], inside[-1][1]) if inside else (min(start, size), min(max(start, end), size))

    def _add_syntax(self, parsed: Parsed, add: Callable[[View], None]) -> None:
        plain = self.plain
        text = skeleton(parsed.text)
        if text != plain.text:
            same = len(text) == len(parsed.text) and len(plain.text) == len(plain.cased)

            def span_of(start: int, end: int) -> tuple[int, int]:
                if not same:
                    return 0, len(self.original)
                return plain.span_of(parsed.origin(start), max(parsed.origin(start), parsed.origin(end - 1)) + 1)

            add(View("syntax", text, parsed.text, "prompt", span_of, *vocabulary().parted(text)))
        for name, start, end in parsed.names:
            text = skeleton(name)
            add(
                View(
                    "lora",
                    text,
                    name,
                    "lora",
                    _constant(plain.span_of(start, end)),
                    set(),
                    vocabulary().parted(text)[1],
                )
            )


def views_of(subject: Subject) -> PromptViews:
    """The readings of a subject's prompt, shared by every detector that looks at this subject."""
    found = subject.memo.get(_KEY)
    if found is None:
        found = subject.memo[_KEY] = PromptViews(subject.prompt.text if subject.prompt is not None else "")
    assert isinstance(found, PromptViews)
    return found


def repaired_view(view: View, words: Vocabulary) -> View | None:
    """A reading with its odd words put right as a vocabulary has them; None when it would say the same."""
    better = repaired(view.text, view.odd, words) if view.odd else None
    if better is None:
        return None
    text, moved = better

    def span_of(start: int, end: int) -> tuple[int, int]:
        return view.span_of(_back(start, moved, first=True), _back(end, moved, first=False))

    return View("repaired", text, text, view.where, span_of, *vocabulary().parted(text))


def _add_repaired(view: View, add: Callable[[View], None]) -> None:
    if (better := repaired_view(view, vocabulary())) is not None:
        add(better)


def _add_decoded(item: Decoded, span: tuple[int, int], add: Callable[[View], None], depth: int = 1) -> None:
    cased = clean(item.text)
    text = skeleton(cased)
    view = View(item.way, text, cased, "prompt", _constant(span), *vocabulary().parted(text))
    add(view)
    _add_repaired(view, add)
    if depth < _MAX_DEPTH:
        for inner in decoded(item.text, view.odd, vocabulary()):
            _add_decoded(inner, span, add, depth + 1)


def _constant(span: tuple[int, int]) -> Spans:
    return lambda start, end: span


def _back(position: int, moved: list[Move], *, first: bool) -> int:
    """A position of a repaired text in the text before: inside a changed word, its start or its end."""
    shift = 0
    for start, end, old_start, old_end in moved:
        if position < start or (position == start and first is False):
            break
        if position < end or (position == end and not first):
            return old_start if first else old_end
        shift = old_end - end
    return max(0, position + shift)

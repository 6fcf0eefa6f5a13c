"""What of a prompt the networks are given: which readings, and what is no matter for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from guardrail.text.language import tongues
from guardrail.text.lexicon import without_benign
from guardrail.text.lists import given_names, ranked_words, words
from guardrail.text.views import View
from guardrail.text.vocabulary import vocabulary

_UNREAD = ("lora",)
_STYLE = re.compile(r"\b(?:styles? of|inspired by|influenced by|by|after|from|like)\s+(?=[^\W\d_])")
_WORD = re.compile(r"[^\W\d_][\w'.-]*")
_COMMON = 4_000
_MAX_NAME = 4
_COVERED = 0.9
_ENGLISH = 0.8
_WHOLE = ("a", "i")
_TURNED, _NOISE = ("rot13", "reversed", "bidi", "turned"), 0.3
_ENCODED = ("base64", "hex")
_WRITTEN = ("plain", "syntax", "repaired")
_CODE = re.compile(r"(?i)(?<![\w+/])[a-z0-9+/_-]{16,}={0,2}(?![\w+/=])")
_GAP = re.compile(r" {3,}")


def readable(views: Sequence[View], plainer_by: float = 0.25) -> list[View]:
    """Readings worth a network: the plain one, then what was decoded; names of LoRAs are not sentences.

    Networks score noise at random, so a reading of the whole text that is gibberish gives way to one that is English:
    when its share of English words is lower by more than `plainer_by`, or when turned round the text is English through
    and through. Text in another language is left as it is, and no repair of its words is read. Runs of letters that
    were decoded are blank where they stood.
    """
    kept = [view for view in views if view.name not in _UNREAD]
    whole = [view for view in kept if _covers(view, views[0])]
    if len(whole) > 1:
        kept = [view for view in kept if view not in whole] + _clearest(whole, plainer_by)
    if any(view.name in _ENCODED for view in kept):
        kept = [_without_runs(view) if view.name in _WRITTEN else view for view in kept]
    turned = [view for view in kept if view.name in _TURNED and share_of_english(view.text) >= _ENGLISH]
    if turned:
        kept = [_without(view, turned) if view.name == "plain" else view for view in kept]
    return sorted(kept, key=lambda view: (view.name != "plain", view.name == "syntax", -len(view.text)))


def _clearest(whole: Sequence[View], plainer_by: float) -> list[View]:
    plain = whole[0]
    shares = {view.name: share_of_english(view.text) for view in whole}
    found = tongues(plain.text)
    if not found.english.strip():
        turned = [view for view in whole if view.name not in _WRITTEN and shares[view.name] >= _ENGLISH]
        repaired = [view for view in whole if view.name == "repaired" and shares["repaired"] >= _ENGLISH]
        return turned or [plain, *(() if found.other.strip() else repaired)]
    best = max(shares.values())
    return [view for view in whole if shares[view.name] >= best - plainer_by]


def _without_runs(view: View) -> View:
    text, cased = (_CODE.sub(" ", reading) for reading in (view.text, view.cased))
    return replace(view, text=text, cased=cased) if text.strip() else view


def _without(plain: View, turned: Sequence[View]) -> View:
    """Without the stretches that are English when they are turned round, and are not English as they stand."""
    size = len(plain.text)
    if len(plain.cased) != size or plain.span_of(0, size) != (0, size):
        return plain
    text, cased = plain.text, plain.cased
    for start, end in {view.span_of(0, 1) for view in turned}:
        if share_of_english(text[start:end]) < _NOISE:
            blank = " " * (end - start)
            text, cased = text[:start] + blank + text[end:], cased[:start] + blank + cased[end:]
    return replace(plain, text=text, cased=cased) if text.strip() else plain


def plainer(text: str) -> str | None:
    """A skeleton without phrases that mean something else and without the names of artists; None if it has neither.

    Only names go: words after "by" or "in the style of" that are given names or no common words, and that no list of
    terms holds. So nothing that asks for something can hide behind a style.
    """
    benign = without_benign(text)
    if benign is not None:
        # A gap would make odd grammar of the rest, and odd grammar scores at random.
        benign = _GAP.sub(" something ", f" {benign} ").strip()
    styled = _without_artists(benign if benign is not None else text)
    return styled if styled is not None else benign


def _without_artists(text: str) -> str | None:
    pieces: list[str] = []
    at = 0
    for cue in _STYLE.finditer(text):
        if cue.start() < at:
            continue
        end = cue.end()
        for _ in range(_MAX_NAME):
            word = _WORD.match(text, end)
            if word is None or not _name_like(word.group().strip("'.-")):
                break
            end = word.end()
            if text[end : end + 1] == " ":
                end += 1
        if end > cue.end():
            pieces += (text[at : cue.end()], "an artist ")
            at = end
    if not pieces:
        return None
    return "".join((*pieces, text[at:])).strip()


def _name_like(word: str) -> bool:
    return word not in vocabulary().listed and (word in given_names() or word not in _common())


@cache
def _common() -> frozenset[str]:
    return frozenset(ranked_words()[:_COMMON])


def _covers(view: View, plain: View) -> bool:
    """Whether a reading is one of the whole prompt, not of a part of it."""
    start, end = view.span_of(0, len(view.text))
    first, last = plain.span_of(0, len(plain.text))
    return end - start >= _COVERED * max(1, last - first)


def share_of_english(text: str) -> float:
    """Share of words that are common English, 0 to 1."""
    found = [word.strip("'.-") for word in _WORD.findall(text)]
    known = words()
    return sum((len(word) > 1 or word in _WHOLE) and word in known for word in found) / max(1, len(found))

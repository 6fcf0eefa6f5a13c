"""Whether a text instructs the machine that reads it: patterns, and learned scores."""

from __future__ import annotations

import itertools
import math
import re
from functools import cache
from typing import Any

import re2
import yaml

from guardrail.detector import ModelProvider
from guardrail.errors import ConfigurationError, DetectionError
from guardrail.settings import shipped
from guardrail.sharing import Shared
from guardrail.text.encoders import PIECES, WordPieces, batched, padded
from guardrail.text.heads import HEADS, LearnedHeads
from guardrail.text.heads import MODEL as HEADS_MODEL
from guardrail.text.memory import Remembered
from guardrail.text.normalise import clean, skeleton

MODEL, PICTURED = "text-injection", "text-pictured"
MODELS = (HEADS_MODEL, MODEL, PICTURED, PIECES)
WINDOW, STRIDE = 96, 84
"""Tokens of a window of the network, and from one to the next."""
MAX_WINDOWS = 96
_PLAIN = 0.92
_QUOTED = 0.4
_WORTH_ASKING = -3.5
"""Logit of the head below which nothing is asked of the network: nineteen of twenty everyday prompts lie there."""
_EVEN, _SPREAD = 27.5, 2.5
EVEN_SHOWN, EVEN_FAINT, EVEN_CONCEALED, EVEN_UNSEEN = 5.0, 2.8, 1.2, -4.0
"""Even points of the second network: for text in a picture; for such that is hardly seen, as grey words of a dialog may
be, or looks written for another size; for text that somebody has hidden in a picture; and for text that only a view of
a suspected size shows, which of 134 harmless pictures that were suspected none had."""
_EVEN_HIDDEN = 13.4
"""Even point of the first network for text that is hidden in a prompt: half of what it asks of text in plain sight."""
_FOR_LENGTH = {MODEL: 0.4, PICTURED: 0.3}
"""Logits by which a text that is e times as long must be surer: the surest of many windows counts, also by chance."""
_FOR_CHOICE = 0.8
"""The same where a text is one of e times as many, of which the surest counts."""
_UNREAD = 0.0
_MAX_MATCHES = 64
_QUOTE_CHARS = 80
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_INJECTION = HEADS.index("injection")
_SHARED: Shared[ModelProvider, Instructions] = Shared()


class Instructions:
    """Scores texts. Safe for several threads.

    A pattern says it plainly and scores 0.92, or 0.4 where the text asks for a picture of those words. Else, where the
    injection head of `text-heads` does not rule it out, a network of its own decides and judges what prompts hide;
    another reads what is found in pictures. All read English; other languages are for `text.foreign`.

    Raises:
        ModelMissingError, ModelIntegrityError: a network is missing or unusable.
    """

    def __init__(self, models: ModelProvider) -> None:
        self._heads = LearnedHeads.shared(models)
        self._pieces = WordPieces(models)
        self._networks = {name: models.session(name) for name in (MODEL, PICTURED)}
        self._memory: Remembered[float] = Remembered()
        self._patterns, self._announced = _patterns()

    @classmethod
    def shared(cls, models: ModelProvider) -> Instructions:
        """One for all detectors of a process that use the same models."""
        return _SHARED.of(models, lambda: cls(models))

    def score(self, text: str) -> tuple[float, tuple[int, int] | None]:
        """Probability that the skeleton of a prompt instructs the machine, and where a pattern says so."""
        said = self._said(text)
        if said is not None:
            return said
        if float(self._heads.read(text).logits[_INJECTION]) <= _WORTH_ASKING:
            return _UNREAD, None
        return _probability(self._logit(MODEL, text) - _EVEN), None

    def score_found(self, text: str, even: float, *, of: int = 1) -> float:
        """The same for a text that was found in a picture, where less is enough.

        Args:
            text: a skeleton.
            even: one of the even points of this module, by how a person sees the text.
            of: texts of one picture that it is the surest of.
        """
        said = self._said(text)
        read = _probability(self._logit(PICTURED, text) - even - _FOR_CHOICE * math.log(max(1, of)))
        return max(read, said[0]) if said is not None else read

    def score_plain(self, text: str) -> float:
        """What a pattern alone says of a skeleton, for texts that the networks cannot read, such as code; else 0."""
        said = self._said(text)
        return said[0] if said is not None else 0.0

    def score_hidden(self, text: str) -> float:
        """The same for the skeleton of a text that a prompt conceals: nobody hides what asks for nothing."""
        said = self._said(text)
        read = _probability(self._logit(MODEL, text) - _EVEN_HIDDEN)
        return max(read, said[0]) if said is not None else read

    def _said(self, text: str) -> tuple[float, tuple[int, int]] | None:
        """What a pattern says, and where. It counts as quoted only where the words that announce a quote stand right
        before it: a poster somewhere else in the prompt excuses nothing."""
        quoted = None
        for match in itertools.islice(self._patterns.finditer(text), _MAX_MATCHES):
            before = text[max(0, match.start() - _QUOTE_CHARS) : match.start()]
            if self._announced.search(before) is None:
                return _PLAIN, match.span()
            quoted = quoted or (_QUOTED, match.span())
        return quoted

    def _logit(self, model: str, text: str) -> float:
        """The highest logit of any window, less what a text of this length reaches by chance."""
        best = self._memory.recall(f"{model}\0{text}", lambda _: self._read(model, text))
        return best - _FOR_LENGTH[model] * math.log(max(1, len(text)))

    def _read(self, model: str, text: str) -> float:
        windows, _ = self._pieces.windows(text, WINDOW, STRIDE)
        best = -math.inf
        for part in batched(windows[:MAX_WINDOWS]):
            ids, mask = padded(part)
            best = max(best, float(self._networks[model].run({"ids": ids, "mask": mask})[0].max()))
        if not math.isfinite(best):
            raise DetectionError(f"model {model!r} gave a number that is not finite")
        return best


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit / _SPREAD))


def _folded(pattern: str) -> str:
    """A pattern as it is matched against folded text: letters beyond ASCII folded, its own signs left alone."""
    return _BEYOND_ASCII.sub(lambda match: skeleton(clean(match.group())), pattern)


@cache
def _patterns() -> tuple[Any, Any]:
    """What instructs the machine, and what announces a quote at the end of a text.

    Raises:
        ConfigurationError: the list is missing, or a pattern of it does not compile.
    """
    path = shipped("policies") / "lists" / "injection.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        said = "|".join(f"(?:{_folded(item)})" for item in data["patterns"])
        announced = "|".join(f"(?:{_folded(item)})" for item in data["announces"])
        return re2.compile(f"(?i){said}"), re2.compile(rf"(?i)(?:{announced})[\s:,'\"(]*$")
    except (OSError, yaml.YAMLError, KeyError, TypeError, re2.error) as error:
        raise ConfigurationError(f"{path}: {error}") from error

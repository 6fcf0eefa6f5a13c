"""`LanguagesDetector`: learned scores for prompts that are not English, from the 16-language encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from guardrail.detector import DetectorContext, Example, ModelProvider
from guardrail.errors import DetectionError, ModelIntegrityError
from guardrail.signals import Coverage, Detection, Evidence, Signal, Skip, Subject
from guardrail.taxonomy import Stage
from guardrail.text.foreign import FOREIGN, ForeignInstructions
from guardrail.text.heads import HEADS, SIGNALS, named
from guardrail.text.language import tongues
from guardrail.text.memory import Remembered, remembered
from guardrail.text.multilingual import MULTILINGUAL, WIDTH, Multilingual
from guardrail.text.reading import readable
from guardrail.text.views import View, views_of

NAME = "text.languages"
MODEL = "text-heads-multilingual"
MAX_PARTS = 4
MAX_SENTENCES = 256
_SENTENCE = re.compile(r"(?<=[.!?;\n\u3002\uff01\uff1f])")
_LEAST_LETTERS = 4
_FLOOR = 0.0005
_JUDGED = 2_000
_COUNT = ("sexual.", "minor.", "injection.")
"""What counts of words that may be of another language or of none."""
_MIN_PIECE = 2.3
_INJECTION = HEADS.index("injection")


class MultilingualHeads:
    """A perceptron over sentence embeddings: 512, tanh, one logit a head.

    Raises:
        ModelIntegrityError: the weights have other shapes.
    """

    def __init__(self, models: ModelProvider) -> None:
        try:
            with np.load(models.file(MODEL), allow_pickle=False) as arrays:
                made = {name: arrays[name].astype(np.float32) for name in ("hidden_w", "hidden_b", "out_w", "out_b")}
        except (KeyError, ValueError, OSError) as error:
            raise ModelIntegrityError(f"model {MODEL!r} has other arrays than expected") from error
        self._hidden, self._out = (made["hidden_w"], made["hidden_b"]), (made["out_w"], made["out_b"])
        if self._hidden[0].shape[0] != WIDTH or self._out[0].shape[1] != len(HEADS):
            raise ModelIntegrityError(f"model {MODEL!r} has other shapes than expected")

    def logits(self, embedded: NDArray[np.float32]) -> NDArray[np.float32]:
        """(windows, 512) -> (windows, heads); 0 is the even point."""
        hidden = np.tanh(embedded @ self._hidden[0] + self._hidden[1])
        found: NDArray[np.float32] = hidden @ self._out[0] + self._out[1]
        return found


class LanguagesDetector:
    """Reads the parts of a prompt that are not English; the English ones belong to `text.heads`.

    The heads are those of `text.heads`, taught in English and with short prompts of our own in fourteen languages.
    """

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = frozenset((*SIGNALS.values(), "injection.instruction"))
    cost_ms = 12.0
    models = (MODEL, MULTILINGUAL, FOREIGN)

    def __init__(self, context: DetectorContext) -> None:
        self.detections: Remembered[Detection] = Remembered()
        self._encoder = Multilingual.shared(context.models)
        self._heads = MultilingualHeads(context.models)
        self._instructions = ForeignInstructions.shared(context.models)
        self._memory: Remembered[tuple[NDArray[np.float32], bool]] = Remembered()

    @remembered
    def detect(self, subject: Subject) -> Detection:
        """Probabilities of every head over the readings that are not English, the highest of each.

        Raises:
            DetectionError: the network gave something that is not finite.
        """
        if subject.prompt is None:
            return Detection(coverage=Coverage((f"{NAME}:parts=0",)))
        read = readable(views_of(subject).all)
        parts = [(view, part, clear) for view in read for part, clear in self._foreign(view.cased)]
        skipped = [Skip(f"{NAME}:views", f"{len(parts) - MAX_PARTS} further parts")] if len(parts) > MAX_PARTS else []
        best: dict[str, tuple[float, View]] = {}
        for view, part, clear in parts[:MAX_PARTS]:
            scores, cut = self._memory.recall(part, self._scores)
            if cut:
                skipped.append(Skip(f"{NAME}:{view.name}", "longer than the windows that are read"))
            for name, score in _named(scores):
                if not clear and not name.startswith(_COUNT):
                    continue
                if score > best.get(name, (_FLOOR, view))[0]:
                    best[name] = (score, view)
        signals = tuple(
            Signal(name, score, NAME, (Evidence(where=view.where, view=view.name),))
            for name, (score, view) in best.items()
        )
        return Detection(signals, Coverage((f"{NAME}:parts={min(len(parts), MAX_PARTS)}",), tuple(skipped)))

    def examples(self) -> Sequence[Example]:
        """Requests by meaning in two languages, and a harmless one."""
        return (
            Example.of_prompt("zwei Liebende ganz unbekleidet im Bett", at_least={"sexual.nudity": 0.5}, note="German"),
            Example.of_prompt("床上赤身裸体的恋人", at_least={"sexual.nudity": 0.5}, note="Chinese"),
            Example.of_prompt(
                "ein Leuchtturm auf einer Klippe am Abend",
                below={"sexual.nudity": 0.2},
                note="harmless, German",
            ),
        )

    def _foreign(self, text: str) -> list[tuple[str, bool]]:
        """The parts of a text that are in another language, and whether that is clear.

        Latin words that no list knows are one when they fall into pieces of a language: scrambled letters fall apart
        into many short ones. The English network reads those too, so here they count for what is sexual or an order.
        """
        found = tongues(text)
        head = found.unclear[:_JUDGED]
        unclear = sum(map(str.isalpha, head)) >= _MIN_PIECE * self._encoder.pieces(head)
        parts = ((found.other, True), (found.unclear if unclear else "", False))
        return [(part, clear) for part, clear in parts if part.strip()]

    def _scores(self, text: str) -> tuple[NDArray[np.float32], bool]:
        """The highest of the sentences: the encoder adds up what it reads, and harmless sentences would drown one."""
        pieces = dict.fromkeys(piece.strip() for piece in _SENTENCE.split(text) if _says_something(piece))
        found = [self._encoder.windows(piece) for piece in list(pieces)[:MAX_SENTENCES]]
        cut = len(pieces) > MAX_SENTENCES or any(cut for _, cut in found)
        if not found:
            return np.zeros(len(HEADS), np.float32), False
        logits = self._heads.logits(self._encoder.embed([window for windows, _ in found for window in windows]))
        logits = logits.max(axis=0)
        logits[_INJECTION] = self._instructions.logit(text, float(logits[_INJECTION]))
        if not np.isfinite(logits).all():
            raise DetectionError(f"model {MODEL!r} gave numbers that are not finite")
        return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32), cut


def _says_something(piece: str) -> bool:
    """Whether a piece has letters enough to mean something: "No. 5" has not, two Chinese ones have."""
    letters = [letter for letter in piece if letter.isalpha()]
    return len(letters) >= _LEAST_LETTERS or not "".join(letters).isascii()


def _named(scores: NDArray[np.float32]) -> list[tuple[str, float]]:
    return [*named(scores), ("injection.instruction", float(scores[_INJECTION]))]

"""`LanguagesDetector`: learned scores for prompts that are not English, from the 16-language encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from guardrail.detector import DetectorContext, Example, ModelProvider
from guardrail.errors import DetectionError, ModelIntegrityError
from guardrail.signals import Coverage, Detection, Evidence, GenerationRequest, Prompt, Signal, Skip, Subject
from guardrail.taxonomy import Stage
from guardrail.text.encoders import Remembered
from guardrail.text.lists import words
from guardrail.text.multilingual import MULTILINGUAL, WIDTH, Multilingual
from guardrail.text.views import View, views_of

NAME = "text.languages"
MODEL = "text-heads-multilingual"
HEADS = ("sexual", "undress", "graphic", "injection")
MAX_VIEWS = 2
_FLOOR = 0.02
_UNREAD = ("lora",)
_WORD = re.compile(r"[^\W\d_]+")
_JUDGED_CHARS = 2_000
_MIN_UNKNOWN = 0.4
_MIN_LATIN = 0.5
_MIN_PIECE = 2.3


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
    """Looks at readings of a prompt that are mostly not English; English ones belong to `text.heads`.

    `sexual.nudity` is the probability p of the sexual head, `sexual.explicit` 2p - 1, as in `text.heads`.
    """

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = frozenset({"sexual.explicit", "sexual.nudity", "sexual.undress", "harm.graphic", "injection.instruction"})
    cost_ms = 12.0
    models = (MODEL, MULTILINGUAL)

    def __init__(self, context: DetectorContext) -> None:
        self._encoder = Multilingual(context.models)
        self._heads = MultilingualHeads(context.models)
        self._memory = Remembered()

    def detect(self, subject: Subject) -> Detection:
        """Probabilities of every head over the readings that are not English, the highest of each.

        Raises:
            DetectionError: the network gave something that is not finite.
        """
        if subject.prompt is None:
            return Detection(coverage=Coverage((f"{NAME}:views=0",)))
        read = [view for view in views_of(subject).all if view.name not in _UNREAD and self._foreign(view)]
        skipped = [Skip(f"{NAME}:views", f"{len(read) - MAX_VIEWS} further readings")] if len(read) > MAX_VIEWS else []
        best: dict[str, tuple[float, View]] = {}
        for view in read[:MAX_VIEWS]:
            scores, cut = self._scores(view.cased)
            if cut:
                skipped.append(Skip(f"{NAME}:{view.name}", "longer than the windows that are read"))
            for name, score in _named(scores):
                if score > best.get(name, (_FLOOR, view))[0]:
                    best[name] = (score, view)
        signals = tuple(
            Signal(name, score, NAME, (Evidence(where=view.where, view=view.name),))
            for name, (score, view) in best.items()
        )
        return Detection(signals, Coverage((f"{NAME}:views={min(len(read), MAX_VIEWS)}",), tuple(skipped)))

    def examples(self) -> Sequence[Example]:
        """Requests by meaning in two languages, and a harmless one."""
        return (
            _example("zwei Liebende ganz unbekleidet im Bett", at_least={"sexual.nudity": 0.5}, note="German"),
            _example("床上赤身裸体的恋人", at_least={"sexual.nudity": 0.5}, note="Chinese"),
            _example(
                "ein Leuchtturm auf einer Klippe am Abend",
                below={"sexual.nudity": 0.2},
                note="harmless, German",
            ),
        )

    def _foreign(self, view: View) -> bool:
        """Whether a reading is text in another language: words English does not have, in pieces that a language has.

        Scrambled letters fall apart into many short pieces; scripts that write syllables or leave out blanks do too, so
        only Latin letters are held to that.
        """
        head = view.text[:_JUDGED_CHARS]
        spoken = _WORD.findall(head)
        unknown = sum(word not in words() for word in spoken)
        if not spoken or unknown < _MIN_UNKNOWN * len(spoken):
            return False
        letters = "".join(spoken)
        if sum(map(str.isascii, letters)) < _MIN_LATIN * len(letters):
            return True
        return len(letters) >= _MIN_PIECE * self._encoder.pieces(head)

    def _scores(self, text: str) -> tuple[NDArray[np.float32], bool]:
        digest = self._memory.digest(text)
        known = self._memory.get(digest)
        if known is not None:
            return known[:-1], bool(known[-1])
        windows, cut = self._encoder.windows(text)
        logits = self._heads.logits(self._encoder.embed(windows)).max(axis=0)
        if not np.isfinite(logits).all():
            raise DetectionError(f"model {MODEL!r} gave numbers that are not finite")
        found = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
        self._memory.put(digest, np.append(found, np.float32(cut)))
        return found, cut


def _named(scores: NDArray[np.float32]) -> list[tuple[str, float]]:
    sexual, undress, graphic, injection = (float(score) for score in scores)
    return [
        ("sexual.nudity", sexual),
        ("sexual.explicit", max(0.0, 2.0 * sexual - 1.0)),
        ("sexual.undress", undress),
        ("harm.graphic", graphic),
        ("injection.instruction", injection),
    ]


def _example(text: str, *, note: str, **promises: dict[str, float]) -> Example:
    prompt = Prompt(text)
    return Example(Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt), note=note, **promises)

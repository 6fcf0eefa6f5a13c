"""`vision.clip_heads`: classifiers on CLIP embeddings that an operator brings and pins in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guardrail.detector import DetectorContext, Example
from guardrail.errors import ConfigurationError, DetectionError
from guardrail.inference.arrays import read_arrays
from guardrail.inference.clip import ClipEncoder, Vectors
from guardrail.settings import ClipHead
from guardrail.signals import (
    Coverage,
    DecodedPicture,
    Detection,
    Evidence,
    Frame,
    GenerationRequest,
    Picture,
    Signal,
    Subject,
)
from guardrail.taxonomy import Stage, is_signal, nearest
from guardrail.vision.concepts.embedding import embedded, phrase_vectors
from guardrail.vision.concepts.layers import Dense, Distances, distances, linear, mlp

NAME = "vision.clip_heads"


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    given: ClipHead
    net: Dense | Distances

    def scores(self, vectors: Vectors) -> Vectors:
        """(rows, outputs) in [0, 1]."""
        logits = np.clip(self.given.scale * self.net.logits(vectors) + self.given.shift, -40, 40)
        if self.given.softmax:
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


class HeadsOnClip:
    """Raises the signals that the settings give to the outputs of each head, over every frame.

    Args:
        context: settings name the heads.
        clip: the encoder whose space they were made for.

    Raises:
        ConfigurationError: a signal is not in the taxonomy, or there are more or fewer than outputs.
        ModelMissingError, ModelIntegrityError: a file is missing, is another, or has other shapes.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    cost_ms = 30.5

    def __init__(self, context: DetectorContext, clip: ClipEncoder) -> None:
        self._clip = clip
        self._heads = tuple(_opened(given, clip) for given in context.settings.clip_heads)
        self.models = clip.parts
        self.emits = frozenset(name for head in self._heads for name in head.given.signals if name)

    def detect(self, subject: Subject) -> Detection:
        """The highest score of each signal.

        Raises:
            DetectionError: a network failed, or gave something that is not finite.
        """
        levels, vectors = embedded(subject, self._clip)
        best: dict[str, tuple[float, int, str]] = {}
        for head in self._heads:
            scores = head.scores(vectors)
            if not np.isfinite(scores).all():
                raise DetectionError(f"head {head.given.file.name} returned a number that is not finite")
            for at, name in enumerate(head.given.signals):
                level = int(np.argmax(scores[:, at]))
                score = float(scores[level, at])
                if name and score > best.get(name, (-1.0, 0, ""))[0]:
                    best[name] = (score, level, head.given.sha256[:12])
        signals = tuple(
            Signal(name, score, NAME, (Evidence(frame=levels[at].frame, view=levels[at].view, ref=ref),))
            for name, (score, at, ref) in best.items()
        )
        return Detection(signals, Coverage((f"{NAME}:heads={len(self._heads)}",)))

    def examples(self) -> Sequence[Example]:
        """A flat grey picture, which must be judged at all; nothing is known of what a head was trained on."""
        grey = np.full((96, 96, 3), 128, dtype=np.uint8)
        picture = DecodedPicture(Picture(b""), "png", 96, 96, (Frame(0, grey),))
        subject = Subject(Stage.OUTPUT, GenerationRequest(), picture=picture)
        return (Example(subject, at_least=dict.fromkeys(self.emits, 0.0), note="grey"),)


def _opened(given: ClipHead, clip: ClipEncoder) -> _Head:
    for name in given.signals:
        if name and not is_signal(name):
            close = nearest(name)
            hint = f"; did you mean {close!r}?" if close else ""
            raise ConfigurationError(f"setting 'clip_heads': {name!r} is no signal{hint}")
    if (given.drop or given.words) and given.kind != "distance":
        raise ConfigurationError("setting 'clip_heads': `drop` and `words` belong to the kind `distance`")
    arrays, width, name = read_arrays(given.file, given.sha256), clip.spec.vector, given.file.name
    net: Dense | Distances
    if given.kind == "distance":
        words = phrase_vectors(clip, tuple(given.words))
        net = distances(arrays, width, name, given.drop, words, tuple(given.words.values()))
    else:
        net = (linear if given.kind == "linear" else mlp)(arrays, width, name)
    if net.outputs != len(given.signals):
        raise ConfigurationError(
            f"setting 'clip_heads': {name} has {net.outputs} outputs and {len(given.signals)} signals",
            advice="Name one signal an output; an empty text leaves an output out.",
        )
    return _Head(given, net)

"""What lines of text say: the PP-OCRv4 recognition network, read greedily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError
from guardrail.signals import RGB
from guardrail.vision.nets import run
from guardrail.vision.ocr.boxes import TextBox, feed

MODEL = "ppocr-v4-rec"
CHARACTERS = (MODEL, "characters.txt")
HEIGHT = 48
_WIDEST, _NARROWEST = 1600, 16
_BATCH_PIXELS = 1280
"""Width of all lines of a batch together: the maps of more leave the processor's cache, and each line costs more."""
_PADDED = 1.25


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read.

    Attributes:
        text: what it says.
        score: mean probability of its characters, 0 to 1.
        box: where it stands.
    """

    text: str
    score: float
    box: TextBox


class Lines:
    """The network and its characters.

    Raises:
        ModelMissingError, ModelIntegrityError: a file is missing or unusable.
    """

    def __init__(self, models: ModelProvider) -> None:
        self._session = models.session(MODEL)
        listed = models.file(*CHARACTERS).read_text(encoding="utf-8").split("\n")
        self._characters = ["", *listed, " "]

    def read(self, rgb: RGB, boxes: Sequence[TextBox], narrowed: float = 1.0) -> list[Line]:
        """Every box of a picture as a line, in the order of the boxes; those that say nothing are left out.

        Letters are `narrowed` to so much of their width before the network looks.

        Raises:
            DetectionError: the network failed or gave another shape.
        """
        crops = [upright(rgb, box, narrowed) for box in boxes]
        order = sorted(range(len(crops)), key=lambda at: crops[at].shape[1])
        found: list[Line | None] = [None] * len(crops)
        batch: list[int] = []
        for position, at in enumerate(order):
            batch.append(at)
            widest = crops[order[min(position + 1, len(order) - 1)]].shape[1]
            if (
                position + 1 == len(order)
                or widest * (len(batch) + 1) > _BATCH_PIXELS
                or (widest > _PADDED * crops[batch[0]].shape[1])
            ):
                for place, (text, score) in zip(batch, self._run([crops[item] for item in batch]), strict=True):
                    if text.strip():
                        found[place] = Line(text.strip(), score, boxes[place])
                batch = []
        return [line for line in found if line is not None]

    def _run(self, crops: Sequence[RGB]) -> list[tuple[str, float]]:
        widest = max(crop.shape[1] for crop in crops)
        batch = np.zeros((len(crops), 3, HEIGHT, widest), np.float32)
        for row, crop in enumerate(crops):
            batch[row, :, :, : crop.shape[1]] = feed(crop)[0]
        likely = run(self._session, MODEL, {"x": batch})[0]
        if likely.ndim != 3 or likely.shape[0] != len(crops) or likely.shape[2] != len(self._characters):
            raise DetectionError(f"model {MODEL!r} gave another shape than expected")
        return [self._decoded(item) for item in likely]

    def _decoded(self, likely: NDArray[np.float32]) -> tuple[str, float]:
        """The likeliest sign of each step, repeats and blanks left out."""
        best = likely.argmax(axis=1)
        kept = np.flatnonzero((best != 0) & np.concatenate([[True], best[1:] != best[:-1]]))
        if not len(kept):
            return "", 0.0
        return "".join(self._characters[sign] for sign in best[kept]), float(likely[kept, best[kept]].mean())


def upright(rgb: RGB, box: TextBox, narrowed: float = 1.0) -> RGB:
    """The box as a strip `HEIGHT` pixels high, turned to the horizontal, so much narrower than it is."""
    wide, high = max(1.0, box.size[0]), max(1.0, box.size[1])
    scale = HEIGHT / high
    length = int(np.clip(round(wide * scale * narrowed), _NARROWEST, _WIDEST))
    turn = np.deg2rad(box.angle)
    along = np.array([np.cos(turn), np.sin(turn)]) * wide / length
    across = np.array([-np.sin(turn), np.cos(turn)]) / scale
    start = np.array(box.centre) - along * (length - 1) / 2 - across * (HEIGHT - 1) / 2
    matrix = np.array([[along[0], across[0], start[0]], [along[1], across[1], start[1]]])
    # sharper kernels ring around letters of five pixels, and fewer of them are read
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    strip = cv2.warpAffine(rgb, matrix, (length, HEIGHT), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(strip, dtype=np.uint8)

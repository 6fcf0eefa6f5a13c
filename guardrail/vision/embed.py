"""Whom a face resembles: templates by SFace (Zhong et al. 2021), from both flips, around the net's own centre.

Two things were measured to help (docs/FACES.md): the mean over the chip and its mirror image, which takes away what the
light's side adds; and subtracting the shift that the net's last normalisation adds to every template, whoever it shows.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError, ModelIntegrityError
from guardrail.signals import RGB
from guardrail.vision.align import EMBED_POINTS, EMBED_SIDE, chip
from guardrail.vision.detect import Face
from guardrail.vision.nets import Tensor, run

SFACE = "sface"
CENTRE = "centre.npy"
DIMENSIONS = 128


def embed_input(rgb: RGB, face: Face) -> Tensor:
    """(1, 3, 112, 112) float32 RGB 0 to 255 of the aligned face."""
    upright = chip(rgb, face.points, EMBED_POINTS, EMBED_SIDE)
    return np.ascontiguousarray(upright.astype(np.float32).transpose(2, 0, 1)[None])


class Look:
    """One face's templates: `quick` from the chip alone, `full` from both flips, each worked out when asked for.

    Against a full template `quick` is right to about 0.1 of cosine, at half the cost: enough where a cosine is clear.
    """

    def __init__(self, models: ModelProvider, rgb: RGB, face: Face) -> None:
        self._models = models
        self._chip = embed_input(rgb, face)
        self._plain = _answer(models, self._chip)
        self._full: Tensor | None = None

    @property
    def quick(self) -> Tensor:
        """(128,) float32, unit length.

        Raises:
            DetectionError: the net returned an empty template.
        """
        return self._full if self._full is not None else self._unit(self._plain)

    @property
    def full(self) -> Tensor:
        """(128,) float32, unit length.

        Raises:
            DetectionError: the net failed, or returned what is not a template.
        """
        if self._full is None:
            mirrored = _answer(self._models, np.ascontiguousarray(self._chip[..., ::-1]))
            self._full = self._unit(self._plain + mirrored, 2)
        return self._full

    def _unit(self, answer: Tensor, summed: int = 1) -> Tensor:
        moved = answer - _centre(self._models.file(SFACE, CENTRE)) * np.float32(summed)
        length = float(np.linalg.norm(moved))
        if length < 1e-6:
            raise DetectionError("the face net returned an empty template")
        unit: Tensor = (moved / np.float32(length)).astype(np.float32)
        return unit


def embed(models: ModelProvider, rgb: RGB, face: Face) -> Tensor:
    """The (128,) float32 template of a face, unit length, from both flips.

    Raises:
        DetectionError: the net failed, or returned what is not a template.
    """
    return Look(models, rgb, face).full


def _answer(models: ModelProvider, upright: Tensor) -> Tensor:
    output = run(models.session(SFACE), SFACE, {"data": upright})[0]
    if output.shape != (1, DIMENSIONS):
        raise DetectionError("the face net returned something else than one template")
    if float(np.abs(output).max()) < 1e-6:
        raise DetectionError("the face net returned an empty template")
    first: Tensor = output[0]
    return first


@lru_cache(maxsize=4)
def _centre(path: Path) -> Tensor:
    found: Tensor = np.load(path, allow_pickle=False)
    if found.shape != (DIMENSIONS,) or not np.isfinite(found).all():
        raise ModelIntegrityError(f"{path} does not hold {DIMENSIONS} numbers")
    return found

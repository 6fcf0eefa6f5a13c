"""What a face chip says: whom it resembles (SFace, Zhong et al. 2021), how old it looks (a ResNet-10, 81 ages)."""

from __future__ import annotations

import numpy as np

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError
from guardrail.signals import RGB
from guardrail.vision.align import AGE_POINTS, AGE_SIDE, EMBED_POINTS, EMBED_SIDE, chip
from guardrail.vision.detect import Face
from guardrail.vision.nets import Tensor, probabilities, run

SFACE = "sface"
AGE = "age-resnet10"
DIMENSIONS = 128

_AGE_MEAN = np.array([122.782, 117.001, 104.298], dtype=np.float32)
_AGES = np.arange(81, dtype=np.float32)


def embed_input(rgb: RGB, face: Face) -> Tensor:
    """(1, 3, 112, 112) float32 RGB 0 to 255 of the aligned face."""
    upright = chip(rgb, face.points, EMBED_POINTS, EMBED_SIDE)
    return np.ascontiguousarray(upright.astype(np.float32).transpose(2, 0, 1)[None])


def embed(models: ModelProvider, rgb: RGB, face: Face) -> Tensor:
    """The (128,) float32 template of a face, unit length.

    Raises:
        DetectionError: the net failed, or returned what is not a template.
    """
    output = run(models.session(SFACE), SFACE, {"data": embed_input(rgb, face)})[0]
    if output.shape != (1, DIMENSIONS):
        raise DetectionError("the face net returned something else than one template")
    length = float(np.linalg.norm(output))
    if length < 1e-6:
        raise DetectionError("the face net returned an empty template")
    unit: Tensor = (output[0] / np.float32(length)).astype(np.float32)
    return unit


def age_input(rgb: RGB, face: Face) -> Tensor:
    """(2, 3, 64, 64) float32 of the aligned face and its mirror image, (RGB - mean) / 256."""
    upright = chip(rgb, face.points, AGE_POINTS, AGE_SIDE).astype(np.float32)
    scaled = ((upright - _AGE_MEAN) / np.float32(256)).transpose(2, 0, 1)
    return np.ascontiguousarray(np.stack([scaled, scaled[:, :, ::-1]]))


def apparent_age(models: ModelProvider, rgb: RGB, face: Face) -> float:
    """Years the face looks: the expected age of the chip or of its mirror image, whichever is lower.

    Never validated on minors, and never evidence that somebody is an adult.

    Raises:
        DetectionError: the net failed, or returned what is not a distribution over ages.
    """
    shares = probabilities(models.session(AGE), AGE, {"images": age_input(rgb, face)}, len(_AGES))
    if np.abs(shares.sum(axis=1) - 1).max() > 1e-2:
        raise DetectionError("the age net returned shares that do not add up")
    return float((shares @ _AGES).min())

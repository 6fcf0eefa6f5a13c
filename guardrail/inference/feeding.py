"""What a classifier of pictures is fed, and what its numbers mean: as its manifest says (`Classifier`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.inference.manifest import Classifier

METHODS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_SUREST = 1e-7

Tensor = NDArray[Any]


def fed(picture: Image.Image, how: Classifier) -> Tensor:
    """What the network is fed of one picture that has its size: (3, height, width) or (height, width, 3) float32."""
    levels = np.asarray(picture, dtype=np.float32)
    values = (levels / 255 - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    if how.layout == "nchw":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values, dtype=np.float32)


def probabilities(output: Tensor, how: Classifier) -> Tensor:
    """(rows, classes) of a network's output, whatever that is; not checked."""
    if how.activation == "softmax":
        raised = np.exp(output - output.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))
    if how.activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-output.clip(-40, 40))))
    return output


def scored(shares: Tensor, even: float) -> Tensor:
    """Probabilities as scores: `even` becomes 0.5, the odds of all move alike."""
    if even == 0.5:
        return shares
    kept = shares.clip(_SUREST, 1 - _SUREST)
    odds = kept / (1 - kept) * (1 - even) / even
    return np.asarray(odds / (1 + odds))

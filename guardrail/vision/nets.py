"""Running a network on untrusted pixels: what it returns is checked before anybody believes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrail.detector import ModelSession
from guardrail.errors import DetectionError

Tensor = NDArray[np.float32]


def run(session: ModelSession, name: str, feed: dict[str, NDArray[Any]]) -> list[Tensor]:
    """Outputs of the network, as float32 and finite.

    Raises:
        DetectionError: the runtime failed, or an output holds NaN or infinity.
    """
    outputs = [np.asarray(output, dtype=np.float32) for output in session.run(feed)]
    if not all(np.isfinite(output).all() for output in outputs):
        raise DetectionError(f"{name} returned a number that is not finite")
    return outputs


def probabilities(session: ModelSession, name: str, feed: dict[str, NDArray[Any]], classes: int) -> Tensor:
    """The first output as (batch, classes) probabilities in [0, 1].

    Raises:
        DetectionError: as `run`; or the shape or the range is another.
    """
    return checked(run(session, name, feed)[0], name, next(iter(feed.values())).shape[0], classes)


def checked(output: Tensor, name: str, batch: int, classes: int) -> Tensor:
    """`output` as (batch, classes) probabilities in [0, 1].

    Raises:
        DetectionError: the shape or the range is another.
    """
    if output.shape != (batch, classes) or output.min() < -1e-3 or output.max() > 1 + 1e-3:
        raise DetectionError(f"{name} returned something else than {classes} probabilities")
    return output.clip(0.0, 1.0)

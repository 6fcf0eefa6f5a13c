"""Whether an exported model says what the checkpoint said: numbers, not hope."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrail.errors import ModelIntegrityError
from guardrail.inference.export.tools import opened

MOST_ERROR = 1e-4
"""Largest difference of any element of a unit vector between torch and the fp32 ONNX tower."""
LEAST_COSINE = 0.99
"""Smallest cosine between the fp32 and the int8 vector of one input."""
_RUNS = 9

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Parity:
    """What was compared at an export, and how far apart it was.

    Attributes:
        error: part -> largest absolute difference to torch, fp32.
        cosine: part -> smallest cosine of int8 to fp32; empty when nothing was quantised.
        preprocessing: largest difference of what the towers are fed, to the library's own; None when it has none.
        tokens: texts whose tokens differ from the library's own, of how many.
        cpu_ms: part -> median process CPU milliseconds at batch 1 with one thread, of what will be used.
        seconds: wall time of the export.
    """

    error: Mapping[str, float]
    cosine: Mapping[str, float] = field(default_factory=dict)
    preprocessing: float | None = None
    tokens: tuple[int, int] = (0, 0)
    cpu_ms: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def compared(path: Path, name: str, feed: Array, wanted: Array, part: str) -> float:
    """Largest absolute difference of the network at `path` to torch, all rows at once and one by one.

    Args:
        path: ONNX file.
        name: of its input.
        feed: (rows, …).
        wanted: (rows, vector), what torch answered.
        part: for the message.

    Raises:
        ModelIntegrityError: it is above `MOST_ERROR`, or not a number.
    """
    session = opened(path)
    together = session.run(None, {name: feed})[0]
    alone = np.concatenate([session.run(None, {name: feed[at : at + 1]})[0] for at in range(len(feed))])
    worst = float(max(np.abs(together - wanted).max(), np.abs(alone - wanted).max()))
    if not worst <= MOST_ERROR:
        raise ModelIntegrityError(
            f"the {part} differs from the checkpoint by {worst:.1e}, more than {MOST_ERROR:.0e}",
            advice="The export is not used. Report the architecture and the versions of torch and onnxruntime.",
        )
    return worst


def kept_cosine(path: Path, name: str, feed: Array, wanted: Array, part: str) -> float:
    """Smallest cosine of the quantised network at `path` to torch's vectors.

    Raises:
        ModelIntegrityError: it is below `LEAST_COSINE`.
    """
    got = opened(path).run(None, {name: feed})[0]
    lengths = np.linalg.norm(got, axis=1) * np.linalg.norm(wanted, axis=1)
    least = float(((got * wanted).sum(axis=1) / np.maximum(lengths, 1e-9)).min())
    if not least >= LEAST_COSINE:
        raise ModelIntegrityError(
            f"int8 keeps only a cosine of {least:.4f} of the {part}, less than {LEAST_COSINE}",
            advice="Export without --int8.",
        )
    return least


def cost(path: Path, name: str, feed: Array) -> float:
    """Median process CPU milliseconds of one row."""
    session, spent = opened(path), []
    for _ in range(_RUNS):
        begun = time.process_time()
        session.run(None, {name: feed[:1]})
        spent.append((time.process_time() - begun) * 1000)
    return statistics.median(spent[2:])


SENTENCES: Sequence[str] = (
    "a photo of a cat",
    "A  Painting of the harbour, at dusk",
    "two red circles on a blue ground",
    "it's a dog's dinner; we'll see",
    "123 trees & 4 birds!",
    "ein Leuchtturm über dem Meer",
    "une forêt enneigée, crème brûlée",
    "灯台と海",
    "снежный лес",
    "supercalifragilisticexpialidocious",
    "x",
    "a very long caption " * 40,
)
"""What tokenizers are compared on: case, spaces, signs, digits, accents, other scripts, a text beyond the context."""

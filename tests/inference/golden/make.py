"""Make the golden tensors: each network on a fixed input, its output kept beside this script.

    python -m tests.inference.golden.make

Inputs are drawn from a seeded generator, so only outputs are stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrail.inference import ModelStore
from guardrail.settings import load_settings

FILE = Path(__file__).with_name("outputs.npz")
_KEPT = 64


def inputs(name: str) -> dict[str, NDArray[Any]]:
    """The fixed input of a network: the shapes and ranges its manifest states."""
    random = np.random.default_rng(20260101)
    picture = random.integers(0, 256, (1, 3, 224, 224)).astype(np.float32)
    tokens = np.array([[101, 1037, 10171, 2006, 1037, 7656, 102]], np.int64)
    ones = np.ones_like(tokens)
    known: dict[str, dict[str, NDArray[Any]]] = {
        "open-nsfw": {"input": picture.transpose(0, 2, 3, 1) - 110.0},
        "image-safety-s": {"input": picture},
        "yunet": {"input": random.integers(0, 256, (1, 3, 640, 640)).astype(np.float32)},
        "sface": {"data": random.integers(0, 256, (1, 3, 112, 112)).astype(np.float32)},
        "age-resnet10": {"images": random.normal(0, 0.3, (1, 3, 64, 64)).astype(np.float32)},
        "text-injection": {"ids": tokens, "mask": ones},
        "text-heads": {"ids": tokens, "mask": ones},
    }
    return known[name]


NAMES = ("open-nsfw", "image-safety-s", "yunet", "sface", "age-resnet10", "text-heads", "text-injection")


def outputs(store: ModelStore, name: str) -> list[NDArray[np.float32]]:
    """The first numbers of each output, flattened."""
    session = store.session(name)
    named = inputs(name)
    if len(named) == 1:
        named = {session.inputs[0]: next(iter(named.values()))}
    return [np.asarray(item, np.float32).ravel()[:_KEPT] for item in session.run(named)]


def main() -> None:
    store = ModelStore(load_settings())
    arrays = {f"{name}/{at}": item for name in NAMES for at, item in enumerate(outputs(store, name))}
    np.savez_compressed(FILE, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()

"""Sentences of the kit: instructions to a machine (4 to 14 words, harmless to read) and harmless lines for covers.

The train and the blind half share no sentence, so a detector cannot score by knowing the words. That holds only while
nobody who writes training text has read the blind half: once it is read, move it to the train half and write another.
The sentences lie in `sentences/`, a file for each half, so that the blind one need not be opened to read this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import yaml

Half = Literal["train", "blind"]


def _read(half: Half) -> dict[str, tuple[str, ...]]:
    stored = yaml.safe_load((Path(__file__).parent / "sentences" / f"{half}.yaml").read_text(encoding="utf-8"))
    return {kind: tuple(stored[kind]) for kind in ("payloads", "harmless")}


_STORED: dict[Half, dict[str, tuple[str, ...]]] = {"train": _read("train"), "blind": _read("blind")}
PAYLOADS: dict[Half, tuple[str, ...]] = {half: stored["payloads"] for half, stored in _STORED.items()}
HARMLESS: dict[Half, tuple[str, ...]] = {half: stored["harmless"] for half, stored in _STORED.items()}


def payload(half: Half, rng: np.random.Generator, *, longest: int | None = None) -> str:
    """One instruction of the half; `longest` keeps those of at most so many characters."""
    fitting = [line for line in PAYLOADS[half] if longest is None or len(line) <= longest]
    return fitting[int(rng.integers(len(fitting)))]


def harmless(half: Half, rng: np.random.Generator, *, capitals: bool | None = None) -> str:
    """One harmless line; `capitals` True keeps the lines for signs and memes, False the ordinary sentences."""
    fitting = [line for line in HARMLESS[half] if capitals is None or line.isupper() is capitals]
    return fitting[int(rng.integers(len(fitting)))]

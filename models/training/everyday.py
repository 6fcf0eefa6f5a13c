"""Embed everyday prompts of our own: the background that the concepts of policies are calibrated against.

    python models/training/everyday.py --out models/everyday-prompts

Harmless rows of the templates and of `languages.yaml`; the multilingual encoder must be pulled.
"""

from __future__ import annotations

import argparse
import hashlib
import random
from pathlib import Path

import numpy as np
from synthesise import CLEAN, rows
from train_multilingual import HARMLESS, embedded, packed, phrases

from guardrail.inference import ModelStore
from guardrail.settings import load_settings
from guardrail.text.multilingual import Multilingual

ENGLISH, OTHER, LONGEST = 1_300, 700, 200
SHRINKAGE = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rng = random.Random(17)
    harmless = [item.text for item in rows() if item.heads == CLEAN and len(item.text) < LONGEST]
    own = [text for _, group, _, text in phrases(Path(__file__).parent) if group in HARMLESS]
    texts = [*rng.sample(harmless, ENGLISH), *rng.sample(own, OTHER)]
    found = embedded(Multilingual(ModelStore(load_settings())), texts).astype(np.float64)
    mean = found.mean(axis=0)
    spread = np.cov(found.T)
    spread = (1 - SHRINKAGE) * spread + SHRINKAGE * np.trace(spread) / len(spread) * np.eye(len(spread))
    values, vectors = np.linalg.eigh(spread)
    matrix = vectors @ np.diag(values**-0.5) @ vectors.T
    matrix /= np.linalg.norm(matrix, ord=2)
    placed = (found - mean) @ matrix
    placed /= np.linalg.norm(placed, axis=1, keepdims=True)
    data = packed({"mean": mean, "matrix": matrix, "prompts": placed})
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "everyday-prompts.npz").write_bytes(data)
    print(f"{len(texts)} prompts; sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes")


if __name__ == "__main__":
    main()

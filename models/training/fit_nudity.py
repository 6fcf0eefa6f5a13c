"""Where the constants of `guardrail.vision.nudity.combine` come from, and what they do on a labelled set.

The combiner's line goes through two published corners, so only one number is fitted: what image-safety-s says of an
ordinary picture (the median over benign rows that may train). No explicit picture exists here, so no slope is fitted.

    python models/training/fit_nudity.py SET/pictures.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from guardrail.inference import ModelStore
from guardrail.settings import Limits, load_settings
from guardrail.signals import Picture
from guardrail.vision.decode import decode
from guardrail.vision.exposure import Look, look
from guardrail.vision.nudity import SAFETY_ORDINARY, combine
from guardrail.vision.pyramid import levels


def main() -> None:
    """Print the fitted constant beside the shipped one, and the table of shares at or above a score by category."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path, help="JSON lines with image, label, category, train_ok")
    path = parser.parse_args().rows
    models = ModelStore(load_settings())
    fitting: list[float] = []
    scores: defaultdict[str, list[float]] = defaultdict(list)
    labels: list[tuple[str, float]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        decoded = decode(Picture((path.parent / row["image"]).read_bytes()), Limits())
        looks: list[Look] = look(models, list(levels(decoded)))
        if row["train_ok"] and row["label"] == "allow":
            fitting += [seen.nsfw for seen in looks]
        score = max(combine(seen.open_nsfw, seen.nsfw) for seen in looks)
        scores[row["category"]].append(score)
        labels.append((row["label"], score))
    print(f"SAFETY_ORDINARY: fitted {np.median(fitting):.4f} on {len(fitting)} rows, shipped {SAFETY_ORDINARY}")
    for category, found in sorted(scores.items()):
        shares = ", ".join(f">= {least}: {sum(score >= least for score in found)}" for least in (0.2, 0.35, 0.5, 0.8))
        print(f"{category:14} {len(found):4} rows  {shares}")
    bad = np.array([score for label, score in labels if label == "block"])
    good = np.array([score for label, score in labels if label == "allow"])
    area = (bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()
    print(f"AUROC block against allow: {area:.4f}")
    least = np.sort(good)[-int(0.01 * len(good)) - 1]
    print(f"at 1 % false alarms: {(bad > least).mean():.3f} found, above the score {least:.3f}")


if __name__ == "__main__":
    main()

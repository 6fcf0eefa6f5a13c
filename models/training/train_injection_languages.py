"""Train `text-injection-ngrams`: logistic regression over n-grams of letters, for instructions in other languages.

    pip install scikit-learn 'guardrail[cpu]'
    python models/training/train_injection_languages.py --eval ../shared/eval --out models/text-injection-ngrams

Rows: what is not English of the labelled rows marked `train_ok` (injections and harmless text alike),
`machine_languages.yaml` (orders, and harmless requests with the same words, in nineteen languages) and the phrases of
`train_multilingual.py`. Rows whose id hashes below 0.15 teach nothing and are reported on. What stands in English text
by accident (names, codes) is taught as harmless, whatever the row's label. Languages that only this file has harmless
text of (those with `scenes`) weigh more, or the model would learn that their letters are orders.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from labels import held_out
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from train_multilingual import packed, phrases

from guardrail.text.foreign import FOREIGN, WINDOW
from guardrail.text.language import tongues
from guardrail.text.ngrams import SIZE, ngrams
from guardrail.text.normalise import clean

ABOUT_MACHINES = ("deepset", "cse_text", "injecguard_valid")
ACCIDENTAL = ("bipia_context",)
HARMLESS = ("multijail", "coprov2", "i2p", "nibbler", "overt_benign", "xstest", "parti", "dpg", "tifa")
MOST, GROWN, FOLDS = 600, 60, 4
WEIGHTS = {"machine": 1.0, "harmless": 0.3, "own": 0.2, "rare": 0.8, "phrases": 0.15}
STRENGTH = 40.0


@dataclass(frozen=True, slots=True)
class Row:
    """A text, whether it instructs, which weight its kind has, and whether it is kept from training."""

    text: str
    instructs: bool
    kind: str
    held: bool = False


def labelled(evaluation: Path) -> Iterator[Row]:
    """What is not English in the labelled rows, and what may not be."""
    for path in sorted(evaluation.glob("text/[acde]_*/*.jsonl")):
        if path.stem not in (*ABOUT_MACHINES, *ACCIDENTAL, *HARMLESS):
            continue
        count = 0
        for line in path.open(encoding="utf-8"):
            row = json.loads(line)
            if not row["train_ok"] or row.get("lang") == "en":
                continue
            found = tongues(clean(row["text"]))
            parts = [part for part in (found.other, found.unclear) if part.strip()]
            machine = path.stem in ABOUT_MACHINES
            count += bool(parts)
            if machine or path.stem == "multijail" or count <= MOST:
                instructs = machine and row["label"] == "block"
                kind = "machine" if machine else "harmless"
                yield from (Row(part, instructs, kind, held_out(row)) for part in parts)


def own(folder: Path) -> Iterator[Row]:
    """`machine_languages.yaml`, its frames filled at random; slots of one fold together, for translations share it."""
    rng = random.Random(31)
    for slots in yaml.safe_load((folder / "machine_languages.yaml").read_text(encoding="utf-8")).values():
        for fold in range(FOLDS):
            yield from _of_fold(slots, {name: items[fold::FOLDS] for name, items in slots.items()}, rng)


def _of_fold(slots: Mapping[str, Any], part: Mapping[str, Sequence[str]], rng: random.Random) -> Iterator[Row]:
    kind = "rare" if "scenes" in slots else "own"
    names = ("tell", "secret", "form", "order", "act", "excuse", "news")
    for _ in range(GROWN):
        filled = {name: rng.choice(part[name]) for name in names}
        yield Row(rng.choice(slots["frames"]).format(**filled), True, kind)
    for text in part["asks"]:
        for before in ("", rng.choice(part["excuse"]), rng.choice(part["news"])):
            yield Row(f"{before} {text}".strip(), True, kind)
    harmless = [*part["trigger"], *part["plain"], *part["news"], *part.get("scenes", ())]
    yield from (Row(text, False, kind) for text in harmless)
    for _ in range(GROWN * 2 // 5):
        yield Row(" ".join(rng.sample(harmless, rng.choice((2, 3)))), False, kind)


def matrix(rows: Sequence[Row]) -> Any:
    """(rows, SIZE): the first window of each."""
    found = [ngrams(row.text[:WINDOW]) for row in rows]
    ends = np.cumsum([0, *(len(places) for places, _ in found)])
    places, values = (np.concatenate([item[part] for item in found]) for part in (0, 1))
    return csr_matrix((values, places, ends), shape=(len(rows), SIZE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    folder = Path(__file__).parent
    rows = [*labelled(arguments.eval), *(Row(clean(row.text), row.instructs, row.kind) for row in own(folder))]
    rows += [
        Row(clean(text), group == "injection", "phrases")
        for language, group, _, text in phrases(folder)
        if language != "en"
    ]
    inputs, wanted = matrix(rows), np.array([row.instructs for row in rows])
    weight, held = np.array([WEIGHTS[row.kind] for row in rows]), np.array([row.held for row in rows])
    fitted = LogisticRegression(C=STRENGTH, max_iter=300).fit(inputs[~held], wanted[~held], sample_weight=weight[~held])
    given = fitted.decision_function(inputs)
    machine = np.array([row.kind == "machine" for row in rows])
    for name, mine in (("taught", ~held), ("held out", held)):
        caught, raised = given[mine & wanted] > 0, given[mine & machine & ~wanted] > 0
        print(f"{name}: {caught.mean():.1%} of {len(caught)} instruct, {raised.mean():.1%} of {len(raised)} do not")
    made = {"weights": fitted.coef_[0].astype(np.float32), "bias": fitted.intercept_[0].astype(np.float32)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = packed(made)
    (arguments.out / f"{FOREIGN}.npz").write_bytes(data)
    print(f"{len(rows)} rows; sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes")


if __name__ == "__main__":
    main()

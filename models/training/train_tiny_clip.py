"""A tiny CLIP, trained in minutes on a CPU with open_clip's own model class and loss: `python -m ...` or as a script.

    python models/training/train_tiny_clip.py build/tiny-clip

It learns from drawings (`drawings.py`) and proves the whole way: training, `guardrail models export`, concepts with
negatives, calibration. It knows twelve shapes and eight colours and nothing else, and does not ship.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))
from drawings import SIDE, training_set

MODEL: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 12, "head_width": 32},
    "text_cfg": {"context_length": 14, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 1},
}
LEARNING_RATE = 2e-3
PREPROCESS = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}


def train(folder: Path, *, pictures: int, epochs: int, batch: int, seed: int = 7) -> None:
    """Train, print the loss, and write a checkpoint that open_clip and `guardrail models export` open."""
    torch.manual_seed(seed)
    begun = time.monotonic()
    drawn, captions = training_set(pictures, seed)
    pixels = torch.from_numpy(np.stack([np.asarray(item) for item in drawn])).permute(0, 3, 1, 2)
    tokens = open_clip.tokenize(captions, MODEL["text_cfg"]["context_length"])
    print(f"{pictures} drawings in {time.monotonic() - begun:.0f} s", flush=True)
    model = open_clip.CLIP(**MODEL)
    loss_of = open_clip.ClipLoss()
    steps = epochs * (pictures // batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    done = 0
    for epoch in range(epochs):
        order, total = torch.randperm(pictures), 0.0
        for at in range(0, pictures - batch + 1, batch):
            rows = order[at : at + batch]
            fed = (pixels[rows].float() / 255 - 0.5) / 0.25
            image, text, scale = model(fed, tokens[rows])
            loss = loss_of(image, text, scale)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, np.log(100))
            total += loss.item()
            done += 1
        print(
            f"epoch {epoch + 1}: loss {total / (pictures // batch):.3f}, {time.monotonic() - begun:.0f} s", flush=True
        )
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    state = {name: value.contiguous() for name, value in model.eval().state_dict().items()}
    save_file(state, str(folder / "open_clip_model.safetensors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=8_192)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    train(given.folder, pictures=given.pictures, epochs=given.epochs, batch=given.batch)


if __name__ == "__main__":
    main()

"""Train the heads of `guardrail.vision.combiner` on drawn figures and on the lawful rows of a labelled set.

- Bare: open_nsfw's own last layer, moved by logistic regression with a penalty on how far it moves (L2-SP, Li et al.
  2018). Positives are drawn bare figures; negatives the same figures dressed, and harmless pictures.
- Upright: whether a picture stands the way it was made, from all of these in four turns.
- Art: on the features of image-safety-s, what is drawn in the manner of oil, chalk, engraving or statue, and
  photographs under such strokes, against photographs. The bias is set so that `MISSED` of the oils count as none.

Only rows with `train_ok` and label allow are read. Nothing here sees a photograph of a bare body.

    python models/training/fit_nudity.py SET/pictures.jsonl --assets FOLDER --cache FOLDER
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from figures import SIDE, STYLES, Assets, drawing, scene, styled
from numpy.typing import NDArray

from guardrail.inference import ModelStore
from guardrail.settings import Limits, load_settings
from guardrail.signals import RGB, Picture
from guardrail.vision.combiner import SAFETY_ORDINARY
from guardrail.vision.decode import decode
from guardrail.vision.exposure import image_safety, open_nsfw
from guardrail.vision.pyramid import Level
from guardrail.vision.views import whole

SCENES = 330
CHUNK = 110
TURNED = 2
"""Views from which on a square is turned."""
HELD = 0.2
"""Penalty on the distance from the net's own layer."""
RIDGE = 0.3, 1.0
"""Penalties of the heads for upright and art."""
DRAWN = ("oil", "drawing", "statue", "engraving")
NO_PHOTOGRAPH = {"cartoon", "diagram", "screenshot", "text", "ai_generated"}
MISSED = 0.1
OUT = Path(__file__).parents[1] / "nudity-heads" / "nudity-heads.npz"

Floats = NDArray[np.float32]


def views(square: RGB) -> list[RGB]:
    """The square, mirrored, and turned by 90, 180 and 270 degrees."""
    return [square, square[:, ::-1], *(np.rot90(square, turns) for turns in (1, 2, 3))]


def surfaces(draw: np.random.Generator, count: int = 64) -> list[RGB]:
    """Smooth surfaces of any colour, many of them warm: what is nothing but the colour of skin."""
    found = []
    for _ in range(count):
        tone = draw.uniform(60, 250) * np.array([1, draw.uniform(0.5, 1.1), draw.uniform(0.4, 1.2)])
        slope = (np.linspace(-1, 1, 256) * draw.uniform(0, 60))[:, None, None]
        grain = draw.normal(0, draw.choice([0.0, draw.uniform(0, 6)]), (256, 256, 1))
        found.append((tone + slope * draw.integers(2) + grain).clip(0, 255).astype(np.uint8))
    return found


def rows(path: Path) -> list[tuple[set[str], Level]]:
    """Tags and picture of every row that may train."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["train_ok"] and row["label"] == "allow":
            decoded = decode(Picture((path.parent / row["image"]).read_bytes()), Limits())
            found.append((set(row["tags"]), Level(0, decoded.frames[0].rgb)))
    return found


def scenes(
    models: ModelStore, assets: Path, photographs: list[RGB], cache: Path
) -> tuple[Floats, Floats, NDArray[Any]]:
    """Features of open_nsfw (scenes, bare or dressed, view, FEATURES), those of image-safety-s without the views, and
    styles; kept in `cache`, for they take minutes."""
    found: list[tuple[Floats, Floats, NDArray[Any]]] = []
    for start in range(0, SCENES, CHUNK):
        kept = cache / f"scenes-{start}.npz"
        if not kept.exists():
            mesh = Assets(assets)
            drawn = [scene(mesh, seed, photographs) for seed in range(start, start + CHUNK)]
            seen = [[open_nsfw(models, views(picture)).features for picture in pair] for *pair, _ in drawn]
            safety = [image_safety(models, [Level(0, picture) for picture in pair]).features for *pair, _ in drawn]
            styles = np.array([style for *_, style in drawn])
            np.savez(kept, features=np.array(seen, np.float16), safety=np.array(safety, np.float16), styles=styles)
        with np.load(kept) as stored:
            found.append((stored["features"].astype(np.float32), stored["safety"].astype(np.float32), stored["styles"]))
    features, safety, styles = zip(*found, strict=True)
    return np.concatenate(features), np.concatenate(safety), np.concatenate(styles)


def fitted(
    groups: list[tuple[Floats, int, float]], ridge: float, start: Floats, bias: float, steps: int = 300
) -> tuple[Floats, float]:
    """Logistic regression by accelerated descent, penalised by the distance of the weights from `start`.

    Args:
        groups: (rows, label, share of the total weight).
    """
    x = np.vstack([rows for rows, _, _ in groups])
    y = np.concatenate([np.full(len(rows), label) for rows, label, _ in groups])
    share = np.concatenate([np.full(len(rows), part / len(rows)) for rows, _, part in groups])
    bound = np.linalg.norm(x * np.sqrt(share[:, None]), 2) ** 2 / 4 + ridge
    moved, speed = np.zeros_like(start), np.zeros_like(start)
    for _ in range(steps):
        ahead = moved + 0.9 * speed
        wrong = share * (1 / (1 + np.exp(-(x @ (start + ahead) + bias))) - y)
        new = ahead - (x.T @ wrong + ridge * ahead) / bound
        moved, speed = new, new - moved
        bias -= 2 * float(wrong.sum())
    return np.asarray(start + moved, np.float32), bias


def standardised(groups: list[tuple[Floats, int, float]], ridge: float) -> tuple[Floats, float]:
    """`fitted` from nothing on standardised numbers; weights and bias are given back for plain ones."""
    mean = sum(share * rows.mean(axis=0) for rows, _, share in groups)
    spread = np.sqrt(sum(share * ((rows - mean) ** 2).mean(axis=0) for rows, _, share in groups)) + 0.01
    weights, bias = fitted(
        [((rows - mean) / spread, label, share) for rows, label, share in groups], ridge, np.zeros_like(spread), 0.0
    )
    return np.asarray(weights / spread, np.float32), bias - float((weights / spread) @ mean)


def flat(rows: Floats) -> Floats:
    """Rows of features, whatever stood before."""
    return rows.reshape(-1, rows.shape[-1])


def last_layer(models: ModelStore) -> tuple[Floats, float]:
    """open_nsfw's own weights and bias, "not safe" minus "safe"."""
    import onnx

    stored = {
        item.name: onnx.numpy_helper.to_array(item)
        for item in onnx.load(str(models.file("open-nsfw"))).graph.initializer
        if item.name.startswith("fc_nsfw")
    }
    matrix = next(item for item in stored.values() if item.ndim == 2)
    bias = next(item for item in stored.values() if item.ndim == 1)
    return np.asarray(matrix[:, 1] - matrix[:, 0], np.float32), float(bias[1] - bias[0])


def painted(square: RGB, draw: np.random.Generator) -> list[RGB]:
    """A photograph under the strokes of every manner but the statue's."""
    small = np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    nothing = np.zeros((SIDE, SIDE), np.int64), np.zeros((SIDE, SIDE, 3), np.float32)
    made = [styled(small.astype(np.float32), *nothing, "oil", draw) for _ in range(2)]
    return made + [drawing(small, engraved=engraved, rng=draw) for engraved in (False, True)]


def main() -> None:
    """Fit the three heads, store them, and say what they do on what they were fitted on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="JSON lines with image, label, tags, train_ok")
    parser.add_argument("--assets", type=Path, required=True, help="folder with MakeHuman's mesh, shapes and rig")
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps features of drawn scenes")
    given = parser.parse_args()
    models = ModelStore(load_settings())
    lawful = rows(given.rows)
    known = image_safety(models, [level for _, level in lawful])
    print(f"SAFETY_ORDINARY {np.median(known.nsfw):.4f}, shipped {SAFETY_ORDINARY}")
    squares = [whole(level).square for _, level in lawful]
    harmless = np.stack([open_nsfw(models, views(square)).features for square in squares])
    small = [np.asarray(level.base.resize((320, 320))) for _, level in lawful]
    figures, safety, styles = scenes(models, given.assets, small, given.cache)
    fit = figures[styles != "engraving"]
    draw = np.random.default_rng(0)
    bare = fitted(
        [
            (flat(fit[:, 0, :TURNED]), 1, 0.5),
            (flat(harmless[:, :TURNED]), 0, 0.22),
            (flat(fit[:, 1, :TURNED]), 0, 0.25),
            (open_nsfw(models, surfaces(draw)).features, 0, 0.03),
        ],
        HELD,
        *last_layer(models),
    )
    upright = standardised(
        [
            (np.log1p(flat(harmless[:, :TURNED])), 1, 0.3),
            (np.log1p(flat(fit[:, :, 0])), 1, 0.2),
            (np.log1p(flat(harmless[:, TURNED:])), 0, 0.3),
            (np.log1p(flat(fit[:, :, TURNED:])), 0, 0.2),
        ],
        RIDGE[0],
    )
    art = medium_head(models, lawful, safety, styles, draw)
    OUT.parent.mkdir(exist_ok=True)
    bias = np.array([bare[1], upright[1], art[1]], np.float32)
    np.savez(OUT, bare=bare[0], upright=upright[0], art=art[0], bias=bias)
    scored, manner = figures @ bare[0] + bare[1], safety @ art[0] + art[1]
    for style in STYLES:
        of = scored[styles == style][:, :, 0]
        over, told = (of > 0).mean(axis=0), (of[:, 0] > of[:, 1]).mean()
        print(
            f"{style:10} {len(of):3} scenes: bare above dressed {told:.2f}, above 0 {over[0]:.2f} and {over[1]:.2f}, "
            f"art {(manner[styles == style] > 0).mean():.2f}"
        )


def medium_head(
    models: ModelStore,
    lawful: list[tuple[set[str], Level]],
    safety: Floats,
    styles: NDArray[Any],
    draw: np.random.Generator,
) -> tuple[Floats, float]:
    """Weights and bias of the head for art."""
    photographs = [level for tags, level in lawful if not tags & NO_PHOTOGRAPH]
    both = [Level(0, rgb) for level in photographs for rgb in (level.rgb, np.ascontiguousarray(level.rgb[:, ::-1]))]
    strokes = [Level(0, made) for level in photographs for made in painted(whole(level).square, draw)]
    weights, _bias = standardised(
        [
            (image_safety(models, both).features, 0, 0.4),
            (flat(safety[styles == "plain"]), 0, 0.1),
            (image_safety(models, strokes).features, 1, 0.25),
            *((flat(safety[styles == style]), 1, 0.25 / len(DRAWN)) for style in DRAWN),
        ],
        RIDGE[1],
    )
    return weights, -float(np.quantile(flat(safety[styles == "oil"]) @ weights, MISSED))


if __name__ == "__main__":
    main()

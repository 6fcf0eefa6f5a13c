"""Makes the stored tensors that the tests of preparation and outputs compare with.

python -m tests.vision.golden.make
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from guardrail.inference import ModelStore
from guardrail.settings import Limits, load_settings
from guardrail.signals import RGB, Picture
from guardrail.vision.age import age_input, apparent_age
from guardrail.vision.decode import decode
from guardrail.vision.detect import find
from guardrail.vision.embed import embed, embed_input
from guardrail.vision.exposure import image_safety, image_safety_input, open_nsfw, open_nsfw_input
from guardrail.vision.nets import Tensor
from guardrail.vision.pyramid import Level
from guardrail.vision.views import whole

HERE = Path(__file__).parent
SCENES = ("square", "wide", "small")
_SIZES = {"square": (300, 300), "wide": (200, 900), "small": (20, 30)}
PORTRAITS = ("astronaut.png", "grace_hopper.jpg")


def scene(name: str) -> RGB:
    """A smooth drawn scene, (height, width, 3)."""
    height, width = _SIZES[name]
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    bands = [np.sin(9 * x + 3 * y), np.cos(7 * y * (1 + x)), np.sin(12 * (x - y) ** 2)]
    return (np.stack(bands, axis=-1) * 110 + 128).astype(np.uint8)


def looked(models: ModelStore, levels: list[Level]) -> Tensor:
    """(n, 3): open_nsfw, NSFW and NSFL of each level."""
    seen = open_nsfw(models, [whole(level).square for level in levels])
    safety = image_safety(models, levels)
    return np.stack([seen.shares, safety.nsfw, safety.nsfl], axis=1)


def main() -> None:
    """Write exposure.npz and faces.npz beside this script."""
    models = ModelStore(load_settings())
    levels = {name: Level(0, scene(name)) for name in SCENES}
    stored = {f"{name}.open": open_nsfw_input(whole(level).square)[::8, ::8] for name, level in levels.items()}
    stored |= {f"{name}.safety": image_safety_input(level)[:, ::8, ::8] for name, level in levels.items()}
    looks = looked(models, list(levels.values()))
    np.savez_compressed(HERE / "exposure.npz", allow_pickle=False, looks=looks, **stored)
    np.save(HERE / "no_centre.npy", np.zeros(128, dtype=np.float32), allow_pickle=False)
    faces = {}
    for name in PORTRAITS:
        data = models.file("sample-portraits", name).read_bytes()
        rgb = decode(Picture(data), Limits()).frames[0].rgb
        face = find(models, rgb)[0][0]
        faces[f"{name}.box"] = np.array(face.box, dtype=np.float32)
        faces[f"{name}.points"] = face.points
        faces[f"{name}.embed"] = embed_input(rgb, face)[:, :, ::8, ::8]
        faces[f"{name}.age"] = age_input(rgb, face)[:, :, ::8, ::8]
        faces[f"{name}.template"] = embed(models, rgb, face)
        faces[f"{name}.years"] = np.array([apparent_age(models, rgb, face)], dtype=np.float32)
    np.savez_compressed(HERE / "faces.npz", allow_pickle=False, **faces)


if __name__ == "__main__":
    main()

"""`export_clip`: a CLIP or SigLIP checkpoint -> two verified ONNX towers, usable without torch."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from guardrail.errors import ConfigurationError, ModelIntegrityError
from guardrail.inference.clip import (
    IDS,
    PIXELS,
    SPEC_FILE,
    TOKENIZER_FILE,
    ClipSpec,
    ClipTokens,
    prepare,
    probe_picture,
    text_part,
)
from guardrail.inference.export.checkpoints import Checkpoint, open_checkpoint
from guardrail.inference.export.parity import SENTENCES, Parity, compared, cost, kept_cosine
from guardrail.inference.export.recipe import Recipe, load_recipes
from guardrail.inference.export.tools import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    forget,
    need,
    quantise,
    seal,
    to_onnx,
    workshop,
)
from guardrail.inference.manifest import Manifest, load_catalogue

PROBE = "a photo of a lighthouse"
REPORT_FILE = "parity.json"
_ROWS = 4
_NOT_MEASURED = (
    "Accuracy with these weights was not measured by the makers of guardrail. Measure it on your own pictures: "
    "`guardrail policy try-concept` and `guardrail eval` with a policy that has picture concepts."
)


def export_clip(
    source: str,
    folder: Path,
    *,
    pretrained: str | None = None,
    name: str | None = None,
    int8: bool = False,
    keep_torch: bool = False,
    licence: str | None = None,
) -> tuple[Manifest, Manifest, Parity]:
    """Write both towers, the tokenizer, what they are fed, a parity report and two manifests into `folder`.

    Args:
        source: a recipe, an architecture of open_clip, a folder, or a hub id.
        folder: where manifests lie; the files go to folders of the models' names in it.
        pretrained: tag or weight file of an open_clip architecture, or "random".
        name: of the model; made from the source when None.
        int8: quantise the weights.
        keep_torch: keep the weights as safetensors too, for the torch backend.
        licence: of the weights, when no recipe says it.

    Returns:
        Manifests of the image tower and of the text tower, and what was compared.

    Raises:
        ConfigurationError: torch is not installed, the name is taken or unusable, or the folder cannot be written.
        ModelError: the source is not usable.
        ModelIntegrityError: the ONNX towers do not say what the checkpoint says; nothing is kept.
    """
    begun = time.monotonic()
    recipe = load_recipes().get(source)
    name = _name(source, pretrained, name)
    checkpoint = open_checkpoint(source, pretrained, recipe=recipe)
    origin = source if pretrained is None else f"{source} --pretrained {pretrained}"
    with workshop(folder, name) as work:
        spec, parity = _towers(checkpoint, work, int8)
        (work / SPEC_FILE).write_text(spec.model_dump_json(indent=2), encoding="utf-8")
        (work / TOKENIZER_FILE).write_text(checkpoint.tokenizer, encoding="utf-8")
        parity = Parity(parity.error, parity.cosine, parity.preprocessing, parity.tokens, parity.cpu_ms, _since(begun))
        parity.write(work / REPORT_FILE)
        kept = _keep(checkpoint, work) if keep_torch else []
        fields = _fields(checkpoint, recipe, spec, parity, origin, licence)
        for part in (name, text_part(name)):
            forget(folder, part)
        text = seal(work, folder, text_part(name), ["text.onnx", TOKENIZER_FILE], origin, **fields(text=True))
        files = ["image.onnx", SPEC_FILE, REPORT_FILE, *kept]
        image = seal(work, folder, name, files, origin, **fields(text=False))
    return image, text, parity


def _name(source: str, pretrained: str | None, name: str | None) -> str:
    if name is None:
        parts = [Path(source).name if "/" in source else source]
        if pretrained:
            parts.append(Path(pretrained).stem)
        name = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ConfigurationError(f"{name!r} is no name of a model", advice="Give --name in lower case letters.")
    if not {name, text_part(name)}.isdisjoint(set(load_catalogue())):
        raise ConfigurationError(f"a shipped model is called {name!r}", advice="Give another --name.")
    return name


def _towers(checkpoint: Checkpoint, work: Path, int8: bool) -> tuple[ClipSpec, Parity]:
    torch = need("torch")

    class Tower(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, model: Any, run: Any) -> None:
            super().__init__()
            self.model, self.run = model, run

        def forward(self, fed: Any) -> Any:
            return self.run(self.model, fed)

    spec, pixels, ids, error, tokens = _fed(checkpoint)
    rows, found = min(_ROWS, len(ids)), {}
    feeds = {"image": (PIXELS, pixels, checkpoint.image), "text": (IDS, ids, checkpoint.text)}
    fault, cosine, spent = {}, {}, {}
    for part, (label, feed, run) in feeds.items():
        given = torch.from_numpy(feed)
        with torch.no_grad():
            found[part] = run(checkpoint.model, given).numpy()
        path = work / f"{part}.onnx"
        axes = {label: {0: "n"}, "embedding": {0: "n"}}
        to_onnx(Tower(checkpoint.model, run).eval(), {label: given[:rows]}, ["embedding"], path, axes)
        fault[part] = compared(path, label, feed, found[part], f"{part} tower")
        if int8:
            small = work / f"{part}-int8.onnx"
            quantise(path, small)
            cosine[part] = kept_cosine(small, label, feed, found[part], f"{part} tower")
            small.replace(path)
        spent[part] = cost(path, label, feed)
    # the first row of each feed is the probe
    probes = {f"probe_{part}": [round(float(item), 6) for item in found[part][0]] for part in feeds}
    spec = spec.model_copy(update={"probe": PROBE, **probes})
    return spec, Parity(fault, cosine, error, (tokens, len(SENTENCES) + 1), spent)


def _fed(checkpoint: Checkpoint) -> tuple[ClipSpec, np.ndarray[Any, Any], np.ndarray[Any, Any], float | None, int]:
    """What the towers are compared on, and how far our preprocessing and tokens are from the library's own."""
    spec, noise = checkpoint.spec, np.random.default_rng(0)
    shapes = ((300, 200), (180, 420), (spec.height, spec.width))
    pictures = [probe_picture(), *(Image.fromarray(noise.integers(0, 256, (*shape, 3), np.uint8)) for shape in shapes)]
    pixels = np.stack([prepare(item, spec) for item in pictures])
    error = None
    if checkpoint.preprocess is not None:
        theirs = np.stack([np.asarray(checkpoint.preprocess(item), np.float32) for item in pictures])
        error = float(np.abs(theirs - pixels).max())
    texts = [PROBE, *SENTENCES]
    ids = ClipTokens(checkpoint.tokenizer, spec).ids(texts)
    theirs = np.asarray(checkpoint.tokenise(texts), np.int64)
    wrong = len(texts) if ids.shape != theirs.shape else int((ids != theirs).any(axis=1).sum())
    if wrong:
        raise ModelIntegrityError(
            f"the tokenizer splits {wrong} of {len(texts)} texts otherwise than the checkpoint's own",
            advice="The export is not used. Report the architecture; its tokenizer is not supported.",
        )
    return spec, pixels, ids, error, wrong


def _keep(checkpoint: Checkpoint, work: Path) -> list[str]:
    state = {name: value.contiguous().clone() for name, value in checkpoint.model.state_dict().items()}
    need("safetensors.torch").save_file(state, str(work / WEIGHTS_FILE))
    (work / CONFIG_FILE).write_text(json.dumps(checkpoint.config, default=str), encoding="utf-8")
    return [WEIGHTS_FILE, CONFIG_FILE]


def _fields(
    checkpoint: Checkpoint, recipe: Recipe | None, spec: ClipSpec, parity: Parity, origin: str, licence: str | None
) -> Any:
    how = "int8" if parity.cosine else "fp32"
    figures = [f"largest difference to torch {max(parity.error.values()):.1e}"]
    if parity.cosine:
        figures.append(f"smallest cosine of int8 to fp32 {min(parity.cosine.values()):.4f}")
    about = recipe.card if recipe else f"Exported from {origin} ({checkpoint.library})."
    shared: dict[str, Any] = {
        "licence": licence or (recipe.licence if recipe else "unknown: ask the maker of the weights"),
        "author": recipe.author if recipe else f"checkpoint {origin}",
        "card": f"{about.strip()} {how}; {'; '.join(figures)}. {_NOT_MEASURED}",
    }

    def fields(*, text: bool) -> dict[str, Any]:
        if text:
            return shared | {
                "task": "words to vectors (CLIP text tower)",
                "inputs": {IDS: f"(n, {spec.context}) int64"},
                "outputs": [f"{spec.vector}-d embedding, unit length"],
                "preprocessing": f"{TOKENIZER_FILE}; text cleaned: {spec.clean}; padded with {spec.pad}",
            }
        return shared | {
            "task": "pictures to vectors (CLIP image tower)",
            "inputs": {PIXELS: f"(n, 3, {spec.height}, {spec.width}) float32"},
            "outputs": [f"{spec.vector}-d embedding, unit length"],
            "preprocessing": f"{spec.fit} to {spec.resize}, {spec.interpolation}; mean {spec.mean}, std {spec.std}",
        }

    return fields


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 1)

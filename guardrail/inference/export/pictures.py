"""`export_pictures`: an image classifier of transformers or timm -> a verified ONNX network, usable without torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from guardrail.errors import ConfigurationError, ModelError, ModelIntegrityError
from guardrail.inference.clip import PIXELS, probe_picture
from guardrail.inference.export.parity import Parity, compared, cost
from guardrail.inference.export.tools import forget, named, need, opened, opening, quantise, seal, to_onnx, workshop
from guardrail.inference.feeding import METHODS, fed, probabilities
from guardrail.inference.manifest import Classifier, Manifest

WEIGHTS, REPORT = "classifier.onnx", "parity.json"
MOST_SHIFT = 0.05
"""Largest change of a probability that int8 may make."""
MOST_FED = 0.05
"""Largest difference, in deviations, of what the network is fed to what the checkpoint's own preparation makes."""
_RESAMPLE = {2: "bilinear", 3: "bicubic"}
_NOT_MEASURED = "How well it finds what it names was not measured by the makers of guardrail: `guardrail eval` does."


def export_pictures(
    source: str,
    folder: Path,
    *,
    raises: Mapping[str, str],
    name: str | None = None,
    even: float = 0.5,
    int8: bool = False,
    licence: str | None = None,
) -> tuple[Manifest, Parity]:
    """Write the network, a parity report and a manifest that pins both and says what is fed, into `folder`.

    The guard squeezes every picture whole into the size of the network, so that nothing lies beyond a crop.

    Args:
        source: folder with a checkpoint of transformers or timm, or a hub id.
        folder: where manifests lie.
        raises: class -> signal; other classes raise nothing.
        name: of the model; made from the source when None.
        even: probability that is scored 0.5.
        int8: quantise the weights.
        licence: of the weights.

    Raises:
        ConfigurationError: torch is not installed, the name, a class or a signal is unusable, or the folder cannot be
            written.
        ModelError, ModelSourceError: the source classifies no pictures, is fed in another way, or does not open.
        ModelIntegrityError: the network does not say what the checkpoint says; nothing is kept.
    """
    begun = time.monotonic()
    name = named(source, name)
    model, processor = _opened(source)
    how = _how(source, model, processor, raises, even)
    apart = _preparation(processor, how)
    with workshop(folder, name) as work:
        error, spent = _network(model, how, work / WEIGHTS, int8)
        parity = Parity(error, {}, apart, (0, 0), spent, round(time.monotonic() - begun, 1))
        parity.write(work / REPORT)
        forget(folder, name)
        manifest = seal(
            work,
            folder,
            name,
            [WEIGHTS, REPORT],
            " ".join([source, *(f"--raises {label}={signal}" for label, signal in raises.items())]),
            task=f"pictures: {', '.join(sorted({signal for signal in how.labels.values() if signal}))}",
            author=f"checkpoint {source}",
            licence=licence or "unknown: ask the maker of the weights",
            preprocessing=f"squeezed to {how.width} x {how.height}, {how.interpolation}",
            inputs={PIXELS: f"(n, 3, {how.height}, {how.width}) float32"},
            outputs=list(how.labels),
            classifier=how,
            card=f"Exported from {source} ({model.config.model_type}), {'int8' if int8 else 'fp32'}; largest "
            f"difference to torch {max(error.values()):.1e}. {_NOT_MEASURED}",
        )
    return manifest, parity


def _opened(source: str) -> tuple[Any, Any]:
    torch, library = need("torch"), need("transformers")
    with opening(source):
        config = library.AutoConfig.from_pretrained(source)
        timm = config.model_type == "timm_wrapper"
        if not timm and not any("ForImageClassification" in item for item in config.architectures or ()):
            raise ModelError(f"{source!r} is a {config.model_type!r} that classifies no pictures")
        if not timm:
            config._attn_implementation = "eager"
        kind = library.AutoModelForImageClassification
        model = kind.from_pretrained(source, config=config, dtype=torch.float32, use_safetensors=True).eval()
        return model, library.AutoImageProcessor.from_pretrained(source, **({} if timm else {"backend": "pil"}))


def _how(source: str, model: Any, processor: Any, raises: Mapping[str, str], even: float) -> Classifier:
    classes = [str(model.config.id2label[at]) for at in range(int(model.config.num_labels))]
    for wanted in raises:
        if wanted not in classes:
            raise ConfigurationError(
                f"no class of {source} is called {wanted!r}", advice=f"It has: {', '.join(classes)[:300]}."
            )
    several = getattr(model.config, "problem_type", None) == "multi_label_classification" or len(classes) == 1
    try:
        return Classifier(
            input=PIXELS,
            labels={item: raises.get(item) for item in classes},
            activation="sigmoid" if several else "softmax",
            even=even,
            **_preparing(source, processor),
        )
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {error.errors()[0]['msg']}", advice="See --raises and --even.") from error


def _preparing(source: str, processor: Any) -> dict[str, Any]:
    """Size, kernel, mean and deviation out of a processor of transformers, or out of timm's own configuration."""
    timm = getattr(processor, "data_config", None)
    if timm is not None:
        _, high, wide = timm["input_size"]
        kernel, middle, spread = str(timm["interpolation"]), timm["mean"], timm["std"]
    else:
        size = dict(processor.size if _whole(processor) else getattr(processor, "crop_size", None) or processor.size)
        high = wide = size.get("shortest_edge", 0)
        high, wide = size.get("height", high), size.get("width", wide)
        kernel = _RESAMPLE.get(int(processor.resample), "another kernel")
        middle, spread = processor.image_mean, processor.image_std
    if kernel not in METHODS:
        raise ModelError(f"{source}: pictures are resized by {kernel}; bilinear and bicubic are supported")
    return {
        "height": int(high),
        "width": int(wide),
        "interpolation": kernel,
        "mean": [float(item) for item in middle],
        "std": [float(item) for item in spread],
    }


def _whole(processor: Any) -> bool:
    """Whether a checkpoint squeezes pictures into its size, as the guard does, and crops nothing."""
    size = dict(getattr(processor, "size", None) or {})
    return "height" in size and "width" in size and not getattr(processor, "do_center_crop", False)


def _preparation(processor: Any, how: Classifier) -> float:
    """Largest difference between what the guard feeds and what the checkpoint's own preparation makes of a picture:
    a drawn one, or one of one colour where the checkpoint crops.

    Raises:
        ModelIntegrityError: it is above `MOST_FED`.
    """
    shown = probe_picture() if _whole(processor) else Image.new("RGB", (320, 256), (230, 120, 10))
    theirs = np.asarray(processor(shown, return_tensors="pt")["pixel_values"][0], dtype=np.float32)
    ours = fed(shown.resize((how.width, how.height), METHODS[how.interpolation]), how)
    if theirs.shape != ours.shape or not np.abs(theirs - ours).max() <= MOST_FED:
        raise ModelIntegrityError("pictures are prepared otherwise than the checkpoint prepares them")
    return float(np.abs(theirs - ours).max())


def _probes(how: Classifier) -> NDArray[np.float32]:
    """(4, 3, height, width): a drawn picture, its mirror image, its negative, and noise."""
    drawn = np.asarray(probe_picture().resize((how.width, how.height), METHODS[how.interpolation]))
    noise = np.random.default_rng(1).integers(0, 256, drawn.shape, dtype=np.uint8)
    return np.stack([fed(Image.fromarray(item), how) for item in (drawn, drawn[:, ::-1], 255 - drawn, noise)])


def _network(model: Any, how: Classifier, path: Path, int8: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Writes the network; what it is apart from torch, and what it costs."""
    torch = need("torch")

    class Network(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: Any) -> Any:
            return self.model(pixel_values=pixels).logits

    feed = _probes(how)
    with torch.no_grad():
        wanted = Network()(torch.from_numpy(feed)).numpy()
    axes = {PIXELS: {0: "n"}, "logits": {0: "n"}}
    to_onnx(Network().eval(), {PIXELS: torch.from_numpy(feed[:2])}, ["logits"], path, axes)
    error = {"classifier": compared(path, PIXELS, feed, wanted, "classifier")}
    if int8:
        small = path.with_name("int8.onnx")
        quantise(path, small)
        small.replace(path)
        got = opened(path).run(None, {PIXELS: feed})[0]
        error["int8, of a probability"] = shift = float(
            np.abs(probabilities(got, how) - probabilities(wanted, how)).max()
        )
        if not shift <= MOST_SHIFT:
            raise ModelIntegrityError(f"int8 moves a probability by {shift:.3f}", advice="Export without --int8.")
    return error, {"classifier": cost(path, PIXELS, feed[:1])}

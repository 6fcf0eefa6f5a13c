"""`export_classifier`: a sequence classifier of transformers -> a verified ONNX network, usable without torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from guardrail.errors import ConfigurationError, ModelError, ModelIntegrityError
from guardrail.inference.classifier import (
    IDS,
    PROBE,
    SPEC_FILE,
    TOKENIZER_FILE,
    ClassifierSpec,
    ClassifierTokens,
    padded,
)
from guardrail.inference.export.parity import MOST_ERROR, SENTENCES, Parity, compared, cost
from guardrail.inference.export.tools import forget, named, need, opened, opening, quantise, seal, to_onnx, workshop
from guardrail.inference.manifest import Manifest

WEIGHTS, REPORT = "classifier.onnx", "parity.json"
MOST_SHIFT = 0.05
"""Largest change of a probability that int8 may make."""
_SHARED = 4
_NOT_MEASURED = "How well it finds instructions was not measured by the makers of guardrail: `guardrail eval` does."


def export_classifier(
    source: str,
    folder: Path,
    *,
    instructs: Sequence[str],
    name: str | None = None,
    max_length: int | None = None,
    even: float = 0.5,
    int8: bool = False,
    licence: str | None = None,
) -> tuple[Manifest, Parity]:
    """Write the network, its tokenizer, what it is fed, a parity report and a manifest that pins them into `folder`.

    Args:
        source: folder with a checkpoint of transformers, or a hub id.
        folder: where manifests lie.
        instructs: labels that mean that a text instructs.
        name: of the model; made from the source when None.
        max_length: tokens of a window; what the tokenizer says, at most 512, when None.
        even: probability that is scored 0.5.
        int8: quantise the weights.
        licence: of the weights.

    Raises:
        ConfigurationError: torch is not installed, the name or a label is unusable, or the folder cannot be written.
        ModelError, ModelSourceError: the source is no sequence classifier with a fast tokenizer, or does not open.
        ModelIntegrityError: network or tokenizer do not say what the checkpoint says; nothing is kept.
    """
    begun = time.monotonic()
    name = named(source, name)
    model, tokenizer = _opened(source)
    spec = _spec(source, model, tokenizer, instructs, max_length, even)
    with workshop(folder, name) as work:
        text = str(tokenizer.backend_tokenizer.to_str())
        spec, parity = _network(model, tokenizer, text, spec, work / WEIGHTS, int8)
        parity = replace(parity, seconds=round(time.monotonic() - begun, 1))
        (work / SPEC_FILE).write_text(spec.model_dump_json(indent=2), encoding="utf-8")
        (work / TOKENIZER_FILE).write_text(text, encoding="utf-8")
        parity.write(work / REPORT)
        forget(folder, name)
        fields = _fields(source, model, spec, parity, int8)
        files = [WEIGHTS, TOKENIZER_FILE, SPEC_FILE, REPORT]
        licence = licence or "unknown: ask the maker of the weights"
        manifest = seal(work, folder, name, files, source, licence=licence, **fields)
    return manifest, parity


def _spec(
    source: str, model: Any, tokenizer: Any, instructs: Sequence[str], max_length: int | None, even: float
) -> ClassifierSpec:
    limit = min(512, int(tokenizer.model_max_length), int(getattr(model.config, "max_position_embeddings", 512)))
    length = max_length or limit
    if length > limit:
        raise ConfigurationError(f"{source} takes {limit} tokens at most", advice="Give a smaller --window.")
    try:
        return ClassifierSpec(
            labels=[str(model.config.id2label[at]) for at in range(int(model.config.num_labels))],
            instructs=list(instructs),
            max_length=length,
            stride=length // _SHARED,
            pad=int(tokenizer.pad_token_id or 0),
            even=even,
        )
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise ConfigurationError(f"{source}: {said}", advice="See --instructs and --window.") from error


def _fields(source: str, model: Any, spec: ClassifierSpec, parity: Parity, int8: bool) -> dict[str, Any]:
    how, error = "int8" if int8 else "fp32", max(parity.error.values())
    windows = f"windows of {spec.max_length} tokens that share {spec.stride}; padded with {spec.pad}"
    return {
        "task": "whether a text instructs a machine (sequence classifier)",
        "author": f"checkpoint {source}",
        "preprocessing": f"{TOKENIZER_FILE}; {windows}",
        "inputs": {IDS: "(n, tokens) int64"},
        "outputs": spec.labels,
        "card": f"Exported from {source} ({model.config.model_type}), {how}; largest difference to torch {error:.1e}. "
        f"{_NOT_MEASURED}",
    }


def _opened(source: str) -> tuple[Any, Any]:
    torch, library = need("torch"), need("transformers")
    with opening(source):
        config = library.AutoConfig.from_pretrained(source)
        if not any("ForSequenceClassification" in item for item in config.architectures or ()):
            raise ModelError(f"{source!r} is a {config.model_type!r} that classifies no texts")
        config._attn_implementation = "eager"
        kind = library.AutoModelForSequenceClassification
        model = kind.from_pretrained(source, config=config, dtype=torch.float32, use_safetensors=True).eval()
        tokenizer = library.AutoTokenizer.from_pretrained(source)
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(f"{source!r} has no tokenizer.json", advice="Save its fast tokenizer beside the weights.")
    return model, tokenizer


def _network(
    model: Any, tokenizer: Any, text: str, spec: ClassifierSpec, path: Path, int8: bool
) -> tuple[ClassifierSpec, Parity]:
    """The network with the mask made inside, compared with torch on whole batches and row by row."""
    torch = need("torch")

    class Network(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any) -> Any:
            return self.model(input_ids=ids, attention_mask=(ids != spec.pad).to(ids.dtype)).logits

    texts = [PROBE, *SENTENCES]
    tokens = ClassifierTokens(text, spec)
    windows = [tokens.windows(item)[0] for item in texts]
    theirs = [tokenizer(item, truncation=True, max_length=spec.max_length)["input_ids"] for item in texts]
    wrong = sum(list(ours) != list(other) for ours, other in zip(windows, theirs, strict=True))
    if wrong:
        raise ModelIntegrityError(
            f"{TOKENIZER_FILE} splits {wrong} of {len(texts)} texts otherwise than the checkpoint"
        )
    feed = padded(windows, spec.pad)
    with torch.no_grad():
        wanted = Network()(torch.from_numpy(feed)).numpy()
    axes = {IDS: {0: "n", 1: "tokens"}, "logits": {0: "n"}}
    to_onnx(Network().eval(), {IDS: torch.from_numpy(feed[:3])}, ["logits"], path, axes)
    error = {"classifier": compared(path, IDS, feed, wanted, "classifier")}
    # one row alone, unpadded: the length of a batch must change nothing
    alone = np.concatenate([opened(path).run(None, {IDS: padded([row], spec.pad)})[0] for row in windows[:4]])
    error["one text alone"] = float(np.abs(alone - wanted[:4]).max())
    if not error["one text alone"] <= MOST_ERROR:
        raise ModelIntegrityError(
            f"padding changes the answer by {error['one text alone']:.1e}", advice="The export is not used."
        )
    if int8:
        small = path.with_name("int8.onnx")
        quantise(path, small)
        small.replace(path)
        shift = error["int8, of a probability"] = float(
            np.abs(_shares(opened(path).run(None, {IDS: feed})[0]) - _shares(wanted)).max()
        )
        if not shift <= MOST_SHIFT:
            raise ModelIntegrityError(f"int8 moves a probability by {shift:.3f}", advice="Export without --int8.")
    places = [spec.labels.index(label) for label in spec.instructs]
    first = opened(path).run(None, {IDS: padded(windows[:1], spec.pad)})[0]
    probe = float(_shares(first)[0, places].sum())
    spec = spec.model_copy(update={"probe": round(min(1.0, probe), 6)})
    spent = {"classifier": cost(path, IDS, padded(windows[:1], spec.pad))}
    return spec, Parity(error, {}, None, (wrong, len(texts)), spent)


def _shares(logits: Any) -> Any:
    """(rows, labels) logits -> probabilities; one label is a logit of its own."""
    if logits.shape[1] == 1:
        return 1 / (1 + np.exp(-logits))
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)

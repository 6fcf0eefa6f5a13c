"""Checkpoints of open_clip and transformers, opened as one shape: two modules, what they are fed, how text is split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guardrail.errors import ModelError, ModelIntegrityError
from guardrail.inference.clip import ClipSpec
from guardrail.inference.export.bpe import from_simple_tokenizer
from guardrail.inference.export.recipe import Recipe
from guardrail.inference.export.tools import need, opening

_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
Run = Callable[[Any, Any], Any]
_ADVICE = "Give a recipe, an architecture of open_clip with --pretrained, a folder, or a hub id."
_TRANSFORMERS = ("clip", "siglip", "siglip2")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A CLIP in memory.

    Attributes:
        library: "open_clip" or "transformers".
        model: the torch module, in evaluation mode on the CPU.
        image, text: (module, pixels or ids) -> (n, vector) features.
        spec: what it is fed.
        tokenizer: tokenizer.json.
        preprocess: Pillow RGB -> (3, height, width) tensor, the library's own, or None.
        tokenise: texts -> (n, context) tensor, the library's own.
        config: enough to build the same module again.
    """

    library: str
    model: Any
    image: Run
    text: Run
    spec: ClipSpec
    tokenizer: str
    preprocess: Callable[[Any], Any] | None
    tokenise: Callable[[Sequence[str]], Any]
    config: dict[str, Any]


def open_checkpoint(source: str, pretrained: str | None = None, *, recipe: Recipe | None = None) -> Checkpoint:
    """Open a checkpoint; nothing of it is executed, and pickles are read with weights only.

    Args:
        source: an architecture of open_clip, a folder, `hf-hub:owner/name` (open_clip) or `owner/name` (transformers).
        pretrained: tag or weight file of an open_clip architecture; "random" for random weights of a fixed seed.
        recipe: taken instead of both.

    Raises:
        ModelError: there is no such source, or it is no CLIP or SigLIP.
        ModelSourceError: a hub did not deliver.
        ModelIntegrityError: the weights are not those of the recipe.
    """
    with opening(source, _ADVICE):
        if recipe is not None:
            folder = _snapshot(recipe)
            if recipe.library == "transformers":
                return _transformers(str(folder))
            return _open_clip(f"local-dir:{folder}", None, recipe.quick_gelu)
        folder = Path(source)
        if folder.is_dir():
            if (folder / "open_clip_config.json").is_file():
                return _open_clip(f"local-dir:{folder.resolve()}", None, False)
            if (folder / "config.json").is_file():
                return _transformers(str(folder))
            raise ModelError(
                f"{source} holds neither open_clip_config.json nor config.json",
                advice="For a bare weight file, give the architecture as SOURCE and the file as --pretrained.",
            )
        if source.startswith("hf-hub:"):
            return _open_clip(source, None, False)
        if source.count("/") == 1 and not folder.exists():
            return _transformers(source)
        return _open_clip(source, pretrained, _quick_gelu(source, pretrained))


def _snapshot(recipe: Recipe) -> Path:
    hub = need("huggingface_hub")
    wanted = ["*.json", "*.txt", "*.model", recipe.weights]
    folder = Path(hub.snapshot_download(recipe.repository, revision=recipe.commit, allow_patterns=wanted))
    if recipe.weights_sha256 is not None:
        with (folder / recipe.weights).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != recipe.weights_sha256:
            raise ModelIntegrityError(f"{recipe.weights} of {recipe.repository} is not the file that the recipe names")
    return folder


def _quick_gelu(architecture: str, tag: str | None) -> bool:
    known = need("open_clip").pretrained.get_pretrained_cfg(architecture, tag or "")
    return bool(known and known.get("quick_gelu"))


def _open_clip(name: str, pretrained: str | None, quick_gelu: bool) -> Checkpoint:
    torch, open_clip = need("torch"), need("open_clip")
    transform = need("open_clip.transform")
    local = name.startswith(("local-dir:", "hf-hub:"))
    if not local:
        if name not in open_clip.list_models():
            near = ", ".join(item for item in open_clip.list_models() if name.lower()[:5] in item.lower())[:200]
            raise ModelError(f"open_clip knows no architecture {name!r}", advice=f"It knows: {near or '…'}")
        if pretrained is None:
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(name))
            raise ModelError(f"{name} needs --pretrained", advice=f"Tags: {tags or 'none'}; or a file, or random.")
    if pretrained == "random":
        torch.manual_seed(0)
    model = open_clip.create_model(
        name,
        pretrained=None if pretrained == "random" else pretrained,
        precision="fp32",
        device="cpu",
        force_quick_gelu=quick_gelu,
        require_pretrained=pretrained != "random",
        weights_only=True,
    ).eval()
    tokens = open_clip.get_tokenizer(name)
    simple = isinstance(tokens, open_clip.tokenizer.SimpleTokenizer)
    config = open_clip.get_model_config(name)
    cfg = dict(model.visual.preprocess_cfg)
    high, wide = _pair(cfg["size"])
    vector = int(config["embed_dim"])
    spec = ClipSpec(
        height=high,
        width=wide,
        resize=max(high, wide) if cfg["resize_mode"] == "longest" else min(high, wide),
        fit=cfg["resize_mode"],
        interpolation=cfg["interpolation"],
        fill=int(cfg.get("fill_color") or 0),
        mean=list(cfg["mean"]),
        std=list(cfg["std"]),
        context=int(tokens.context_length),
        pad=0 if simple else int(tokens.tokenizer.pad_token_id),
        pad_side="right" if simple else tokens.tokenizer.padding_side,
        clean=_cleaning(tokens),
        vector=vector,
        scale=float(model.logit_scale.detach().exp()),
        bias=None if getattr(model, "logit_bias", None) is None else float(model.logit_bias.detach()),
    )
    return Checkpoint(
        "open_clip",
        model,
        *features("open_clip"),
        spec,
        from_simple_tokenizer(tokens) if simple else str(tokens.tokenizer.backend_tokenizer.to_str()),
        transform.image_transform_v2(transform.PreprocessCfg(**cfg), is_train=False),
        lambda texts: tokens(list(texts)),
        {"library": "open_clip", "model": config, "quick_gelu": quick_gelu},
    )


def _cleaning(tokens: Any) -> str:
    name = getattr(tokens.clean_fn, "__name__", "")
    for part in ("canonicalize", "whitespace", "lower"):
        if part in name:
            return part
    raise ModelError(f"the text cleaning {name!r} of this tokenizer is not known")


def _transformers(source: str) -> Checkpoint:
    torch, library = need("torch"), need("transformers")
    config = library.AutoConfig.from_pretrained(source)
    if config.model_type not in _TRANSFORMERS or "naflex" in source.lower():
        raise ModelError(f"{source!r} is a {config.model_type!r}, not one of {', '.join(_TRANSFORMERS)}")
    config._attn_implementation = "eager"
    model = library.AutoModel.from_pretrained(source, config=config, dtype=torch.float32, use_safetensors=True).eval()
    processor = library.AutoImageProcessor.from_pretrained(source, backend="pil")
    tokens = library.AutoTokenizer.from_pretrained(source)
    backend = getattr(tokens, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"{source!r} has no tokenizer.json", advice="Save its fast tokenizer beside the weights.")
    context = int(config.text_config.max_position_embeddings)
    vector = int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)
    if config.model_type != "clip":
        vector = int(getattr(config.text_config, "projection_size", None) or config.vision_config.hidden_size)
    bias = getattr(model, "logit_bias", None)
    spec = ClipSpec(
        **_processing(processor),
        context=context,
        pad=int(tokens.pad_token_id or 0),
        pad_side=tokens.padding_side,
        clean="none",
        vector=vector,
        scale=float(model.logit_scale.detach().exp()),
        bias=None if bias is None else float(bias.detach()),
    )
    length = {"padding": "max_length", "max_length": context, "truncation": True, "return_tensors": "pt"}
    return Checkpoint(
        "transformers",
        model,
        *features("transformers"),
        spec,
        str(backend.to_str()),
        lambda picture: processor(picture, return_tensors="pt").pixel_values[0],
        lambda texts: tokens(list(texts), **length).input_ids,
        {"library": "transformers", "model": config.to_dict()},
    )


def features(library: str) -> tuple[Run, Run]:
    """How a model of a library makes unit vectors: (module, pixels) and (module, ids)."""
    if library == "open_clip":
        return (
            lambda module, pixels: module.encode_image(pixels, normalize=True),
            lambda module, ids: module.encode_text(ids, normalize=True),
        )
    return (
        lambda module, pixels: _unit(module.get_image_features(pixel_values=pixels)),
        lambda module, ids: _unit(module.get_text_features(input_ids=ids)),
    )


def rebuilt(config: dict[str, Any]) -> Any:
    """A module without its weights from the `config` of a checkpoint."""
    if config["library"] == "transformers":
        library = need("transformers")
        found = library.AutoConfig.for_model(**config["model"])
        found._attn_implementation = "eager"
        return library.AutoModel.from_config(found)
    open_clip = need("open_clip")
    wanted = dict(config["model"]) | {"quick_gelu": config["quick_gelu"] or config["model"].get("quick_gelu", False)}
    custom = wanted.pop("custom_text", False)
    return (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**wanted)


def _processing(processor: Any) -> dict[str, Any]:
    size, crop = dict(processor.size), dict(getattr(processor, "crop_size", None) or {})
    edge = size.get("shortest_edge")
    if edge is None:
        high, wide = int(size["height"]), int(size["width"])
    elif getattr(processor, "do_center_crop", False):
        high, wide = int(crop["height"]), int(crop["width"])
    else:
        raise ModelError("its pictures are resized but not cropped; the towers need one size")
    return {
        "height": high,
        "width": wide,
        "resize": int(edge or min(high, wide)),
        "fit": "squash" if edge is None else "shortest",
        "centre": "floor",
        "interpolation": _RESAMPLE.get(int(processor.resample), "bicubic"),
        "mean": [float(item) for item in processor.image_mean],
        "std": [float(item) for item in processor.image_std],
    }


def _unit(features: Any) -> Any:
    """Features at unit length; newer releases of transformers wrap them."""
    features = getattr(features, "pooler_output", features)
    return features / features.norm(dim=-1, keepdim=True)


def _pair(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))

"""Small checkpoints with random weights, written the way both libraries write theirs. Import needs torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel

WORDS = ("a", "photo", "of", "cat", "lighthouse", "painting", "red", "circle", "tree", "sea", "the", "on", "long")


def clip_tokenizer() -> Tokenizer:
    """Byte-level BPE as CLIP's: every byte, alone and at the end of a word, two merges, start and end marks."""
    pieces = sorted(ByteLevel.alphabet())
    vocabulary = {
        piece: at for at, piece in enumerate([*pieces, *(f"{piece}</w>" for piece in pieces), "ca", "cat</w>"])
    }
    start, end = len(vocabulary), len(vocabulary) + 1
    vocabulary |= {"<|startoftext|>": start, "<|endoftext|>": end}
    merges = [("c", "a"), ("ca", "t</w>")]
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=[("<|startoftext|>", start), ("<|endoftext|>", end)]
    )
    return tokenizer


def word_tokenizer() -> Tokenizer:
    """Words and an end mark, as a SigLIP is fed."""
    vocabulary = {"<pad>": 0, "<eos>": 1, "<unk>": 2} | {word: 3 + at for at, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordLevel(vocab=vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return tokenizer


def _fast(tokenizer: Tokenizer, folder: Path, length: int, **marks: str) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=length, **marks).save_pretrained(folder)


def hub_clip(folder: Path) -> Path:
    """A CLIP of transformers: 48 pixels in patches of 16, 2 layers, 64-d vectors, context 24."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    tokenizer = clip_tokenizer()
    end = int(tokenizer.token_to_id("<|endoftext|>") or 0)
    size: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    text = size | {
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": 24,
        "eos_token_id": end,
        "bos_token_id": end - 1,
        "pad_token_id": end,
    }
    torch.manual_seed(1)
    config = CLIPConfig(text_config=text, vision_config=size | {"image_size": 48, "patch_size": 16}, projection_dim=64)
    CLIPModel(config).eval().save_pretrained(folder, safe_serialization=True)
    CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 48, "width": 48}).save_pretrained(folder)
    _fast(tokenizer, folder, 24, bos_token="<|startoftext|>", eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    return folder


def hub_siglip(folder: Path) -> Path:
    """A SigLIP of transformers: 48 pixels squashed, 2 layers, 64-d vectors, context 16."""
    tokenizer = word_tokenizer()
    _siglip(folder, tokenizer.get_vocab_size())
    _fast(tokenizer, folder, 16, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    return folder


def hub_siglip2(folder: Path) -> Path:
    """The same with the tokenizer of SigLIP 2: pairs and bytes as Gemma has, lower case, padded on the left."""
    from transformers import Siglip2Tokenizer

    marks = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    letters = ["\u2581", *sorted({letter for word in WORDS for letter in word})]
    pairs = [("a", "\u2581"), ("d", "o"), ("do", "g"), ("c", "a"), ("ca", "t"), ("o", "f"), ("of", "\u2581")]
    known = [letter for letter in letters if letter not in marks]
    vocabulary = {token: at for at, token in enumerate([*marks, *known, *("".join(pair) for pair in pairs)])}
    merges = [pair for pair in pairs if set(pair) <= vocabulary.keys()]
    _siglip(folder, len(vocabulary))
    Siglip2Tokenizer(vocab=vocabulary, merges=merges, model_max_length=16).save_pretrained(folder)
    return folder


def _siglip(folder: Path, words: int) -> None:
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    size: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    text = size | {
        "vocab_size": words,
        "max_position_embeddings": 16,
        "projection_size": 64,
        "eos_token_id": 1,
        "bos_token_id": 1,
        "pad_token_id": 0,
    }
    torch.manual_seed(2)
    config = SiglipConfig(text_config=text, vision_config=size | {"image_size": 48, "patch_size": 16})
    SiglipModel(config).eval().save_pretrained(folder, safe_serialization=True)
    SiglipImageProcessor(size={"height": 48, "width": 48}).save_pretrained(folder)


def open_siglip(folder: Path) -> Path:
    """A SigLIP as open_clip publishes one: a timm tower, a text tower without causal mask, a tokenizer of its own."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = word_tokenizer()
    _fast(tokenizer, folder, 16, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    model = {
        "embed_dim": 64,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 224,
            "timm_model_name": "vit_tiny_patch16_224",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": tokenizer.get_vocab_size(),
            "hf_tokenizer_name": "local",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": 64,
            "heads": 4,
            "layers": 2,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
        },
    }
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": preprocess}))
    torch.manual_seed(3)
    config = {key: value for key, value in model.items() if key != "custom_text"}
    made = open_clip.CustomTextCLIP(**config).eval()
    save_file(made.state_dict(), str(folder / "open_clip_model.safetensors"))
    return folder

"""The byte-pair vocabulary of CLIP as a tokenizer.json that the `tokenizers` library reads without torch."""

from __future__ import annotations

from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

_WORDS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def from_simple_tokenizer(simple: Any) -> str:
    """tokenizer.json of an `open_clip.tokenizer.SimpleTokenizer`: its vocabulary, its merges, its special tokens.

    What it does not do: mend mojibake (ftfy) and HTML entities before the words are split. Policies hold neither.
    """
    merges = [pair for pair, _ in sorted(simple.bpe_ranks.items(), key=lambda item: int(item[1])) if len(pair) == 2]
    start, end = simple.decoder[simple.sot_token_id], simple.decoder[simple.eot_token_id]
    tokenizer = Tokenizer(
        BPE(
            vocab=dict(simple.encoder),
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            unk_token=end,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, simple.sot_token_id), (end, simple.eot_token_id)]
    )
    return str(tokenizer.to_str())

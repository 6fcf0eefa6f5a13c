"""The text network: a small BERT with frozen embeddings, one logit a head for the sentence, one a token for people."""

from __future__ import annotations

import torch
from synthesise import HEADS
from torch import nn
from torch.nn import functional

WIDTH = 384


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
            made = nn.LayerNorm(WIDTH, eps=1e-12)
            made.weight.data = weights[f"{prefix}{name}.weight"].clone()
            made.bias.data = weights[f"{prefix}{name}.bias"].clone()
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
        mixed = mixed.transpose(1, 2).reshape(batch, tokens, WIDTH)
        states = self.first(states + functional.dropout(self.out(mixed), 0.1, self.training))
        return self.second(states + functional.dropout(self.down(functional.gelu(self.up(states))), 0.1, self.training))


class Net(nn.Module):
    """Mean and maximum over the tokens, a hidden layer of 192, one logit a head; people from the tokens themselves."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(weights["embeddings.word_embeddings.weight"].clone(), freeze=True)
        self.places = nn.Embedding.from_pretrained(
            weights["embeddings.position_embeddings.weight"].clone(), freeze=True
        )
        self.kind = nn.Parameter(weights["embeddings.token_type_embeddings.weight"][0].clone(), requires_grad=False)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.norm.weight.data = weights["embeddings.LayerNorm.weight"].clone()
        self.norm.bias.data = weights["embeddings.LayerNorm.bias"].clone()
        depth = sum(name.endswith("attention.self.query.weight") for name in weights)
        self.layers = nn.ModuleList(Layer(weights, index) for index in range(depth))
        self.hidden, self.heads = nn.Linear(2 * WIDTH, 192), nn.Linear(192, len(HEADS))
        self.people = nn.Linear(WIDTH, 1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and mask, both (batch, tokens) int64 -> logits (batch, heads) and (batch, tokens)."""
        places = torch.arange(ids.shape[1], device=ids.device)
        states = self.norm(self.words(ids) + self.places(places) + self.kind)
        shown = mask[:, :, None].to(states.dtype)
        blocked = (1.0 - mask[:, None, None, :].to(states.dtype)) * -1e4
        for layer in self.layers:
            states = layer(states, blocked)
        mean = (states * shown).sum(1) / shown.sum(1)
        most = (states + (1.0 - shown) * -1e4).max(1).values
        hidden = torch.tanh(self.hidden(torch.cat([mean, most], 1)))
        return self.heads(functional.dropout(hidden, 0.1, self.training)), self.people(states)[:, :, 0]

"""MPNet (Song et al. 2020): BERT's layers with a bias that depends on how far apart two tokens are."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from engine.learning.encoder.attention import bias_size
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig, Names, is_plain_encoder, read_like_bert, tower_names
from engine.learning.encoder.packed import BertEncoder, Table

LAYER: Names = {
    "qkv": ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
    "attention_out": ("attention.attn.o",),
    "attention_norm": ("attention.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "norm": ("output.LayerNorm",),
}
BUCKETS, FARTHEST = 32, 128
"""Hugging Face's code has these numbers whatever the configuration says."""


def read(config: dict[str, Any]) -> EncoderConfig | None:
    if (
        config.get("hidden_act", "gelu") != "gelu"
        or config.get("relative_attention_num_buckets", BUCKETS) != BUCKETS
        or not is_plain_encoder(config)
    ):
        return None
    return read_like_bert(config | {"type_vocab_size": 0}, {"vocab_size": 30527}, first_position=2)


def names(shape: EncoderConfig) -> Names:
    stems = [f"encoder.layer.{number}" for number in range(shape.layers)]
    return tower_names(shape, stems, LAYER, project="") | {
        "relative_bias.weight": ("encoder.relative_attention_bias.weight",)
    }


def bucket(distance: Tensor) -> Tensor:
    """The bucket int64 of how far a key is after a query (T5's, Raffel et al. 2020): half of them for keys that come
    later, in each half one for every short distance, the others wider and wider."""
    half = BUCKETS // 2
    exact = half // 2
    far = distance.abs()
    wide = torch.log(far.clamp(min=exact).float() / exact) / math.log(FARTHEST / exact) * (half - exact)
    return torch.where(far < exact, far, (exact + wide.long()).clamp(max=half - 1)) + half * (distance > 0)


class MPNetEncoder(BertEncoder):
    has_bias = True

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__(shape)
        self.relative_bias = Table(BUCKETS, shape.heads)

    def shared(self, batch: Batch, rows: int, dtype: torch.dtype) -> Tensor:
        """The bias float32[heads, S, S] for `attend`, the same in all layers."""
        size = bias_size(batch)
        distance = torch.arange(1 - size, size, device=batch.device)
        by_distance: Tensor = self.relative_bias(bucket(distance)).t()
        # Row i of the bias is a run of them that begins at distance -i.
        return by_distance.unfold(1, size, 1).flip(1)


FAMILIES = {"mpnet": Family("MPNetForQuestionAnswering", "mpnet.", read, names, network=MPNetEncoder)}

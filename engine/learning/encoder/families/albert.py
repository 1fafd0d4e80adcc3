"""ALBERT (Lan et al. 2020): narrow embeddings, and layers that share their weights in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.learning.encoder.dropout import DropoutMasks
from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig, Names, is_plain_encoder, read_like_bert, tower_names
from engine.learning.encoder.packed import BertEncoder, Layer

LAYER: Names = {
    "qkv": ("attention.query", "attention.key", "attention.value"),
    "attention_out": ("attention.dense",),
    "attention_norm": ("attention.LayerNorm",),
    "up": ("ffn",),
    "down": ("ffn_output",),
    "norm": ("full_layer_layer_norm",),
}
DEFAULTS = {
    "vocab_size": 30000,
    "hidden_size": 4096,
    "num_attention_heads": 64,
    "intermediate_size": 16384,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
GELU = {"gelu": "none", "gelu_new": "tanh"}
"""Hugging Face's name of the activation -> torch's name of its approximation."""


@dataclass(frozen=True)
class AlbertConfig(EncoderConfig):
    """`layers` are computed, of `groups` weights; GELU is approximated by `approximation`."""

    groups: int
    approximation: str


def read(config: dict[str, Any]) -> AlbertConfig | None:
    activation, groups = config.get("hidden_act", "gelu_new"), config.get("num_hidden_groups", 1)
    if activation not in GELU or config.get("inner_group_num", 1) != 1 or not is_plain_encoder(config):
        return None
    given = vars(read_like_bert(config, DEFAULTS)) | {"embedding": config.get("embedding_size", 128)}
    shape = AlbertConfig(**given, groups=groups, approximation=GELU[activation])
    # Without a map between embeddings and layers BERT's would be built, and ALBERT has one at any width.
    return None if shape.embedding == shape.hidden or not 1 <= groups <= shape.layers else shape


def names(shape: AlbertConfig) -> Names:
    stems = [f"encoder.albert_layer_groups.{group}.albert_layers.0" for group in range(shape.groups)]
    return tower_names(shape, stems, LAYER, project="encoder.embedding_hidden_mapping_in")


class AlbertLayer(Layer):
    """BERT's layer without dropout after the feed-forward part."""

    def __init__(self, shape: AlbertConfig) -> None:
        super().__init__(shape)
        self.approximation = shape.approximation

    def feed_forward(self, x: Tensor, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor:
        out: Tensor = self.norm(x + self.down(F.gelu(self.up(x.to(dtype)), approximate=self.approximation)))
        return out


class AlbertEncoder(BertEncoder):
    def __init__(self, shape: AlbertConfig) -> None:
        super().__init__(shape, [AlbertLayer(shape) for _ in range(shape.groups)])
        self.group_of = [int(number / (shape.layers / shape.groups)) for number in range(shape.layers)]

    def passes(self) -> Sequence[nn.Module]:
        return [self.layers[group] for group in self.group_of]


FAMILIES = {"albert": Family("AlbertForQuestionAnswering", "albert.", read, names, network=AlbertEncoder)}

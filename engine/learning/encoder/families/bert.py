"""BERT (Devlin et al. 2019)."""

from __future__ import annotations

from typing import Any

from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig, Names, is_plain_encoder, read_like_bert, tower_names

LAYER: Names = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention_out": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "norm": ("output.LayerNorm",),
}


def read(config: dict[str, Any]) -> EncoderConfig | None:
    if config.get("hidden_act", "gelu") != "gelu" or not is_plain_encoder(config):
        return None
    return read_like_bert(config, {})


def names(shape: EncoderConfig) -> Names:
    """Those of every family whose layers are BERT's."""
    stems = [f"encoder.layer.{number}" for number in range(shape.layers)]
    return tower_names(shape, stems, LAYER, project="embeddings_project")


FAMILIES = {"bert": Family("BertForQuestionAnswering", "bert.", read, names)}

"""DistilBERT (Sanh et al. 2019): BERT's layers without segments, under names of its own."""

from __future__ import annotations

from typing import Any

from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig, Names, is_plain_encoder, tower_names

LAYER: Names = {
    "qkv": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "attention_out": ("attention.out_lin",),
    "attention_norm": ("sa_layer_norm",),
    "up": ("ffn.lin1",),
    "down": ("ffn.lin2",),
    "norm": ("output_layer_norm",),
}


def read(config: dict[str, Any]) -> EncoderConfig | None:
    if (
        config.get("activation", "gelu") != "gelu"
        or config.get("sinusoidal_pos_embds", False)
        or not is_plain_encoder(config)
    ):
        return None
    hidden = config.get("dim", 768)
    return EncoderConfig(
        model_type=config["model_type"],
        layers=config.get("n_layers", 6),
        hidden=hidden,
        heads=config.get("n_heads", 12),
        intermediate=config.get("hidden_dim", 3072),
        embedding=hidden,
        vocabulary=config.get("vocab_size", 30522),
        positions=config.get("max_position_embeddings", 512),
        first_position=0,
        type_vocabulary=0,
        norm_eps=1e-12,
        hidden_dropout=config.get("dropout", 0.1),
        attention_dropout=config.get("attention_dropout", 0.1),
        head_dropout=config.get("qa_dropout", 0.1),
        initializer_range=config.get("initializer_range", 0.02),
    )


def names(shape: EncoderConfig) -> Names:
    stems = [f"transformer.layer.{number}" for number in range(shape.layers)]
    return tower_names(shape, stems, LAYER, project="")


FAMILIES = {"distilbert": Family("DistilBertForQuestionAnswering", "distilbert.", read, names)}

"""The sizes of a model that is computed without padding, read from config.json, and the names of its weights. Needs no
torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Names = dict[str, tuple[str, ...]]
"""Our parameter -> Hugging Face's; several where we hold them stacked."""


@dataclass(frozen=True)
class EncoderConfig:
    """What config.json says about a model of a family; `type_vocabulary` 0: no segment embeddings.

    A family that has more to say derives from it.
    """

    model_type: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    embedding: int
    vocabulary: int
    positions: int
    first_position: int
    type_vocabulary: int
    norm_eps: float
    hidden_dropout: float
    attention_dropout: float
    head_dropout: float
    initializer_range: float

    @property
    def longest(self) -> int:
        """Tokens of the longest window that has positions."""
        return self.positions - self.first_position


def is_plain_encoder(config: dict[str, Any]) -> bool:
    """Neither a decoder nor with more scores for a token than start and end."""
    return (
        config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
        and not config.get("add_cross_attention", False)
        and config.get("num_labels", 2) == 2
        and len(config.get("id2label") or (0, 1)) == 2
    )


def read_like_bert(config: dict[str, Any], defaults: Mapping[str, Any], *, first_position: int = 0) -> EncoderConfig:
    """A configuration with BERT's names; `defaults` are those of the family where they differ from BERT's."""
    given: dict[str, Any] = {
        "num_hidden_layers": 12,
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 30522,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
    }
    given |= dict(defaults) | {name: value for name, value in config.items() if value is not None}
    return EncoderConfig(
        model_type=config["model_type"],
        layers=given["num_hidden_layers"],
        hidden=given["hidden_size"],
        heads=given["num_attention_heads"],
        intermediate=given["intermediate_size"],
        embedding=given["hidden_size"],
        vocabulary=given["vocab_size"],
        positions=given["max_position_embeddings"],
        first_position=first_position,
        type_vocabulary=given["type_vocab_size"],
        norm_eps=given["layer_norm_eps"],
        hidden_dropout=given["hidden_dropout_prob"],
        attention_dropout=given["attention_probs_dropout_prob"],
        head_dropout=0.0,
        initializer_range=given["initializer_range"],
    )


def tower_names(shape: EncoderConfig, layer_stems: list[str], layer: Names, *, project: str) -> Names:
    """Names of BERT's embeddings, of the map `project` to the layers' width where there is one, and of layers whose
    parts are called as `layer` says, after each of `layer_stems`."""
    names: Names = {
        "word_embeddings.weight": ("embeddings.word_embeddings.weight",),
        "position_embeddings.weight": ("embeddings.position_embeddings.weight",),
    }
    if shape.type_vocabulary:
        names["token_type_embeddings.weight"] = ("embeddings.token_type_embeddings.weight",)
    modules: Names = {"embedding_norm": ("embeddings.LayerNorm",)}
    if shape.embedding != shape.hidden:
        modules["project"] = (project,)
    for number, stem in enumerate(layer_stems):
        for ours, theirs in layer.items():
            modules[f"layers.{number}.{ours}"] = tuple(f"{stem}.{name}" for name in theirs)
    for ours, theirs in modules.items():
        for kind in ("weight", "bias"):
            names[f"{ours}.{kind}"] = tuple(f"{name}.{kind}" for name in theirs)
    return names

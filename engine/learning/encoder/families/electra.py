"""ELECTRA (Clark et al. 2020): BERT with embeddings of a width of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.learning.encoder.families.bert import names
from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig, is_plain_encoder, read_like_bert

DEFAULTS = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}


def read(config: dict[str, Any]) -> EncoderConfig | None:
    if config.get("hidden_act", "gelu") != "gelu" or not is_plain_encoder(config):
        return None
    return replace(read_like_bert(config, DEFAULTS), embedding=config.get("embedding_size", 128))


FAMILIES = {"electra": Family("ElectraForQuestionAnswering", "electra.", read, names)}

"""RoBERTa (Liu et al. 2019), and XLM-RoBERTa and CamemBERT, which differ in their text alone."""

from __future__ import annotations

from typing import Any

from engine.learning.encoder.families.bert import names
from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig, is_plain_encoder, read_like_bert


def read(config: dict[str, Any]) -> EncoderConfig | None:
    if config.get("hidden_act", "gelu") != "gelu" or not is_plain_encoder(config):
        return None
    return read_like_bert(config, {"vocab_size": 50265}, first_position=config.get("pad_token_id", 1) + 1)


FAMILIES = {
    "roberta": Family("RobertaForQuestionAnswering", "roberta.", read, names),
    "xlm-roberta": Family("XLMRobertaForQuestionAnswering", "roberta.", read, names),
    "camembert": Family("CamembertForQuestionAnswering", "roberta.", read, names),
}

"""The families that are computed without padding. A new one is a module here and its line in MODULES."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig

MODULES = {
    "bert": "bert",
    "distilbert": "distilbert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "electra": "electra",
    "albert": "albert",
    "mpnet": "mpnet",
    "modernbert": "modernbert",
    "deberta-v2": "deberta_v2",
}
"""Hugging Face's `model_type` -> the module, whose FAMILIES has an entry of this name. Modules are imported when they
are asked for: those with layers of their own import torch."""


def family(model_type: str) -> Family:
    """Raises KeyError for a `model_type` that is not in MODULES."""
    found: dict[str, Family] = import_module(f"{__package__}.{MODULES[model_type]}").FAMILIES
    return found[model_type]


def read_config(config: dict[str, Any]) -> EncoderConfig | None:
    """None where config.json describes a model of no family, or of a variety that is not built here."""
    kind = config.get("model_type", "")
    if not isinstance(kind, str) or kind not in MODULES:
        return None
    shape = family(kind).read(config)
    return None if shape is None or shape.hidden % shape.heads else shape

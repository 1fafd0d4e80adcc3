"""Models of published sizes with random weights, the work that they are, and what a device can do."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np


def _sizes(model_type: str, hidden: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
    }


SPECIAL = {"pad_token_id": 0, "cls_token_id": 101, "sep_token_id": 102, "bos_token_id": 101, "eos_token_id": 102}
SIZES: dict[str, dict[str, Any]] = {
    "base": _sizes("bert", 768, 12, 12),
    "large": _sizes("bert", 1024, 24, 16),
    "modernbert": {"model_type": "modernbert", "vocab_size": 30522, **SPECIAL},
    "deberta": _sizes("deberta-v2", 768, 12, 12)
    | {
        "vocab_size": 30522,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_buckets": 256,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
    },
}
"""BERT-base and BERT-large (Devlin et al. 2019, section 3), ModernBERT-base (Warner et al. 2024, table 4) and
DeBERTa-v3-base (He et al. 2021), the latter two with BERT's vocabulary."""


def random_model(folder: Path, size: str, vocabulary: Path) -> Path:
    """Write a model of that size, with the tokenizer of the model in `vocabulary`, into `folder`."""
    import torch
    from transformers import AutoConfig, AutoModelForQuestionAnswering

    torch.manual_seed(0)
    config = AutoConfig.for_model(**SIZES[size])
    AutoModelForQuestionAnswering.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if (vocabulary / name).is_file():
            shutil.copyfile(vocabulary / name, folder / name)
    return folder


def training_work(model: Path, lengths: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    """Floating-point operations of learning from windows of these lengths: the matrix products of the layers,
    forward and twice that backward; nothing for padding, embeddings, normalisation or recomputation."""
    config = json.loads((model / "config.json").read_text("utf-8"))
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    maps = 3 if config["model_type"] == "modernbert" else 2  # of its feed-forward part, which has a gate
    products = 2 * lengths * (4 * hidden * hidden + maps * hidden * inner)
    attention = 4 * lengths * lengths * hidden
    return float(3 * layers * (products + attention).sum())


def finish(device: str) -> None:
    """Wait until the device has done all that it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def peak_device_memory(device: str) -> int | None:
    """The most bytes that this process has held on the device, None where that is the processor."""
    if device != "cuda":
        return None
    import torch

    return int(torch.cuda.max_memory_allocated())


def matrix_speed(device: str) -> float:
    """Operations a second of the best of ten big bfloat16 matrix products."""
    import torch

    size = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        finish(device)
        began = time.perf_counter()
        torch.matmul(a, b)
        finish(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best

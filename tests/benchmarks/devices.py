"""Models of BERT's published sizes with random weights, the work that they are, and what a device can do."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"base": (768, 12, 12), "large": (1024, 24, 16)}
"""Hidden size, layers, heads of BERT-base and BERT-large (Devlin et al. 2019, section 3)."""


def random_model(folder: Path, size: str, vocabulary: Path) -> Path:
    """Write a model of that size, with the tokenizer of the model in `vocabulary`, into `folder`."""
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    hidden, layers, heads = SIZES[size]
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden
    )
    BertForQuestionAnswering(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if (vocabulary / name).is_file():
            shutil.copyfile(vocabulary / name, folder / name)
    return folder


def training_work(model: Path, lengths: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    """Floating-point operations of learning from windows of these lengths: the matrix products of the layers,
    forward and twice that backward; nothing for padding, embeddings, normalisation or recomputation."""
    config = json.loads((model / "config.json").read_text("utf-8"))
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    products = 2 * lengths * (4 * hidden * hidden + 2 * hidden * inner)
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

"""Models that read from left to right, such as GPT-2 and Llama: what of a window a token's score can depend on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.data.features import Features
from engine.errors import ModelError
from engine.events import Warned
from engine.learning.batches import make_batch
from engine.learning.encoder.inner import evaluating
from engine.learning.encoder.load import Model
from engine.learning.prepare import Emit, Task


def check_reading_order(model: Model, task: Task, emit: Emit) -> None:
    """Warn of a model that reads from left to right. Raises ModelError where it reads the passage before the
    question."""
    if model.packed or not reads_left_to_right(model, task.train):
        return
    name = model.files.name
    if not task.tokenizer.question_first:
        raise ModelError(
            f"{name}: it reads from left to right, and its tokenizer, which pads on the left, puts the passage before "
            "the question: no score of the passage would depend on the question.",
            hint='Set "padding_side": "right" in its tokenizer_config.json, or choose an encoder.',
        )
    null = '; that of "no answer", at the first token, depends on nothing' if task.allow_null else ""
    emit(
        Warned(
            message=f"{name} reads from left to right: a token's score does not depend on what follows it{null}.",
            hint="An encoder such as BERT, DeBERTa or ModernBERT sees the whole window.",
        )
    )


def reads_left_to_right(model: Model, features: Features) -> bool:
    """Whether another last token of a window changes its own score and not that of the token before it."""
    longest = np.diff(features.token_offset).argmax()
    batch = make_batch(features, np.array([longest]), device=model.device)
    ids = batch.input_ids.clone()
    batch.input_ids[-1] = torch.where(ids[-1] == ids[0], ids[1], ids[0])
    with evaluating(model), torch.inference_mode():
        changed: Tensor = model.network(batch, None, torch.float32)
        batch.input_ids.copy_(ids)
        usual: Tensor = model.network(batch, None, torch.float32)
    return torch.equal(changed[-2], usual[-2]) and not torch.equal(changed[-1], usual[-1])

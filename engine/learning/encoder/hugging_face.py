"""Any other architecture: Hugging Face's own model, over batches padded as little as can be."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks
from engine.models import ModelFiles, no_head

GROUP_TOKENS = {"cpu": 1024, "cuda": 8192}
"""A batch is cut into groups of windows of similar length, of at least so many tokens: less padding, the same batch."""


TYPES_AMONG_WORDS = ("gpt2", "gpt_neo", "gptj", "xlm", "flaubert")
"""Architectures whose segment types are ids of words: type 0 would add the first word to every token."""


class HuggingFaceEncoder(nn.Module):
    """Wraps a Hugging Face question-answering model; takes and returns tokens without padding."""

    def __init__(self, model: nn.Module, pad_id: int) -> None:
        super().__init__()
        self.model = model
        self.pad_id = pad_id
        architecture = getattr(getattr(model, "config", None), "model_type", "")
        taken = inspect.signature(model.forward).parameters
        self.takes_types = "token_type_ids" in taken and architecture not in TYPES_AMONG_WORDS

    def forward(self, batch: Batch, masks: DropoutMasks | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """Scores float32[T, 2]. Dropout is torch's own; `masks` are not used."""
        device = batch.device
        bounds = [0]
        for length in batch.lengths:
            bounds.append(bounds[-1] + length)
        scores: list[Tensor] = [batch.input_ids.new_empty(0)] * len(batch.lengths)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            for group in _groups(batch.lengths, GROUP_TOKENS.get(device.type, 4096)):
                size = (len(group), batch.lengths[group[0]])
                ids = torch.full(size, self.pad_id, device=device)
                types, real = torch.zeros_like(ids), torch.zeros_like(ids)
                for row, window in enumerate(group):
                    low, high = bounds[window], bounds[window + 1]
                    ids[row, : high - low] = batch.input_ids[low:high]
                    types[row, : high - low] = batch.type_ids[low:high]
                    real[row, : high - low] = 1
                more = {"token_type_ids": types} if self.takes_types else {}
                out: Any = self.model(input_ids=ids, attention_mask=real, **more)
                both = torch.stack((out.start_logits, out.end_logits), dim=-1).float()
                for row, window in enumerate(group):
                    scores[window] = both[row, : batch.lengths[window]]
        return torch.cat(scores)


def _groups(lengths: list[int], tokens: int) -> list[list[int]]:
    """Windows sorted by length, longest first, in groups of about `tokens` tokens."""
    groups: list[list[int]] = []
    held = tokens
    for window in sorted(range(len(lengths)), key=lambda w: -lengths[w]):
        if held >= tokens:
            groups.append([])
            held = 0
        groups[-1].append(window)
        held += lengths[window]
    return groups


CHOOSE_ANOTHER = "Choose an encoder such as BERT, RoBERTa, DeBERTa or ModernBERT."
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""What config.json calls the dropout of attention probabilities."""


def load_hugging_face(
    files: ModelFiles, *, seed: int | None, trust_remote_code: bool, attention_dropout: float | None = None
) -> HuggingFaceEncoder:
    """The model in float32, a missing head drawn from `seed`; refused where that is None. `attention_dropout`
    replaces the model's own. Raises ModelError."""
    from transformers import MODEL_FOR_QUESTION_ANSWERING_MAPPING as HAVE_HEADS
    from transformers import AutoConfig, AutoModel, AutoModelForQuestionAnswering

    if files.config().get("is_encoder_decoder"):
        raise ModelError(
            f"{files.name}: an encoder-decoder writes its answers; it gives no start and end score to a passage's "
            "tokens.",
            hint=CHOOSE_ANOTHER,
        )
    torch.manual_seed(seed or 0)
    try:
        config: Any = AutoConfig.from_pretrained(files.path, trust_remote_code=trust_remote_code)
        if not trust_remote_code and type(config) not in HAVE_HEADS:
            raise ModelError(
                f"{files.name}: transformers has no question-answering model of its architecture, {config.model_type}.",
                hint=CHOOSE_ANOTHER,
            )
        if attention_dropout is not None:
            _set_attention_dropout(config, attention_dropout, files)
        given: dict[str, Any] = {
            "config": config,
            "dtype": torch.float32,
            "use_safetensors": True,
            "trust_remote_code": trust_remote_code,
            "output_loading_info": True,
        }
        model, loading = AutoModelForQuestionAnswering.from_pretrained(files.path, **given)
        if seed is not None and (missing := _missing_below_the_head(model, loading)):
            # Llama's and Qwen's classes call the body otherwise than the language models that are published.
            body, loading_body = AutoModel.from_pretrained(files.path, **given)
            if lacking := sorted(missing & set(loading_body["missing_keys"])):
                raise ModelError(f"{files.name}: its weights lack {lacking[0]} ({len(lacking)} are missing).")
            model.base_model.load_state_dict(body.state_dict(), strict=False)
    except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{files.name}: can't be loaded for question answering: {line[:300]}",
            hint=CHOOSE_ANOTHER,
        ) from None
    if seed is None and loading["missing_keys"]:
        raise no_head(files)
    pad = getattr(model.config, "pad_token_id", None)
    return HuggingFaceEncoder(model, pad if isinstance(pad, int) else 0)


def _missing_below_the_head(model: Any, loading: dict[str, Any]) -> set[str]:
    """Names, without the body's own, of weights of the body that were not found."""
    prefix = f"{model.base_model_prefix}."
    return {name.removeprefix(prefix) for name in loading["missing_keys"] if name.startswith(prefix)}


def _set_attention_dropout(config: Any, p: float, files: ModelFiles) -> None:
    names = [name for name in ATTENTION_DROPOUT if hasattr(config, name)]
    if not names:
        raise ModelError(
            f"{files.name}: its config.json names no dropout of attention probabilities.",
            hint="Leave --attention-dropout out.",
        )
    for name in names:
        setattr(config, name, p)

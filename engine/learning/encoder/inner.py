"""What lies between tokens and scores: input embeddings put in from outside, and the head on every layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.hugging_face import HuggingFaceEncoder
from engine.learning.encoder.load import Model
from engine.learning.encoder.packed import PackedEncoder

FINAL_NORMS = ("final_norm", "ln_f", "norm", "norm_f", "final_layer_norm")
"""What Hugging Face's models that normalise before each layer call the normalisation after the last."""


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Within the context nothing is dropped; afterwards the network is as it was."""
    training = model.network.training
    model.network.eval()
    try:
        yield
    finally:
        model.network.train(training)


def word_embeddings(model: Model) -> nn.Module:
    """The table that turns token ids into input embeddings, before positions and types are added."""
    if isinstance(model.network, PackedEncoder):
        return model.network.word_embeddings
    assert isinstance(model.network, HuggingFaceEncoder)
    hub_model: Any = model.network.model
    table: nn.Module = hub_model.get_input_embeddings()
    return table


def embed(model: Model, input_ids: Tensor) -> Tensor:
    """Input embeddings float32[T, E] of int64[T] token ids, without gradient."""
    with torch.no_grad():
        embedded: Tensor = word_embeddings(model)(input_ids)
    return embedded


def scores_of_embeddings(model: Model, batch: Batch, embedded: Tensor, dtype: torch.dtype) -> Tensor:
    """Scores float32[B, n, 2] of a batch of B windows of n tokens each, whose input embeddings are `embedded`
    float32[B, n, E] whatever its token ids are; they carry gradients to `embedded`."""
    rows, length = len(batch.lengths), batch.lengths[0]
    given, taken = embedded.reshape(rows * length, -1), 0

    def put_in(_module: nn.Module, _arguments: object, found: Tensor) -> Tensor:
        # An encoder that works in groups asks for them in turn: windows of one length keep their order.
        nonlocal taken
        size = found.shape[:-1].numel()
        taken += size
        return given[taken - size : taken].view(found.shape).to(found.dtype)

    hook = word_embeddings(model).register_forward_hook(put_in)
    try:
        scores: Tensor = model.network(batch, None, dtype)
    finally:
        hook.remove()
    return scores.view(rows, length, 2)


def layer_scores(model: Model, batch: Batch, dtype: torch.dtype) -> Tensor:
    """Scores float32[layers + 1, n, 2] of the one window of `batch`: the question-answering head on the output of
    the embeddings and of each layer; the last row is the model's own. Raises ModelError.

    Layers before the last were not trained for the head: a lens, not a proof (VisBERT, arXiv 1909.04925).
    """
    with evaluating(model), torch.inference_mode():
        if isinstance(model.network, PackedEncoder):
            return _packed_layers(model.network, batch, dtype)
        assert isinstance(model.network, HuggingFaceEncoder)
        return _hugging_face_layers(model, model.network, batch, dtype)


def _packed_layers(network: PackedEncoder, batch: Batch, dtype: torch.dtype) -> Tensor:
    states: list[Tensor] = []

    def keep_input(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if not states:
            states.append(arguments[0])

    def keep_output(_module: nn.Module, _arguments: object, found: Tensor) -> None:
        states.append(found)

    hooks = [network.layers[0].register_forward_pre_hook(keep_input)]
    hooks += [layer.register_forward_hook(keep_output) for layer in network.layers]
    try:
        own: Tensor = network(batch, None, dtype)
    finally:
        for hook in hooks:
            hook.remove()
    scores = [network.scores(state[: len(own)]) for state in states[:-1]]
    return torch.stack([*scores, own])


def _hugging_face_layers(model: Model, network: HuggingFaceEncoder, batch: Batch, dtype: torch.dtype) -> Tensor:
    hub_model: Any = network.model
    base: Any = hub_model.base_model
    if base is hub_model:
        raise ModelError(f"{model.files.name}: this architecture does not show its layers.")
    more = {"token_type_ids": batch.type_ids[None]} if network.takes_types else {}
    ids, real = batch.input_ids[None], torch.ones_like(batch.input_ids)[None]
    with torch.autocast(batch.device.type, dtype=dtype, enabled=dtype != torch.float32):
        out: Any = hub_model(input_ids=ids, attention_mask=real, output_hidden_states=True, **more)
        states = getattr(out, "hidden_states", None)
        if not states or any(state.shape != states[0].shape for state in states):
            raise ModelError(f"{model.files.name}: this architecture does not show its layers.")
        norms = [getattr(base, name) for name in FINAL_NORMS if hasattr(base, name)]
        inner = [norms[0](state) if norms else state for state in states[:-1]]
        head: Any = None
        if inner:
            with _encoder_gives(base, torch.cat(inner)):
                head = hub_model(input_ids=ids.expand(len(inner), -1), attention_mask=real.expand(len(inner), -1))
    own = torch.stack((out.start_logits, out.end_logits), dim=-1)
    if head is None:
        return own.float()
    return torch.cat((torch.stack((head.start_logits, head.end_logits), dim=-1), own)).float()


@contextmanager
def _encoder_gives(base: Any, hidden: Tensor) -> Iterator[None]:
    """Within the context the encoder `base` computes nothing: its result is `hidden`. What an architecture's head is
    made of is its own affair, so the whole model is asked."""
    from transformers.modeling_outputs import BaseModelOutput

    base.forward = lambda *_arguments, **_options: BaseModelOutput(last_hidden_state=hidden)
    try:
        yield
    finally:
        del base.forward

"""BERT and its kin over concatenated windows, with the weights of Hugging Face's models. What other families do
otherwise they override, in modules of engine.learning.encoder.families.

All tokens of a batch lie one after the other, [T, H], for every linear map and normalisation; only attention
looks at windows. So nothing is computed for padding. Residuals and normalisation stay in float32; matrix
products run in `dtype`.

On a CPU a batch is filled up to a multiple of ROUND_TOKENS: the matrix library compiles a kernel for each new number
of rows, and memory is reused best where sizes repeat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.learning.encoder.attention import attend, takes_any_lengths
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks, add_dropped, untyped
from engine.learning.encoder.names import EncoderConfig

ROUND_TOKENS = 64


class Linear(nn.Module):
    """x W' + b in the dtype of x; the weights stay in float32."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class Norm(nn.Module):
    """LayerNorm over the last dimension, in the dtype of x."""

    def __init__(self, width: int, eps: float, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class Table(nn.Module):
    """Embeddings: int64[T] -> float32[T, width]."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.weight)


class Layer(nn.Module):
    """Self-attention and the feed-forward part of one layer, each followed by a residual sum and LayerNorm."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        self.shape = shape
        self.qkv = Linear(shape.hidden, 3 * shape.hidden)
        self.attention_out = Linear(shape.hidden, shape.hidden)
        self.attention_norm = Norm(shape.hidden, shape.norm_eps)
        self.up = Linear(shape.hidden, shape.intermediate)
        self.down = Linear(shape.intermediate, shape.hidden)
        self.norm = Norm(shape.hidden, shape.norm_eps)
        self.compiled: Callable[..., Tensor] | None = None
        """`after_attention`, fused by torch's compiler."""

    def forward(
        self, x: Tensor, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype, bias: Tensor | None
    ) -> Tensor:
        """`x` and the result are float32[T', H], T' ≥ T with filling; matrix products are in `dtype`. `bias` is for
        `attend`."""
        p = self.shape.attention_dropout if self.training else 0.0
        qkv = self.qkv(x.to(dtype))
        a = attend(qkv, batch, self.shape.heads, masks, p, training=self.training, bias=bias)
        return (self.compiled or self.after_attention)(a, x, masks, dtype)

    def after_attention(self, a: Tensor, x: Tensor, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor:
        """The layer's result float32[T', H] from attention's, `a` [T', H] in `dtype`, and the layer's input `x`."""
        hidden_dropout = self.shape.hidden_dropout if self.training else 0.0
        x = self.attention_norm(add_dropped(x, self.attention_out(a), masks, hidden_dropout))
        return self.feed_forward(x, masks, dtype)

    def feed_forward(self, x: Tensor, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor:
        """The part after attention, float32[T', H] like `x`, with its residual sum and LayerNorm."""
        hidden_dropout = self.shape.hidden_dropout if self.training else 0.0
        out: Tensor = self.norm(add_dropped(x, self.down(F.gelu(self.up(x.to(dtype)))), masks, hidden_dropout))
        return out


class PackedEncoder(nn.Module, ABC):
    """A question-answering model: start and end score of every token. Families derive from it, or from BertEncoder,
    and have these parts in this order, since whatever comes before the layers counts as embeddings."""

    word_embeddings: Table
    layers: nn.ModuleList
    head: Linear
    has_bias = False
    """Whether attention is given a bias or relative positions even where it takes windows of any lengths."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        self.shape = shape
        self.checkpointing = False
        """Whether the layers keep only their input for the backward pass and compute the rest again."""

    def forward(self, batch: Batch, masks: DropoutMasks | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """Scores float32[T, 2]. `masks` drive dropout on a CPU when training; without them nothing is dropped there."""
        x = self.embed(batch, masks, dtype)
        shared = self.shared(batch, len(x), dtype)
        for layer in self.passes():
            again = self.checkpointing and self.training
            x = (_computed_twice if again else _computed)(layer, x, batch, masks, dtype, shared)
        x = add_dropped(None, x, masks, self.shape.head_dropout if self.training else 0.0)
        return self.scores(x[: len(batch.input_ids)])

    def compile_layers(self, dtype: torch.dtype) -> None:
        """Fuse each layer by torch's compiler, from the next step in `dtype` on; what follows attention alone where
        attention pads. On a CPU dropout is drawn by numpy, which can't be compiled."""
        whole = not self.has_bias and takes_any_lengths(self.head.weight.device, dtype)
        untyped(torch.compiler.assume_constant_result)(takes_any_lengths)
        for layer in self.layers:
            if whole:
                layer.compile(dynamic=True)
            elif isinstance(layer, Layer):
                layer.compiled = torch.compile(layer.after_attention, dynamic=True)

    @abstractmethod
    def embed(self, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor:
        """The input of the first layer, float32[T', H]."""

    def shared(self, batch: Batch, rows: int, dtype: torch.dtype) -> Any:
        """What every layer is given besides its `rows` rows of input; BERT's take no bias."""
        return None

    def passes(self) -> Sequence[nn.Module]:
        """The layers in the order in which they are computed; one may come more than once."""
        return list(self.layers)

    def scores(self, x: Tensor) -> Tensor:
        """Start and end scores float32[n, 2] of the last layer's output float32[n, H], or of another's."""
        return F.linear(x, self.head.weight, self.head.bias)

    def draw(self, missing: Sequence[str], generator: torch.Generator) -> None:
        """Fill parts of the head that a file lacks: matrices from `generator`, normalisation and biases as if
        there were none."""
        for name in missing:
            parameter = self.get_parameter(name)
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=self.shape.initializer_range, generator=generator)
            else:
                nn.init.constant_(parameter, float(name.endswith("norm.weight")))


class BertEncoder(PackedEncoder):
    """BERT, DistilBERT, RoBERTa and ELECTRA; others have `layers` of their own."""

    def __init__(self, shape: EncoderConfig, layers: Sequence[nn.Module] = ()) -> None:
        super().__init__(shape)
        self.word_embeddings = Table(shape.vocabulary, shape.embedding)
        self.position_embeddings = Table(shape.positions, shape.embedding)
        self.token_type_embeddings = Table(shape.type_vocabulary, shape.embedding) if shape.type_vocabulary else None
        self.embedding_norm = Norm(shape.embedding, shape.norm_eps)
        self.project = Linear(shape.embedding, shape.hidden) if shape.embedding != shape.hidden else None
        self.layers = nn.ModuleList(layers or [Layer(shape) for _ in range(shape.layers)])
        self.head = Linear(shape.hidden, 2)

    def embed(self, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor:
        shape = self.shape
        x: Tensor = self.word_embeddings(batch.input_ids) + self.position_embeddings(
            batch.position + shape.first_position
        )
        if self.token_type_embeddings is not None:
            x = x + self.token_type_embeddings(batch.type_ids)
        x = filled_up(x)
        x = add_dropped(None, self.embedding_norm(x), masks, shape.hidden_dropout if self.training else 0.0)
        if self.project is not None:
            x = self.project(x.to(dtype)).float()
        return x


def filled_up(x: Tensor) -> Tensor:
    """`x` [T, H] with rows of 0 up to a multiple of ROUND_TOKENS on a CPU; as it is elsewhere."""
    return F.pad(x, (0, 0, 0, -len(x) % ROUND_TOKENS)) if x.device.type == "cpu" else x


def _computed(
    layer: nn.Module, x: Tensor, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype, shared: Any
) -> Tensor:
    out: Tensor = layer(x, batch, masks, dtype, shared)
    return out


def _computed_twice(
    layer: nn.Module, x: Tensor, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype, shared: Any
) -> Tensor:
    """`layer(x)`, of which only `x` is kept; the second time it drops the same values."""
    from torch.utils.checkpoint import checkpoint

    state = masks.state() if masks is not None else None

    def compute(x: Tensor) -> Tensor:
        if masks is not None and state is not None:
            masks.restore(state)
        return _computed(layer, x, batch, masks, dtype, shared)

    kept: Tensor = checkpoint(compute, x, use_reentrant=False)
    return kept

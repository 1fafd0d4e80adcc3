"""Attention within each window of a concatenated batch; no padding, and no token sees another window."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks, scale, untyped

ROUND_LENGTH = 32
"""On a CPU a window's products are taken over a multiple of so many tokens."""
KINDS_OF_SCORES = 3
"""With relative positions a score is the sum of so many products: content with content, with position, and reverse."""


def attend(
    qkv: Tensor,
    batch: Batch,
    heads: int,
    masks: DropoutMasks | None,
    p: float,
    *,
    training: bool,
    bias: Tensor | None = None,
    relative: Tensor | None = None,
    reach: int | None = None,
) -> Tensor:
    """Self-attention; `qkv` [T, 3·H] holds queries, keys and values of all tokens, the result is [T, H].
    Rows beyond the batch's windows (filling) come out as 0.

    `p` is the dropout of attention probabilities, used when training; its masks come from `masks` on a CPU. `bias`
    float32[heads or 1, S, S] with S = bias_size(batch) is added to the scores of every window from its first token
    on, and carries gradients; -inf where a token does not see another.

    `relative` [2, heads, 2·S, D], in place of a bias, holds a key and a query for every distance between tokens, the
    one at -S first: each token's query also meets the keys at the distances of all tokens from it, and its key the
    queries (disentangled attention, He et al. 2021). In the dtype of `qkv`; it carries gradients.

    With `reach` a token sees those at most so far away; only where `takes_any_lengths`, a bias says it elsewhere.
    """
    width = qkv.shape[1] // 3
    if qkv.device.type == "cpu":
        if torch.is_grad_enabled():
            dropping = masks if p > 0 else None
            result: Tensor = untyped(CpuAttention).apply(qkv, batch.lengths, heads, dropping, p, bias, relative)
            return result
        return _cpu_attention(qkv, batch.lengths, heads, bias, relative)
    dropout = p if training else 0.0
    q, k, v = qkv.view(-1, 3, heads, width // heads).unbind(1)
    if bias is None and relative is None:
        if takes_any_lengths(qkv.device, qkv.dtype):
            return _varlen_flash(q, k, v, batch, dropout, reach)
        if dropout == 0.0 and qkv.dtype == torch.bfloat16 and _has_varlen_flash(qkv.device):
            return _varlen_public(q, k, v, batch)
    return _padded(q, k, v, batch, dropout, bias, relative)


def bias_size(batch: Batch) -> int:
    """S, the rows and columns of the bias that `attend` takes."""
    return -(-batch.longest // ROUND_LENGTH) * ROUND_LENGTH


def _rows(length: int, most: int) -> int:
    """How many rows the products of a window of `length` tokens take in, some of them of the windows after it; at
    most `most`.

    The matrix library compiles and keeps a kernel for each size that it meets: for every length of a window that
    took 0.4 GB more after forty steps, and a fifteenth of their time.
    """
    return min(-(-length // ROUND_LENGTH) * ROUND_LENGTH, most)


def _parts(qkv: Tensor, low: int, length: int, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values [heads, L, D] of one window, as views."""
    width = qkv.shape[1] // (3 * heads)
    part = qkv[low : low + length].view(length, 3, heads, width).permute(1, 2, 0, 3)
    return part[0], part[1], part[2]


def _heads(x: Tensor, heads: int) -> Tensor:
    """`x` [L, H] as [L, heads, D], a view; L may be 0."""
    return x.view(len(x), heads, x.shape[1] // heads)


def _cpu_attention(qkv: Tensor, lengths: list[int], heads: int, bias: Tensor | None, relative: Tensor | None) -> Tensor:
    """Without gradients and dropout. Plain products take 0.6 of the time of torch's flash kernel for a CPU.

    Windows are taken in order: what one leaves in the rows of the next is overwritten. So too below.
    """
    out = qkv.new_empty(qkv.shape[0], qkv.shape[1] // 3)
    low = 0
    for length in lengths:
        rows = _rows(length, len(qkv) - low)
        q, k, v = _parts(qkv, low, rows, heads)
        o = torch.matmul(_weights(q, k, length, bias, relative), v)
        _heads(out[low : low + rows], heads).copy_(o.transpose(0, 1))
        low += length
    out[low:] = 0
    return out


class CpuAttention(torch.autograd.Function):
    """With dropout, torch's own kernel for a CPU keeps several [heads, L, L] arrays for the backward pass; this
    keeps one. A probability is never negative, so its sign marks whether it was dropped."""

    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        lengths: list[int],
        heads: int,
        masks: DropoutMasks | None,
        p: float,
        bias: Tensor | None,
        relative: Tensor | None,
    ) -> Tensor:
        """`qkv` is [T', 3H], windows of `lengths` one after the other; the result is [T', H], 0 beyond them."""
        factor = 1.0 if masks is None else scale(p)
        out = qkv.new_empty(qkv.shape[0], qkv.shape[1] // 3)
        kept_for_backward = []
        low = 0
        for window, length in enumerate(lengths):
            rows = _rows(length, len(qkv) - low)
            q, k, v = _parts(qkv, low, rows, heads)
            weights = _weights(q, k, length, bias, relative)
            weights[:, length:] = 0
            if masks is not None:
                _flag_dropped(weights[:, :length, :length], masks.dropped_signs(window, (heads, length, length), p))
            o = torch.matmul(torch.relu(weights), v)
            torch.mul(o.transpose(0, 1), factor, out=_heads(out[low : low + rows], heads))
            kept_for_backward.append(weights)
            low += length
        out[low:] = 0
        ctx.save_for_backward(qkv, out, relative, *kept_for_backward)
        ctx.lengths, ctx.heads, ctx.factor = lengths, heads, factor
        ctx.bias_shape = bias.shape if bias is not None else None
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        qkv, out, relative, *all_weights = ctx.saved_tensors
        heads: int = ctx.heads
        grad_out = grads[0].to(qkv.dtype)
        grad_qkv = torch.empty_like(qkv)
        grad_bias = out.new_zeros(ctx.bias_shape, dtype=torch.float32) if ctx.needs_input_grad[5] else None
        grad_relative = None if relative is None else torch.zeros_like(relative, dtype=torch.float32)
        # The row sums of weights times their gradients, by way of the output.
        inner = (grad_out * out).view(len(out), heads, -1).sum(-1)
        grad_out = grad_out * ctx.factor
        low = 0
        for length, weights in zip(ctx.lengths, all_weights, strict=True):
            rows = weights.shape[1]
            q, k, v = _parts(qkv, low, rows, heads)
            grad_q, grad_k, grad_v = _parts(grad_qkv, low, rows, heads)
            grad_o = _heads(grad_out[low : low + rows], heads).transpose(0, 1)
            kept = torch.relu(weights)
            grad_v.copy_(torch.matmul(kept.transpose(1, 2), grad_o))
            grad_scores = torch.matmul(grad_o, v.transpose(1, 2)).mul_(kept)
            grad_scores -= weights.abs().mul_(inner[low : low + rows].t().unsqueeze(-1))
            if grad_bias is not None:
                own = grad_scores[:, :length, :length]
                grad_bias[:, :length, :length] += own.sum_to_size(len(grad_bias), length, length)
            grad_scores *= _factor(q, relative)
            grad_q.copy_(torch.matmul(grad_scores, k))
            grad_k.copy_(torch.matmul(grad_scores.transpose(1, 2), q))
            if relative is not None:
                near, grad_near = _near(relative, rows), _near(grad_relative, rows)
                by_distance = grad_scores.new_zeros(heads, rows, 2 * rows)
                sides = ((q, grad_q, grad_scores), (k, grad_k, grad_scores.transpose(1, 2)))
                for side, (x, grad_x, grad) in enumerate(sides):
                    _skewed(by_distance).copy_(grad)
                    grad_x += torch.matmul(by_distance, near[side])
                    grad_near[side] += torch.matmul(by_distance.transpose(1, 2), x)
            low += length
        grad_qkv[low:] = 0
        return grad_qkv, None, None, None, None, grad_bias, grad_relative


def _factor(q: Tensor, relative: Tensor | None) -> float:
    """What scores are multiplied by."""
    return 1 / math.sqrt(q.shape[-1] * (1 if relative is None else KINDS_OF_SCORES))


def _near(relative: Any, rows: int) -> Any:
    """Of `attend`'s `relative` the distances from -rows to rows - 1, a view."""
    middle = relative.shape[2] // 2
    return relative[:, :, middle - rows : middle + rows]


def _skewed(x: Tensor) -> Tensor:
    """The columns of `x` [..., L, 2·L], which are distances from the row's token, the one at -L first, as those of
    the L tokens [..., L, L]; a view where `x` is contiguous."""
    length = x.shape[-2]
    return x.flatten(-2)[..., length:].view(*x.shape[:-1], 2 * length - 1)[..., :length]


def _position_scores(q: Tensor, k: Tensor, relative: Tensor) -> tuple[Tensor, Tensor]:
    """What the queries and the keys [..., heads, L, D] make of positions, each as scores [..., heads, L, L]."""
    keys, queries = _near(relative, q.shape[-2])
    of_queries = torch.matmul(q, keys.transpose(1, 2))
    of_keys = torch.matmul(k, queries.transpose(1, 2))
    return _skewed(of_queries), _skewed(of_keys).transpose(-1, -2)


def _weights(q: Tensor, k: Tensor, length: int, bias: Tensor | None, relative: Tensor | None) -> Tensor:
    """Attention probabilities [heads, rows, rows]; those of the columns from `length` on are 0.

    With a `bias` rows from `length` on may be NaN.
    """
    rows, factor = q.shape[1], _factor(q, relative)
    if relative is not None:
        of_queries, of_keys = _position_scores(q, k, relative)
        scores = torch.baddbmm(of_queries, q, k.transpose(1, 2), beta=factor, alpha=factor).add_(of_keys, alpha=factor)
    elif bias is None:
        scores = torch.baddbmm(q.new_empty(len(q), rows, rows), q, k.transpose(1, 2), beta=0.0, alpha=factor)
    else:
        scores = torch.baddbmm(bias[:, :rows, :rows].to(q.dtype), q, k.transpose(1, 2), alpha=factor)
    scores[:, :, length:] = -torch.inf
    return torch.softmax(scores, dim=-1)


def _flag_dropped(weights: Tensor, signs: Tensor) -> None:
    """Make the weights negative where `signs` has its highest bit set."""
    if weights.element_size() == 2:
        weights.view(torch.int16).bitwise_or_(signs)
    else:
        weights.view(torch.int32).bitwise_or_(signs.to(torch.int32).bitwise_and_(-(2**31)))


FLASH_ARGUMENTS = (
    "query", "key", "value", "cum_seq_q", "cum_seq_k", "max_q", "max_k", "dropout_p", "is_causal", "return_debug_mask"
)  # fmt: skip
FLASH_OPTIONS = {"window_size_left", "window_size_right"}
"""What `_varlen_flash` gives torch's private operator, in this order and by name; with others it is not called."""


def takes_any_lengths(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether attention in `dtype` on `device`, without a bias, needs no padding and reads the windows' bounds on the
    device alone."""
    return dtype == torch.bfloat16 and _has_varlen_flash(device) and flash_is_known()


@cache
def _has_varlen_flash(device: torch.device) -> bool:
    """Flash attention is built in, and the GPU is an Ampere or newer."""
    if device.type != "cuda" or not torch.backends.cuda.is_flash_attention_available():
        return False
    major, _ = torch.cuda.get_device_capability(device)
    return major >= 8


@cache
def flash_is_known() -> bool:
    """Whether this torch has the private operator that `_varlen_flash` calls, with the arguments that it gives."""
    operator = getattr(torch.ops.aten, "_flash_attention_forward", None)
    if operator is None:
        return False
    arguments = operator.default._schema.arguments
    named = tuple(a.name for a in arguments if not a.kwarg_only)
    options = [a for a in arguments if a.kwarg_only]
    return (
        named == FLASH_ARGUMENTS
        and {a.name for a in options} >= FLASH_OPTIONS
        and all(a.has_default_value() for a in options)
    )


def _varlen_flash(q: Tensor, k: Tensor, v: Tensor, batch: Batch, dropout: float, reach: int | None = None) -> Tensor:
    """Flash attention over windows of different lengths: q, k, v [T, heads, D] -> [T, H]."""
    bounds, longest = batch.bounds, batch.longest
    out: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, bounds, bounds, longest, longest, dropout, False, False,
        window_size_left=reach, window_size_right=reach,
    )[0]  # fmt: skip
    return out.reshape(len(q), -1)


def _varlen_public(q: Tensor, k: Tensor, v: Tensor, batch: Batch) -> Tensor:
    """The same by torch's public function, which has no dropout; its import takes seconds."""
    from torch.nn.attention.varlen import varlen_attn

    out: Tensor = untyped(varlen_attn)(q, k, v, batch.bounds, batch.bounds, batch.longest, batch.longest)
    return out.reshape(len(q), -1)


def _padded(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    batch: Batch,
    dropout: float,
    bias: Tensor | None = None,
    relative: Tensor | None = None,
) -> Tensor:
    """Where no kernel takes windows of different lengths: pad for the attention alone."""
    size = (len(batch.lengths), batch.longest, *q.shape[1:])
    where = (batch.row, batch.position)
    q, k, v = (x.new_zeros(size).index_put(where, x).transpose(1, 2) for x in (q, k, v))
    real = torch.zeros(size[:2], dtype=torch.bool, device=q.device).index_put(
        where, torch.ones_like(batch.row, dtype=torch.bool)
    )
    mask = real[:, None, None, :]
    factor = _factor(q, relative)
    if relative is not None:
        of_queries, of_keys = _position_scores(q, k, relative)
        bias = (of_queries + of_keys) * factor
    if bias is not None:
        # Not -inf for padding: a row of padding that sees nothing would be NaN, and so the gradients of all.
        low = torch.finfo(q.dtype).min
        mask = torch.where(mask, bias[..., : size[1], : size[1]].to(q.dtype), low)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=factor)
    return out.transpose(1, 2)[where].flatten(1)

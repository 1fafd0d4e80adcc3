"""ModernBERT (Warner et al. 2024): rotated queries and keys, gated feed-forward parts, and attention that sees near
tokens alone in most layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.learning.encoder.attention import attend, bias_size, takes_any_lengths
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks, add_dropped
from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig, Names, is_plain_encoder, read_like_bert
from engine.learning.encoder.packed import Linear, Norm, PackedEncoder, Table, filled_up

GLOBAL, LOCAL = "full_attention", "sliding_attention"
THETA = {GLOBAL: ("global_rope_theta", 160_000.0), LOCAL: ("local_rope_theta", 10_000.0)}
DEFAULTS = {
    "vocab_size": 50368,
    "intermediate_size": 1152,
    "num_hidden_layers": 22,
    "max_position_embeddings": 8192,
    "layer_norm_eps": 1e-5,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@dataclass(frozen=True)
class ModernBertConfig(EncoderConfig):
    """`kinds` of the layers; a local one sees tokens up to `reach` away. `theta` are the bases of the rotation."""

    kinds: tuple[str, ...]
    reach: int
    theta: dict[str, float]
    embedding_dropout: float
    attention_bias: bool
    norm_bias: bool
    mlp_bias: bool
    classifier_bias: bool


def read(config: dict[str, Any]) -> ModernBertConfig | None:
    theta = _read_theta(config)
    if (
        theta is None
        or config.get("hidden_activation", "gelu") != "gelu"
        or config.get("classifier_activation", "gelu") != "gelu"
        or config.get("classifier_dropout", 0.0)
        or config.get("head_dim") is not None
        or not is_plain_encoder(config)
    ):
        return None
    known = {
        "layer_norm_eps": config.get("norm_eps"),
        "hidden_dropout_prob": config.get("mlp_dropout"),
        "attention_probs_dropout_prob": config.get("attention_dropout"),
        "type_vocab_size": 0,
    }
    given = vars(read_like_bert(config | known, DEFAULTS))
    every = config.get("global_attn_every_n_layers", 3)
    kinds = config.get("layer_types") or [LOCAL if n % every else GLOBAL for n in range(given["layers"])]
    if len(kinds) != given["layers"] or not set(kinds) <= {GLOBAL, LOCAL}:
        return None
    return ModernBertConfig(
        **given,
        kinds=tuple(kinds),
        reach=config.get("local_attention", 128) // 2,
        theta=theta,
        embedding_dropout=config.get("embedding_dropout", 0.0),
        attention_bias=config.get("attention_bias", False),
        norm_bias=config.get("norm_bias", False),
        mlp_bias=config.get("mlp_bias", False),
        classifier_bias=config.get("classifier_bias", False),
    )


def _read_theta(config: dict[str, Any]) -> dict[str, float] | None:
    """None where positions are scaled in a way that is not built here."""
    if config.get("rope_scaling"):
        return None
    found = {}
    for kind, (name, default) in THETA.items():
        given = (config.get("rope_parameters") or {}).get(kind) or {}
        found[kind] = given.get("rope_theta", config.get(name, default))
        if given.get("rope_type", "default") != "default" or not isinstance(found[kind], int | float):
            return None
    return found


def encoder_names(shape: ModernBertConfig) -> Names:
    modules = {"embedding_norm": ("embeddings.norm", shape.norm_bias), "final_norm": ("final_norm", shape.norm_bias)}
    for number in range(shape.layers):
        ours, theirs = f"layers.{number}", f"layers.{number}"
        if number:
            modules[f"{ours}.attention_norm"] = (f"{theirs}.attn_norm", shape.norm_bias)
        modules[f"{ours}.qkv"] = (f"{theirs}.attn.Wqkv", shape.attention_bias)
        modules[f"{ours}.attention_out"] = (f"{theirs}.attn.Wo", shape.attention_bias)
        modules[f"{ours}.norm"] = (f"{theirs}.mlp_norm", shape.norm_bias)
        modules[f"{ours}.up"] = (f"{theirs}.mlp.Wi", shape.mlp_bias)
        modules[f"{ours}.down"] = (f"{theirs}.mlp.Wo", shape.mlp_bias)
    return {"word_embeddings.weight": ("embeddings.tok_embeddings.weight",)} | _with_kinds(modules)


def head_names(shape: ModernBertConfig) -> Names:
    return _with_kinds(
        {
            "head_dense": ("head.dense", shape.classifier_bias),
            "head_norm": ("head.norm", shape.norm_bias),
            "head": ("classifier", True),
        }
    )


def _with_kinds(modules: dict[str, tuple[str, bool]]) -> Names:
    return {
        f"{ours}.{kind}": (f"{theirs}.{kind}",)
        for ours, (theirs, has_bias) in modules.items()
        for kind in ("weight", "bias")
        if has_bias or kind == "weight"
    }


@dataclass(frozen=True)
class Sight:
    """What a layer's queries and keys are turned by, `cos` and `sin` float32[T', 1, 1, D], and how far they see: by
    `attend`'s bias or reach."""

    cos: Tensor
    sin: Tensor
    bias: Tensor | None
    reach: int | None


def rotated(qkv: Tensor, sight: Sight, heads: int) -> Tensor:
    """`qkv` [T', 3·H] with queries and keys turned according to their position (RoPE, Su et al. 2021)."""
    parts = qkv.view(len(qkv), 3, heads, -1)
    turning = parts[:, :2].float()
    first, second = turning.chunk(2, dim=-1)
    turned = turning * sight.cos + torch.cat((-second, first), dim=-1) * sight.sin
    return torch.cat((turned.to(qkv.dtype), parts[:, 2:]), dim=1).view(len(qkv), -1)


class ModernBertLayer(nn.Module):
    """Each part normalises its input; the first layer's attention has it normalised already."""

    def __init__(self, shape: ModernBertConfig, number: int) -> None:
        super().__init__()
        self.shape, self.kind = shape, shape.kinds[number]
        self.attention_norm = Norm(shape.hidden, shape.norm_eps, bias=shape.norm_bias) if number else None
        self.qkv = Linear(shape.hidden, 3 * shape.hidden, bias=shape.attention_bias)
        self.attention_out = Linear(shape.hidden, shape.hidden, bias=shape.attention_bias)
        self.norm = Norm(shape.hidden, shape.norm_eps, bias=shape.norm_bias)
        self.up = Linear(shape.hidden, 2 * shape.intermediate, bias=shape.mlp_bias)
        self.down = Linear(shape.intermediate, shape.hidden, bias=shape.mlp_bias)

    def forward(
        self, x: Tensor, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype, sights: dict[str, Sight]
    ) -> Tensor:
        """`x` and the result are float32[T', H]; matrix products are in `dtype`."""
        shape, sight = self.shape, sights[self.kind]
        p = shape.attention_dropout if self.training else 0.0
        normal = x if self.attention_norm is None else self.attention_norm(x)
        qkv = rotated(self.qkv(normal.to(dtype)), sight, shape.heads)
        a = attend(qkv, batch, shape.heads, masks, p, training=self.training, bias=sight.bias, reach=sight.reach)
        x = add_dropped(x, self.attention_out(a), masks, p)
        inner, gate = self.up(self.norm(x).to(dtype)).chunk(2, dim=-1)
        inner = add_dropped(None, F.gelu(inner) * gate, masks, shape.hidden_dropout if self.training else 0.0)
        out: Tensor = x + self.down(inner)
        return out


class ModernBertEncoder(PackedEncoder):
    def __init__(self, shape: ModernBertConfig) -> None:
        super().__init__(shape)
        self.sizes = shape
        self.word_embeddings = Table(shape.vocabulary, shape.hidden)
        self.embedding_norm = Norm(shape.hidden, shape.norm_eps, bias=shape.norm_bias)
        self.layers = nn.ModuleList(ModernBertLayer(shape, number) for number in range(shape.layers))
        self.final_norm = Norm(shape.hidden, shape.norm_eps, bias=shape.norm_bias)
        self.head_dense = Linear(shape.hidden, shape.hidden, bias=shape.classifier_bias)
        self.head_norm = Norm(shape.hidden, shape.norm_eps, bias=shape.norm_bias)
        self.head = Linear(shape.hidden, 2)

    def embed(self, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor:
        x = self.embedding_norm(filled_up(self.word_embeddings(batch.input_ids)))
        return add_dropped(None, x, masks, self.sizes.embedding_dropout if self.training else 0.0)

    def shared(self, batch: Batch, rows: int, dtype: torch.dtype) -> dict[str, Sight]:
        """For layers of each kind."""
        shape, size = self.sizes, bias_size(batch)
        position = F.pad(batch.position, (0, rows - len(batch.position))).float()
        width = shape.hidden // shape.heads
        sights = {}
        for kind in sorted(set(shape.kinds)):
            exponent = torch.arange(0, width, 2, device=batch.device).float() / width
            angle = (position[:, None] * (1.0 / shape.theta[kind] ** exponent)).repeat(1, 2)[:, None, None]
            bias, reach = None, shape.reach if kind == LOCAL else None
            if kind == LOCAL and batch.longest > shape.reach + 1 and not takes_any_lengths(batch.device, dtype):
                place = torch.arange(size, device=batch.device)
                far = (place[:, None] - place).abs() > shape.reach
                bias = torch.zeros(1, size, size, device=batch.device).masked_fill(far, -torch.inf)
            sights[kind] = Sight(angle.cos(), angle.sin(), bias, reach)
        return sights

    def scores(self, x: Tensor) -> Tensor:
        x = self.head_norm(F.gelu(self.head_dense(self.final_norm(x))))
        return F.linear(x, self.head.weight, self.head.bias)


FAMILIES = {
    "modernbert": Family(
        "ModernBertForQuestionAnswering", "model.", read, encoder_names, head_names, network=ModernBertEncoder
    )
}

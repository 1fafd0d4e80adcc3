"""DeBERTa-v3 and mDeBERTa (He et al. 2021), which Hugging Face calls deberta-v2: BERT's layers, where tokens also
attend by how far apart they are and no position is added to the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.learning.encoder.attention import attend, bias_size
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks, add_dropped, dropped_for_all
from engine.learning.encoder.families import bert
from engine.learning.encoder.family import Family
from engine.learning.encoder.names import EncoderConfig, Names, is_plain_encoder, read_like_bert, tower_names
from engine.learning.encoder.packed import Layer, Linear, Norm, PackedEncoder, Table, filled_up

LAYER: Names = bert.LAYER | {
    "qkv": ("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj")
}
DEFAULTS = {
    "vocab_size": 128100,
    "hidden_size": 1536,
    "num_hidden_layers": 24,
    "num_attention_heads": 24,
    "intermediate_size": 6144,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}


@dataclass(frozen=True)
class DebertaConfig(EncoderConfig):
    """Distances have buckets from -`span` to `span`: each its own up to half of them and then wider and wider, up to
    `farthest`; or, without `log_buckets`, each its own."""

    span: int
    farthest: int
    log_buckets: bool


def read(config: dict[str, Any]) -> DebertaConfig | None:
    if not _is_built(config):
        return None
    shape = read_like_bert(config, DEFAULTS)
    if shape.type_vocabulary or config.get("attention_head_size", shape.hidden // shape.heads) * shape.heads != (
        shape.hidden
    ):
        return None
    farthest, buckets = config.get("max_relative_positions", -1), config.get("position_buckets", -1)
    farthest = farthest if farthest > 0 else shape.positions
    span = buckets if buckets > 0 else farthest
    return DebertaConfig(**vars(shape), span=span, farthest=farthest, log_buckets=buckets > 0)


def _is_built(config: dict[str, Any]) -> bool:
    """DeBERTa-v3's variety; DeBERTa-v2 also convolves, and others keep maps of their own for positions."""
    kinds = config.get("pos_att_type") or []
    kinds = kinds.lower().split("|") if isinstance(kinds, str) else kinds
    return (
        {kind.strip() for kind in kinds} == {"c2p", "p2c"}
        and bool(config.get("relative_attention"))
        and bool(config.get("share_att_key"))
        and not config.get("position_biased_input", True)
        and config.get("norm_rel_ebd", "none").strip().lower() == "layer_norm"
        and not config.get("conv_kernel_size", 0) > 0
        and config.get("embedding_size", config.get("hidden_size")) == config.get("hidden_size")
        and config.get("hidden_act", "gelu") == "gelu"
        and is_plain_encoder(config)
    )


def names(shape: DebertaConfig) -> Names:
    stems = [f"encoder.layer.{number}" for number in range(shape.layers)]
    found = tower_names(shape, stems, LAYER, project="") | {
        "relative.weight": ("encoder.rel_embeddings.weight",),
        "relative_norm.weight": ("encoder.LayerNorm.weight",),
        "relative_norm.bias": ("encoder.LayerNorm.bias",),
    }
    del found["position_embeddings.weight"]
    return found


def bucket(distance: Tensor, shape: DebertaConfig) -> Tensor:
    """The row int64 of the table of relative positions for int64 distances, query less key."""
    if shape.log_buckets:
        half = shape.span // 2
        far = distance.abs().clamp(min=half) / half
        widest = torch.log(torch.tensor((shape.farthest - 1) / half))
        wide = torch.ceil(torch.log(far) / widest * (half - 1)).long() + half
        distance = torch.where(distance.abs() <= half, distance, wide * distance.sign())
    return (distance + shape.span).clamp(0, 2 * shape.span - 1)


@dataclass(frozen=True)
class Relative:
    """Embeddings of relative positions, float32[2·span, H]. Of those, `low` to `high` occur in the batch; from `low`
    on, `keys` and `queries` int64[2·S] are the rows of the distances that `attend` takes."""

    table: Tensor
    low: int
    high: int
    keys: Tensor
    queries: Tensor


class DebertaLayer(Layer):
    """BERT's layer with disentangled attention: relative positions have keys and queries by the maps of tokens."""

    def forward(self, x: Tensor, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype, relative: Any) -> Tensor:
        """`x` and the result are float32[T', H]; matrix products are in `dtype`."""
        shape = self.shape
        p = shape.attention_dropout if self.training else 0.0
        near = self.near(relative, masks, dtype)
        a = attend(self.qkv(x.to(dtype)), batch, shape.heads, masks, p, training=self.training, relative=near)
        return self.after_attention(a, x, masks, dtype)

    def near(self, relative: Relative, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor:
        """`attend`'s `relative`."""
        shape = self.shape
        table = dropped_for_all(relative.table, masks, shape.hidden_dropout if self.training else 0.0)
        queries, keys, _ = self.qkv(table[relative.low : relative.high].to(dtype)).chunk(3, dim=1)
        both = torch.stack((keys.index_select(0, relative.keys), queries.index_select(0, relative.queries)))
        return both.view(2, -1, shape.heads, shape.hidden // shape.heads).transpose(1, 2)


class DebertaEncoder(PackedEncoder):
    has_bias = True

    def __init__(self, shape: DebertaConfig) -> None:
        super().__init__(shape)
        self.sizes = shape
        self.word_embeddings = Table(shape.vocabulary, shape.hidden)
        self.embedding_norm = Norm(shape.hidden, shape.norm_eps)
        self.relative = Table(2 * shape.span, shape.hidden)
        self.relative_norm = Norm(shape.hidden, shape.norm_eps)
        self.layers = nn.ModuleList(DebertaLayer(shape) for _ in range(shape.layers))
        self.head = Linear(shape.hidden, 2)

    def embed(self, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor:
        x = self.embedding_norm(filled_up(self.word_embeddings(batch.input_ids)))
        return add_dropped(None, x, masks, self.shape.hidden_dropout if self.training else 0.0)

    def shared(self, batch: Batch, rows: int, dtype: torch.dtype) -> Relative:
        size = bias_size(batch)
        after = torch.arange(-size, size)
        keys, queries = bucket(-after, self.sizes), bucket(after, self.sizes)
        low, high = min(int(keys.min()), int(queries.min())), max(int(keys.max()), int(queries.max())) + 1
        table = self.relative_norm(self.relative.weight)
        return Relative(table, low, high, (keys - low).to(batch.device), (queries - low).to(batch.device))


FAMILIES = {"deberta-v2": Family("DebertaV2ForQuestionAnswering", "deberta.", read, names, network=DebertaEncoder)}

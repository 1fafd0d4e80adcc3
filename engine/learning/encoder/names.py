"""What the BERT family's configurations and weights are called by Hugging Face. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BERT_LAYER = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention_out": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "norm": ("output.LayerNorm",),
}
DISTILBERT_LAYER = {
    "qkv": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "attention_out": ("attention.out_lin",),
    "attention_norm": ("sa_layer_norm",),
    "up": ("ffn.lin1",),
    "down": ("ffn.lin2",),
    "norm": ("output_layer_norm",),
}
PREFIXES = {
    "bert": "bert.",
    "distilbert": "distilbert.",
    "roberta": "roberta.",
    "xlm-roberta": "roberta.",
    "camembert": "roberta.",
    "electra": "electra.",
}
CLASSES = {
    "bert": "BertForQuestionAnswering",
    "distilbert": "DistilBertForQuestionAnswering",
    "roberta": "RobertaForQuestionAnswering",
    "xlm-roberta": "XLMRobertaForQuestionAnswering",
    "camembert": "CamembertForQuestionAnswering",
    "electra": "ElectraForQuestionAnswering",
}
HEAD = "qa_outputs"


@dataclass(frozen=True)
class EncoderConfig:
    """What config.json says about a model of the family; `type_vocabulary` 0: no segment embeddings."""

    model_type: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    embedding: int
    vocabulary: int
    positions: int
    first_position: int
    type_vocabulary: int
    norm_eps: float
    hidden_dropout: float
    attention_dropout: float
    head_dropout: float
    initializer_range: float

    @classmethod
    def of(cls, config: dict[str, Any]) -> EncoderConfig | None:
        """None where the model is not of the family, or of a variety that is not built here."""
        kind = config.get("model_type", "")
        if kind not in PREFIXES:
            return None
        distil = kind == "distilbert"
        usual = (
            config.get("activation" if distil else "hidden_act", "gelu") == "gelu"
            and config.get("position_embedding_type", "absolute") == "absolute"
            and not config.get("is_decoder", False)
            and not config.get("add_cross_attention", False)
            and not config.get("sinusoidal_pos_embds", False)
            and config.get("num_labels", 2) == 2
            and len(config.get("id2label") or (0, 1)) == 2
        )
        hidden = config.get("dim" if distil else "hidden_size", 256 if kind == "electra" else 768)
        heads = config.get("n_heads" if distil else "num_attention_heads", 4 if kind == "electra" else 12)
        if not usual or hidden % heads:
            return None
        robertas = PREFIXES[kind] == "roberta."
        return cls(
            model_type=kind,
            layers=config.get("n_layers", 6) if distil else config.get("num_hidden_layers", 12),
            hidden=hidden,
            heads=heads,
            intermediate=config.get("hidden_dim", 3072)
            if distil
            else config.get("intermediate_size", 1024 if kind == "electra" else 3072),
            embedding=config.get("embedding_size", 128) if kind == "electra" else hidden,
            vocabulary=config.get("vocab_size", 50265 if robertas else 30522),
            positions=config.get("max_position_embeddings", 512),
            first_position=config.get("pad_token_id", 1) + 1 if robertas else 0,
            type_vocabulary=0 if distil else config.get("type_vocab_size", 2),
            norm_eps=1e-12 if distil else config.get("layer_norm_eps", 1e-12),
            hidden_dropout=config.get("dropout" if distil else "hidden_dropout_prob", 0.1),
            attention_dropout=config.get("attention_dropout" if distil else "attention_probs_dropout_prob", 0.1),
            head_dropout=config.get("qa_dropout", 0.1) if distil else 0.0,
            initializer_range=config.get("initializer_range", 0.02),
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest window that has positions."""
        return self.positions - self.first_position


def hub_names(shape: EncoderConfig) -> dict[str, tuple[str, ...]]:
    """Our parameter -> Hugging Face's, without the architecture's prefix; several where we hold them stacked."""
    distil = shape.model_type == "distilbert"
    names: dict[str, tuple[str, ...]] = {
        "word_embeddings.weight": ("embeddings.word_embeddings.weight",),
        "position_embeddings.weight": ("embeddings.position_embeddings.weight",),
    }
    if shape.type_vocabulary:
        names["token_type_embeddings.weight"] = ("embeddings.token_type_embeddings.weight",)
    modules: dict[str, tuple[str, ...]] = {"embedding_norm": ("embeddings.LayerNorm",)}
    if shape.embedding != shape.hidden:
        modules["project"] = ("embeddings_project",)
    stem = "transformer.layer" if distil else "encoder.layer"
    for number in range(shape.layers):
        for ours, theirs in (DISTILBERT_LAYER if distil else BERT_LAYER).items():
            modules[f"layers.{number}.{ours}"] = tuple(f"{stem}.{number}.{name}" for name in theirs)
    for ours, theirs in modules.items():
        for kind in ("weight", "bias"):
            names[f"{ours}.{kind}"] = tuple(f"{name}.{kind}" for name in theirs)
    return names

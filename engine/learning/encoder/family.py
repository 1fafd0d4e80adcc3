"""What a family of models that are computed without padding tells about itself. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.learning.encoder.names import EncoderConfig, Names

if TYPE_CHECKING:
    from engine.learning.encoder.packed import PackedEncoder

QA_OUTPUTS: Names = {"head.weight": ("qa_outputs.weight",), "head.bias": ("qa_outputs.bias",)}


@dataclass(frozen=True)
class Family:
    """A `model_type` of Hugging Face's: how its config.json is read and what its weights are called.

    `read` gives None for a variety that is not built here. `encoder_names` come without `prefix`, `head_names` are
    whole: what of the head a file lacks is drawn. `network` builds the model, BertEncoder where it is None.
    """

    qa_class: str
    prefix: str
    read: Callable[[dict[str, Any]], EncoderConfig | None]
    encoder_names: Callable[[Any], Names]
    head_names: Callable[[Any], Names] = lambda _: QA_OUTPUTS
    network: Callable[[Any], PackedEncoder] | None = None

    def names(self, shape: EncoderConfig) -> Names:
        """The names of all weights, as they stand in files."""
        encoder = self.encoder_names(shape)
        return {
            ours: tuple(f"{self.prefix}{name}" for name in theirs) for ours, theirs in encoder.items()
        } | self.head_names(shape)

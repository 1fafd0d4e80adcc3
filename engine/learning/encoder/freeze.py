"""Keeps the lower layers of an encoder as they are: `--freeze-layers`."""

from __future__ import annotations

import re

from torch import nn

from engine.errors import UsageError

LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
"""How architectures number their layers in the names of parameters."""


def freeze_layers(network: nn.Module, count: int) -> int:
    """Let the embeddings and the first `count` layers learn nothing; returns how many parameters still learn.

    Whatever is in no layer and comes before the first one counts as embeddings. Raises UsageError where the model has
    fewer layers.
    """
    names = [name for name, _ in network.named_parameters()]
    numbers = {name: int(found[1]) for name in names if (found := LAYER.search(name))}
    layers = max(numbers.values(), default=-1) + 1
    if count > layers:
        raise UsageError(
            f"--freeze-layers {count}: this model has {layers} layers.", hint=f"Choose a number up to {layers}."
        )
    first_layer = min((names.index(name) for name in numbers), default=0)
    for place, (name, parameter) in enumerate(network.named_parameters()):
        frozen = numbers[name] < count if name in numbers else place < first_layer
        if count and frozen:
            parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)

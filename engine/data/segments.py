"""What a token of a window belongs to, as `segment int8[T]` of features and of `features.safetensors` counts it."""

SPECIAL, QUESTION, CONTEXT = 0, 1, 2

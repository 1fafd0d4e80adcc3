"""Makes the recorded explanations: what a model says of the recorded run's first question.

python -m tests.recorded.explain RUN          # a run on the sample data, or any model
"""

from __future__ import annotations

import sys

import msgspec

from engine.data.examples import read_examples
from engine.reader import Reader
from engine.storage.atomic_io import replace_file
from tests.recorded import EXPLANATIONS, KEPT
from tests.recorded.make import PROBE


def main() -> None:
    example = next(one for one in read_examples(KEPT / "examples.json").eval if one.id == PROBE)
    with Reader(sys.argv[1], precision="fp32") as reader:
        found = {
            "gradient": reader.explain(example.question, example.context),
            "integrated": reader.explain(example.question, example.context, methods=("integrated",)),
            "layers": reader.layers(example.question, example.context),
        }
    rounded = msgspec.to_builtins({name: msgspec.structs.replace(one, seconds=0.0) for name, one in found.items()})
    replace_file(EXPLANATIONS, msgspec.json.encode(_short(rounded)) + b"\n")


def _short(value: object) -> object:
    """With five digits of every number: a small file, the same picture."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    return value


if __name__ == "__main__":
    main()

"""One side's tokenising and decoding of a data set, in a process of its own: what one side leaves in memory would
slow the other. Prints seconds, and what shows that both did the same, as a JSON object. Run by
tests.benchmarks.training.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.data.features import Features, build_features
from engine.insight.scoring import prepared, score_snapshot
from tests.benchmarks import material
from tests.benchmarks.material import DOC_STRIDE, MAX_ANSWER_LENGTH, MAX_LENGTH

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("example", "ours"))
    parser.add_argument("eval", type=Path)
    parser.add_argument("what", nargs="+", choices=("tokenize", "decode"))
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    job = ours if options.side == "ours" else reference
    result = job(options.eval)
    unwanted = {"tokenize", "decode"} - set(options.what)
    print(json.dumps({name: value for name, value in result.items() if name not in unwanted}))


def ours(path: Path) -> dict[str, Any]:
    from engine.learning.warm_up import keep_freed_memory

    keep_freed_memory()  # as the engine does
    examples, pair = material.questions(path.parent, path.name), material.tokenizer()
    began = time.perf_counter()
    features = build_features(examples, pair, max_length=MAX_LENGTH, doc_stride=DOC_STRIDE)
    tokenized = time.perf_counter()
    start, end = plausible_scores(features)
    golds = prepared(examples, allow_null=False)
    seconds, (_, metrics, _, _) = timed(
        lambda: score_snapshot(
            examples, features, start, end, max_answer_length=MAX_ANSWER_LENGTH, allow_null=False, golds=golds
        )
    )
    return {
        "tokenize": tokenized - began,
        "decode": seconds,
        "megabytes": features.nbytes / 1e6,
        "exact_match": metrics.exact_match,
        "f1": metrics.f1,
    }


def reference(path: Path) -> dict[str, Any]:
    from tests.benchmarks import hugging_face as hf

    rows, fast = hf.read_rows(path), hf.load_tokenizer(material.model_folder())
    began = time.perf_counter()
    features = hf.evaluation_features(fast, rows, pad=True)
    tokenized = time.perf_counter()
    padded = padded_scores(path)
    seconds, (exact, f1) = timed(lambda: hf.official_scores(rows, hf.answers_of(rows, features, padded[0], padded[1])))
    return {"tokenize": tokenized - began, "decode": seconds, "exact_match": exact, "f1": f1}


def timed(job: Callable[[], T]) -> tuple[float, T]:
    """The median seconds of three calls, and the last one's result: a run decodes after every epoch."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        result = job()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result


def padded_scores(path: Path) -> NDArray[np.float32]:
    """float32[2, windows, MAX_LENGTH]: the scores that ours are decoded from, as a padding model gives them."""
    examples = material.questions(path.parent, path.name)
    features = build_features(examples, material.tokenizer(), max_length=MAX_LENGTH, doc_stride=DOC_STRIDE)
    lengths = np.diff(features.token_offset)
    where = (np.repeat(np.arange(len(lengths)), lengths), np.concatenate([np.arange(n) for n in lengths.tolist()]))
    padded = np.full((2, len(lengths), MAX_LENGTH), -10.0, np.float32)
    padded[0][where], padded[1][where] = plausible_scores(features)
    return padded


def plausible_scores(features: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores like a trained model's: low, but for some tokens, among them most gold ones."""
    random = np.random.default_rng(0)
    start, end = random.normal(-6.0, 1.0, size=(2, len(features.input_ids))).astype(np.float32)
    held = np.flatnonzero(features.gold_start >= 0)
    for logits, gold in ((start, features.gold_start), (end, features.gold_end)):
        logits[features.token_offset[held] + gold[held]] += random.normal(12.0, 4.0, len(held)).astype(np.float32)
    return start, end


if __name__ == "__main__":
    main()

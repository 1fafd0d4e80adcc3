"""The reference: Hugging Face's Trainer, set up as its question-answering example is, and tuned by hand.

Written from the example's description: windows by the tokenizer's own batched call, `Trainer` with its defaults,
answers as in tests/run_qa_answers.py, the official metric. Three set-ups:

- "example": windows padded to 384 tokens, float32, random batches. What the example does as it stands.
- "tuned": what a careful user can reach without leaving Trainer: batches of similar length, padded to their
  longest window, bfloat16 autocast; evaluation sorted by length.
- "compiled": the tuned one with `torch_compile`, for any length of batch.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.insight.metrics import normalize_answer
from tests.benchmarks.material import DOC_STRIDE, MAX_ANSWER_LENGTH, MAX_LENGTH, since_start
from tests.run_qa_answers import ScoredWindow, answer

# Trainer takes any folder named datasets/ on the path for Hugging Face's package of that name, and fails.
cast("dict[str, Any]", sys.modules)["datasets"] = None

BATCHED = 1000
"""Rows that `datasets.map` hands to the tokenizer at a time."""
EVAL_BATCH = {"example": 8, "tuned": 16, "compiled": 16}

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Flat rows of a SQuAD file, as the example wants them."""
    return [
        {"id": qa["id"], "context": paragraph["context"], "question": qa["question"], "answers": qa["answers"]}
        for article in json.loads(path.read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def _encoded(tokenizer: Any, rows: Sequence[Row], *, pad: bool) -> Any:
    return tokenizer(
        [row["question"].lstrip() for row in rows],
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=MAX_LENGTH,
        stride=DOC_STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length" if pad else False,
    )


def training_features(tokenizer: Any, rows: Sequence[Row], *, pad: bool) -> list[Row]:
    """Windows with the answer's first and last token, or twice the first token where it isn't whole in them."""
    features = []
    for low in range(0, len(rows), BATCHED):
        part = rows[low : low + BATCHED]
        encoded = _encoded(tokenizer, part, pad=pad)
        for window, offsets in enumerate(encoded["offset_mapping"]):
            gold = part[encoded["overflow_to_sample_mapping"][window]]["answers"][0]
            begin, finish = gold["answer_start"], gold["answer_start"] + len(gold["text"])
            inside = [n for n, part_of in enumerate(encoded.sequence_ids(window)) if part_of == 1]
            first, last = inside[0], inside[-1]
            start = end = 0
            if offsets[first][0] <= begin and offsets[last][1] >= finish:
                start, end = first, last
                while start <= last and offsets[start][0] <= begin:
                    start += 1
                while end >= first and offsets[end][1] >= finish:
                    end -= 1
                start, end = start - 1, end + 1
            features.append(_inputs(encoded, window) | {"start_positions": start, "end_positions": end})
    return features


def evaluation_features(tokenizer: Any, rows: Sequence[Row], *, pad: bool) -> list[Row]:
    """Windows with what turns scores into answers: `example_id`, and offsets that are None outside the context."""
    features = []
    for low in range(0, len(rows), BATCHED):
        part = rows[low : low + BATCHED]
        encoded = _encoded(tokenizer, part, pad=pad)
        for window, offsets in enumerate(encoded["offset_mapping"]):
            parts = encoded.sequence_ids(window)
            features.append(
                _inputs(encoded, window)
                | {
                    "example_id": part[encoded["overflow_to_sample_mapping"][window]]["id"],
                    "offset_mapping": [
                        tuple(place) if of == 1 else None for place, of in zip(offsets, parts, strict=True)
                    ],
                }
            )
    return features


def _inputs(encoded: Any, window: int) -> Row:
    return {name: encoded[name][window] for name in ("input_ids", "token_type_ids", "attention_mask")}


def answers_of(
    rows: Sequence[Row], features: Sequence[Row], start: NDArray[np.float32], end: NDArray[np.float32]
) -> dict[str, str]:
    """Answer texts by id, from scores [windows, tokens]."""
    windows: dict[str, list[ScoredWindow]] = {}
    for number, feature in enumerate(features):
        scored = ScoredWindow(start[number], end[number], feature["offset_mapping"])
        windows.setdefault(feature["example_id"], []).append(scored)
    return {
        row["id"]: answer(
            row["context"], windows[row["id"]], allow_null=False, max_answer_length=MAX_ANSWER_LENGTH
        ).text
        for row in rows
    }


def official_scores(rows: Sequence[Row], answers: dict[str, str]) -> tuple[float, float]:
    """EM and F1 (0 to 100), each text normalised again for each comparison as the official script does."""
    exact = f1 = 0.0
    for row in rows:
        given, golds = answers[row["id"]], [gold["text"] for gold in row["answers"]]
        exact += max(normalize_answer(gold) == normalize_answer(given) for gold in golds)
        f1 += max(_word_f1(gold, given) for gold in golds)
    return 100 * exact / len(rows), 100 * f1 / len(rows)


def _word_f1(gold: str, given: str) -> float:
    wanted, words = normalize_answer(gold).split(), normalize_answer(given).split()
    shared = sum((Counter(wanted) & Counter(words)).values())
    return 2 * shared / (len(wanted) + len(words)) if shared else 0.0


def make_trainer(
    setup: str,
    model_folder: Path,
    out: Path,
    train: Sequence[Row],
    *,
    seed: int = 42,
    batch_size: int = 16,
    use_cpu: bool = True,
    order: Sequence[int] | None = None,
    callbacks: Sequence[Any] = (),
    **settings: Any,
) -> Any:
    """A Trainer over `train`; `order` fixes the order of windows in every epoch ("example" only)."""
    import torch
    from transformers import (
        AutoModelForQuestionAnswering,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )
    from transformers.utils import logging

    class OrderedTrainer(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return super()._get_train_sampler(train_dataset) if order is None else list(order)

    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    torch.manual_seed(seed)
    tokenizer = load_tokenizer(model_folder)
    model = AutoModelForQuestionAnswering.from_pretrained(model_folder, dtype=torch.float32)
    tuned = setup != "example"
    settings |= {"torch_compile": setup == "compiled"}
    trainer = OrderedTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(out),
            seed=seed,
            per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=EVAL_BATCH[setup],
            train_sampling_strategy="group_by_length" if tuned else "random",
            bf16=tuned,
            use_cpu=use_cpu,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            **settings,
        ),
        train_dataset=list(train),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8) if tuned else default_data_collator,
        callbacks=list(callbacks),
    )
    return trainer


def step_clock() -> Any:
    """A callback: `first_step` seconds since this process was started, `marks` the ends of steps after it."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.first_step = 0.0
            self.marks: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not self.marks:
                self.first_step = since_start()
                self.marks.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.marks.append(time.perf_counter())

    return Clock()


def score(trainer: Any, features: Sequence[Row]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores [windows, tokens] of all windows, in their order; the tuned set-up takes them sorted by length."""
    order = np.arange(len(features))
    if trainer.args.bf16:
        order = np.argsort([-len(feature["input_ids"]) for feature in features], kind="stable")
    inputs = [
        {name: features[n][name] for name in ("input_ids", "token_type_ids", "attention_mask")} for n in order.tolist()
    ]
    start, end = trainer.predict(inputs).predictions
    back = np.argsort(order)
    return start[back].astype(np.float32), end[back].astype(np.float32)

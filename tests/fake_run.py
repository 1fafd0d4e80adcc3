"""Writes complete run directories without training: for tests and benchmarks of whatever reads runs.

    run = make_run(tmp_path, examples=40, snapshots=6)          # a finished run, through the real writers
    run = make_run(tmp_path, live=True)                         # an engine (this process) seems to be at work
    run = make_run(tmp_path, examples=10_570, snapshots=100, tokens=180)    # as large as SQuAD's dev set

The scores sharpen from snapshot to snapshot: noise in the first, the gold answer on top for nearly every example
in the last. Tokens are words of a made-up passage; the arithmetic is simple but exact, so that a predicted span is
the best one of its window.
"""

from __future__ import annotations

import os
import time as clock
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.examples import Answer, Dataset, Example, dump_examples, make_dataset
from engine.data.features import Features
from engine.data.sample import Sample, take_sample
from engine.events import (
    AnyEvent,
    CheckpointSaved,
    Finished,
    Metrics,
    Phase,
    RunStarted,
    Step,
)
from engine.insight.margins import gold_spans, margin_columns
from engine.rundir.layout import DataIdentity, ModelIdentity, RunDir, RunInfo, versions
from engine.rundir.log import EventLog
from engine.rundir.process import Owner
from engine.rundir.snapshot import SnapshotInfo, snapshot_event, snapshot_name, write_snapshot
from engine.storage.atomic_io import replace_file
from engine.storage.tensors import write_tensors

WORDS = [first + last for first in ("gin", "ho", "lem", "thy") for last in ("ger", "ney", "on", "le", "me", "a")]
SPECIAL, QUESTION, CONTEXT = 0, 1, 2
MAX_ANSWER = 30
STEPS_PER_EPOCH = 10
DISTINCT = 8  # different snapshot files of a run too large to write a hundred times


@dataclass
class FakeSet:
    """A made-up eval set: its examples, its windows flat, and where each example's gold answer is."""

    dataset: Dataset
    feature_example: NDArray[np.int32]
    token_offset: NDArray[np.int64]
    char_start: NDArray[np.int32]
    char_end: NDArray[np.int32]
    segment: NDArray[np.int8]
    null_token: NDArray[np.int32]
    gold_start: NDArray[np.int32]
    gold_end: NDArray[np.int32]


def make_run(
    folder: Path,
    *,
    name: str = "fake",
    examples: int = 40,
    snapshots: int = 6,
    tokens: int = 60,
    windows: int = 1,
    has_impossible: bool = False,
    live: bool = False,
    seed: int = 0,
    steps_per_epoch: int = STEPS_PER_EPOCH,
    noise: float = 1.0,
    sampled: tuple[int, ...] = (),
    extra_events: tuple[AnyEvent, ...] = (),
) -> RunDir:
    """Write the run `folder/name`: `examples` eval examples of about `tokens` tokens in each of `windows` windows.

    Snapshot 0 is `untrained`, the others are epochs. Every third example's passage is unseen in training. With
    `has_impossible` every fourth example has no answer. With `live` the run does not end, and this process is its
    engine. `noise` is the deviation of scores that mean nothing. At the snapshots `sampled`, which are no epochs, only
    every fifth example is scored. `extra_events` come before the end. Of a large run (over 40 million scores) only the
    first DISTINCT snapshot files are written; the others are links to them, back and forth, so that neighbours always
    differ.
    """
    made = fake_set(examples, tokens=tokens, windows=windows, has_impossible=has_impossible, seed=seed)
    data_file = folder / f"{name}-data.json"
    data_file.write_bytes(dump_examples(made.dataset))
    config = RunConfig(dataset=str(data_file), epochs=max(1, snapshots - 1), run_dir=str(folder / name), seed=seed)
    run = RunDir.create(folder / name, config)
    log = EventLog(run.events_file)
    log.append(Phase(name="loading", detail="model"))
    replace_file(run.examples_file, dump_examples(made.dataset))
    write_fake_features(run, made, has_impossible)
    began = 1_700_000_000.0
    run.write_info(
        RunInfo(
            config=config,
            lr=3e-4,
            max_answer_length=MAX_ANSWER,
            allow_null=has_impossible,
            data=(DataIdentity(str(data_file), data_file.stat().st_size, "0" * 64),),
            model=ModelIdentity("all-MiniLM-L6-v2", None, None, 22_000_000),
            versions=versions(),
            host="testhost",
            device="cpu",
            precision="fp32",
            world_size=1,
            created=began,
        )
    )
    if live:
        seem_alive(run)
    log.append(run_started(made.dataset, config, steps_per_epoch))
    big = examples * tokens * windows * snapshots * 2 > 40_000_000
    distinct = DISTINCT if big else snapshots
    infos: list[SnapshotInfo] = []
    for index in range(snapshots):
        if index:
            for step in fake_steps(index - 1, steps_per_epoch, config.epochs):
                log.append(step)
        if index < distinct:
            progress = index / max(1, distinct - 1)
            written = write_fake_snapshot(
                run, made, index, progress=progress, seed=seed, step=index * steps_per_epoch, noise=noise,
                time=began + 60 * index, sample=fake_sample(made) if index in sampled else None,
            )  # fmt: skip
            infos.append(written)
        else:
            twin = distinct - 1 - abs(index % (2 * distinct - 2) - (distinct - 1))
            os.link(run.path / snapshot_name(twin), run.path / snapshot_name(index))
            infos.append(
                msgspec.structs.replace(
                    infos[twin], index=index, label=f"epoch {index}", step=index * steps_per_epoch, epoch=float(index)
                )
            )
        info = infos[-1]
        log.append(snapshot_event(info))
        if index:
            log.append(CheckpointSaved(path=f"checkpoints/epoch-{index:04}", step=info.step, epoch=info.epoch))
    for event in extra_events:
        log.append(event)
    if not live:
        log.append(
            Finished(
                step=(snapshots - 1) * steps_per_epoch,
                epoch=float(snapshots - 1),
                seconds=60.0,
                metrics=infos[-1].metrics if infos else None,
            )
        )
    log.close()
    return run


def append_events(run: RunDir, *events: AnyEvent) -> None:
    """Tell more events in the log of `run`, as its engine would."""
    log = EventLog(run.events_file)
    for event in events:
        log.append(event)
    log.close()


def append_snapshot(run: RunDir, made: FakeSet, index: int, *, progress: float = 1.0, seed: int = 0) -> SnapshotInfo:
    """Write one more snapshot of `run` and tell its event. `made` is `fake_set()` with the run's own arguments."""
    info = write_fake_snapshot(run, made, index, progress=progress, seed=seed, step=index * STEPS_PER_EPOCH)
    append_events(run, snapshot_event(info))
    return info


def seem_alive(run: RunDir, pid: int | None = None) -> None:
    """Make this process (or `pid`) the owner of `run`, with a heartbeat that begins now and then stands still."""
    replace_file(run.owner_file, msgspec.json.encode(Owner.of(pid or os.getpid())))
    replace_file(run.heartbeat_file, b"1\n")


def run_started(dataset: Dataset, config: RunConfig, steps_per_epoch: int = STEPS_PER_EPOCH) -> RunStarted:
    """The first event of a run, with plausible values."""
    return RunStarted(
        dataset=config.dataset,
        model=config.model,
        device="cpu",
        precision="fp32",
        lr=3e-4,
        batch_size=config.batch_size,
        epochs=config.epochs,
        total_steps=config.epochs * steps_per_epoch,
        train_examples=len(dataset.train),
        train_features=len(dataset.train),
        eval_examples=len(dataset.eval),
        eval_features=len(dataset.eval),
        parameters=22_000_000,
    )


def fake_steps(epoch: int, steps_per_epoch: int, epochs: int) -> list[Step]:
    """The steps of one epoch; the loss falls, the learning rate rises and then falls."""
    total = epochs * steps_per_epoch
    steps = []
    for within in range(1, steps_per_epoch + 1):
        step = epoch * steps_per_epoch + within
        rate = min(step / max(1.0, total / 10), (total - step) / max(1.0, total * 0.9))
        steps.append(
            Step(
                step=step,
                epoch=step / steps_per_epoch,
                loss=float(4.5 * np.exp(-4.0 * step / total) + 0.05 * np.sin(step)),
                learning_rate=3e-4 * max(0.0, rate),
                grad_norm=1.0 + 0.3 * float(np.cos(step)),
                examples_per_second=40.0,
                tokens_per_second=6000.0,
                memory=1_200_000_000,
            )
        )
    return steps


def fake_set(
    examples: int, *, tokens: int = 60, windows: int = 1, has_impossible: bool = False, seed: int = 0
) -> FakeSet:
    """A made-up data set with its windows. The same arguments give the same set."""
    rng = np.random.default_rng(seed)
    evaluation, train = [], []
    feature_example, lengths, null_token, gold_start, gold_end = [], [], [], [], []
    char_start: list[NDArray[np.int32]] = []
    char_end: list[NDArray[np.int32]] = []
    segment: list[NDArray[np.int8]] = []
    for number in range(examples):
        question_words = ["what", "helps", "against", *rng.choice(WORDS, 3).tolist(), "?"]
        window_words = max(6, tokens - len(question_words) - 3)
        overlap = window_words // 3 if windows > 1 else 0
        n_words = window_words + (windows - 1) * (window_words - overlap)
        words = rng.choice(WORDS, n_words).tolist()
        starts, ends = _places(words)
        first = int(rng.integers(0, n_words - 3))
        last = first + int(rng.integers(0, 3))
        context = " ".join(words)
        impossible = has_impossible and number % 4 == 3
        answer = Answer(context[starts[first] : ends[last]], int(starts[first]))
        question = " ".join(question_words)
        example = Example(
            f"fake-{number}", f"Passage {number}", question, context, () if impossible else (answer,), impossible
        )
        evaluation.append(example)
        if number % 3 != 2:
            train.append(msgspec.structs.replace(example, id=f"train-{number}"))
        question_starts, question_ends = _places(question_words)
        n_question = len(question_words)
        for window in range(windows):
            lo = window * (window_words - overlap)
            hi = min(n_words, lo + window_words)
            zero = np.zeros(1, np.int32)
            char_start.append(np.concatenate([zero, question_starts, zero, starts[lo:hi], zero]))
            char_end.append(np.concatenate([zero, question_ends, zero, ends[lo:hi], zero]))
            kinds = [SPECIAL, *[QUESTION] * n_question, SPECIAL, *[CONTEXT] * (hi - lo), SPECIAL]
            segment.append(np.asarray(kinds, np.int8))
            whole = lo <= first and last < hi and not impossible
            gold_start.append(first - lo + n_question + 2 if whole else -1)
            gold_end.append(last - lo + n_question + 2 if whole else -1)
            feature_example.append(number)
            lengths.append(len(kinds))
            null_token.append(0)
    return FakeSet(
        dataset=make_dataset(train, evaluation),
        feature_example=np.asarray(feature_example, np.int32),
        token_offset=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        char_start=np.concatenate(char_start).astype(np.int32),
        char_end=np.concatenate(char_end).astype(np.int32),
        segment=np.concatenate(segment),
        null_token=np.asarray(null_token, np.int32),
        gold_start=np.asarray(gold_start, np.int32),
        gold_end=np.asarray(gold_end, np.int32),
    )


def write_fake_features(run: RunDir, made: FakeSet, allow_null: bool) -> None:
    """Write features.safetensors as an engine does."""
    names = "feature_example token_offset char_start char_end segment null_token gold_start gold_end"  # as DESIGN lists
    write_tensors(
        run.features_file,
        {name: getattr(made, name) for name in names.split()},
        {
            "first_special": "[CLS]",
            "other_special": "[SEP]",
            "max_answer_length": str(MAX_ANSWER),
            "allow_null": str(int(allow_null)),
        },
    )


def write_fake_snapshot(
    run: RunDir,
    made: FakeSet,
    index: int,
    *,
    progress: float,
    seed: int,
    step: int,
    noise: float = 1.0,
    time: float | None = None,
    sample: Sample | None = None,
) -> SnapshotInfo:
    """Write snapshot `index`, of a `sample` or of all; with `progress` from 0 (noise) to 1 (sharp) the gold answers
    stand out."""
    start_logits, end_logits = fake_logits(made, progress=progress, seed=seed * 1000 + index, noise=noise)
    columns = _columns(made, start_logits, end_logits)
    columns |= margin_columns(
        made,
        gold_spans(made.dataset.eval, made),
        start_logits,
        end_logits,
        max_answer_length=MAX_ANSWER,
        allow_null=made.dataset.has_impossible,
    )
    seen = np.array([number % 3 != 2 for number in range(len(made.dataset.eval))])
    impossible = np.array([example.is_impossible for example in made.dataset.eval])
    scored = np.ones_like(seen)
    if sample is not None:
        scored = np.isin(np.arange(len(seen)), sample.examples)
    info = SnapshotInfo(
        index=index,
        label="untrained" if index == 0 else f"epoch {index}" if sample is None else f"step {step}",
        step=step,
        epoch=float(index) if sample is None else index - 0.5,
        time=clock.time() if time is None else time,
        metrics=_metrics(columns, scored, impossible),
        seen=_metrics(columns, seen & scored, impossible),
        unseen=_metrics(columns, ~seen & scored, impossible) if not seen.all() else None,
        sampled_of=None if sample is None else sample.total,
    )
    if sample is not None:
        windows = np.searchsorted(sample.windows, columns["pred_feature"])
        columns["pred_feature"] = np.where(columns["pred_feature"] < 0, -1, windows)
        columns = {name: values[sample.examples] for name, values in columns.items()}
        tokens = np.concatenate([np.arange(lo, hi) for lo, hi in sample.tokens.tolist()])
        start_logits, end_logits = start_logits[tokens], end_logits[tokens]
    write_snapshot(run.path, info, start_logits, end_logits, columns, sample=sample)
    return info


def fake_features(made: FakeSet) -> Features:
    """The windows of a made-up set as the engine has them, without the ids of their tokens."""
    arrays = {name: array for name, array in vars(made).items() if name != "dataset"}
    none = np.zeros_like(made.char_start)
    return Features(**arrays, input_ids=none, type_ids=none.astype(np.int8))


def fake_sample(made: FakeSet) -> Sample:
    """Every fifth example."""
    count = len(made.dataset.eval)
    return take_sample(fake_features(made), count, np.arange(0, count, 5))


def fake_logits(
    made: FakeSet, *, progress: float, seed: int, noise: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Start and end scores float32[T]: noise, and peaks on the gold answer (or the null token) that grow."""
    rng = np.random.default_rng(seed)
    total = int(made.token_offset[-1])
    luck = rng.random(len(made.feature_example)) < 0.05  # some examples are never learned
    both = []
    for gold in (made.gold_start, made.gold_end):
        logits = noise * rng.standard_normal(total, dtype=np.float32)
        peak = made.token_offset[:-1] + np.where(gold >= 0, gold, made.null_token)
        logits[peak] += np.where(luck, 0.0, 10.0 * progress).astype(np.float32)
        both.append(logits)
    return both[0], both[1]


def _places(words: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First and last-plus-one character of every word in the text that joins them with single spaces."""
    lengths = np.asarray([len(word) for word in words], np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int32)
    return starts, (starts + lengths).astype(np.int32)


def _columns(
    made: FakeSet, start_logits: NDArray[np.float32], end_logits: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Per-example columns: the best span of each example by exact search, and how it compares with the gold one."""
    count = len(made.dataset.eval)
    columns: dict[str, NDArray[Any]] = {
        name: np.full(count, -1, np.int32)
        for name in ("pred_feature", "pred_start", "pred_end", "pred_char_start", "pred_char_end")
    }
    for name in ("score", "null_score"):
        columns[name] = np.full(count, np.inf if name == "null_score" else -np.inf, np.float32)
    for name in ("gold_start_prob", "gold_end_prob", "iou", "exact_match", "f1"):
        columns[name] = np.zeros(count, np.float32)
    for name in ("start_correct", "end_correct"):
        columns[name] = np.zeros(count, np.uint8)
    allow_null = made.dataset.has_impossible
    for feature, number in enumerate(made.feature_example.tolist()):
        lo, hi = int(made.token_offset[feature]), int(made.token_offset[feature + 1])
        choosable = made.segment[lo:hi] == CONTEXT
        starts = np.where(choosable, start_logits[lo:hi], -np.inf)
        ends = np.where(choosable, end_logits[lo:hi], -np.inf)
        null = lo + int(made.null_token[feature])
        columns["null_score"][number] = min(columns["null_score"][number], start_logits[null] + end_logits[null])
        # The best end for every start is the largest of the next MAX_ANSWER ends: a running maximum from behind.
        padded = np.concatenate([ends, np.full(MAX_ANSWER - 1, -np.inf, ends.dtype)])
        reach = np.lib.stride_tricks.sliding_window_view(padded, MAX_ANSWER)
        pair = starts + reach.max(axis=1)
        start = int(pair.argmax())
        if pair[start] > columns["score"][number]:
            end = start + int(reach[start].argmax())
            columns["score"][number] = pair[start]
            columns["pred_feature"][number] = feature
            columns["pred_start"][number], columns["pred_end"][number] = start, end
            columns["pred_char_start"][number] = made.char_start[lo + start]
            columns["pred_char_end"][number] = made.char_end[lo + end]
        gold = int(made.gold_start[feature])
        if gold >= 0:
            for name, scores, token in (
                ("gold_start_prob", starts, gold),
                ("gold_end_prob", ends, int(made.gold_end[feature])),
            ):
                powers = np.exp(scores - scores.max())
                columns[name][number] = powers[token] / powers.sum()
    no_answer = (columns["null_score"] > columns["score"]) & allow_null
    for name in ("pred_start", "pred_end", "pred_char_start", "pred_char_end"):
        columns[name][no_answer] = -1
    for number, example in enumerate(made.dataset.eval):
        lo, hi = int(columns["pred_char_start"][number]), int(columns["pred_char_end"][number])
        if example.is_impossible:
            right = float(lo < 0)
            columns["start_correct"][number] = columns["end_correct"][number] = int(right)
            columns["exact_match"][number] = columns["f1"][number] = columns["iou"][number] = right
            continue
        gold_lo = example.answers[0].start
        gold_hi = gold_lo + len(example.answers[0].text)
        columns["start_correct"][number], columns["end_correct"][number] = lo == gold_lo, hi == gold_hi
        shared = max(0, min(hi, gold_hi) - max(lo, gold_lo))
        union = max(hi, gold_hi) - min(lo, gold_lo) if shared else 1
        columns["iou"][number] = columns["f1"][number] = shared / union
        columns["exact_match"][number] = float((lo, hi) == (gold_lo, gold_hi))
    return columns


def _metrics(columns: dict[str, NDArray[Any]], chosen: NDArray[np.bool_], impossible: NDArray[np.bool_]) -> Metrics:
    probability = np.maximum(columns["gold_start_prob"] * columns["gold_end_prob"], 1e-12)[chosen]
    return Metrics(
        examples=int(chosen.sum()),
        start_accuracy=float(columns["start_correct"][chosen].mean()),
        end_accuracy=float(columns["end_correct"][chosen].mean()),
        exact_match=100 * float(columns["exact_match"][chosen].mean()),
        f1=100 * float(columns["f1"][chosen].mean()),
        loss=float(-0.5 * np.log(probability).mean()),
        **_apart(columns, chosen, impossible),
    )


def _apart(
    columns: dict[str, NDArray[Any]], chosen: NDArray[np.bool_], impossible: NDArray[np.bool_]
) -> dict[str, float]:
    """Scores of questions with and without an answer; the thresholds are made up."""
    if not (chosen & impossible).any():
        return {}
    means = {
        f"{kind}_{name}": 100 * float(columns[name][chosen & rows].mean())
        for kind, rows in (("has_answer", ~impossible), ("no_answer", impossible))
        for name in ("exact_match", "f1")
    }
    return {**means, "best_exact_match": 71.5, "best_exact_threshold": 0.25, "best_f1": 72.5, "best_f1_threshold": -1.5}

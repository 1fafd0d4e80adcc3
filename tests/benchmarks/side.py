"""One side's whole job in a process of its own: start, tokenise, one epoch, evaluation, answers, metrics.

Prints a JSON object of what it took: seconds since the process was started until the first step begins, seconds of
every step, of evaluation, of decoding with metrics, of the snapshot, peak memory (the GPU's where it computes), and
the share that training was of what the device's matrix products reach. Run by tests.benchmarks.training.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.benchmarks import devices
from tests.benchmarks.material import DOC_STRIDE, MAX_ANSWER_LENGTH, MAX_LENGTH, model_folder, peak_memory, since_start

SIDES = ("example", "tuned", "compiled", "ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("train", type=Path)
    parser.add_argument("eval", type=Path)
    parser.add_argument("order", type=Path, help="JSON list: the order in which windows are trained on")
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=1, help="of which the last is timed")
    parser.add_argument("--torch-compile", action="store_true", help="ours with its layers compiled")
    parser.add_argument("--model", type=Path, default=model_folder())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        job = ours if options.side == "ours" else reference
        result = job(options, Path(out))
    result["memory"] = devices.peak_device_memory(options.device) or peak_memory()
    print(json.dumps(result | {"matrix_speed": devices.matrix_speed(options.device)}))


def reference(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    from tests.benchmarks import hugging_face as hf

    pad = options.side == "example"
    logging.getLogger("transformers").setLevel(logging.ERROR)
    folder = options.model
    tokenizer = hf.load_tokenizer(folder)
    train_rows, eval_rows = hf.read_rows(options.train), hf.read_rows(options.eval)
    train = hf.training_features(tokenizer, train_rows, pad=pad)
    evaluation = hf.evaluation_features(tokenizer, eval_rows, pad=pad)
    clock = hf.step_clock()
    trainer = hf.make_trainer(
        options.side,
        folder,
        out,
        train,
        batch_size=options.batch_size,
        use_cpu=options.device == "cpu",
        order=json.loads(options.order.read_text()) if pad else None,
        callbacks=[clock],
        num_train_epochs=options.epochs,
        learning_rate=3e-5,
    )
    trainer.train()
    devices.finish(options.device)
    clock.marks[-1] = time.perf_counter()
    marks = clock.marks[-1 - (len(clock.marks) - 1) // options.epochs :]
    result: dict[str, Any] = {"first_step": clock.first_step, "steps": _differences(marks), "windows": len(train)}
    began = time.perf_counter()
    start, end = hf.score(trainer, evaluation)
    scored = time.perf_counter()
    exact, f1 = hf.official_scores(eval_rows, hf.answers_of(eval_rows, evaluation, start, end))
    decoded = time.perf_counter()
    return result | {
        "evaluation": scored - began,
        "decoding": decoded - scored,
        "snapshot": 0.0,
        "epoch": decoded - marks[0],
        "eval_windows": len(evaluation),
        "exact_match": exact,
        "f1": f1,
    }


def ours(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """The engine's own path, part by part in the worker's order."""
    from engine.learning.warm_up import warm_up

    warm_up().wait()
    from engine.config import RunConfig
    from engine.learning.prepare import prepare

    config = RunConfig(
        dataset=str(options.train),
        model=str(options.model),
        device=options.device,
        eval=str(options.eval),
        batch_size=options.batch_size,
        epochs=options.epochs,
        torch_compile=options.torch_compile,
        max_length=MAX_LENGTH,
        doc_stride=DOC_STRIDE,
        max_answer_length=MAX_ANSWER_LENGTH,
        lr=3e-5,
        feature_cache=False,
    )
    task = prepare(config, lambda event: None)
    from engine.learning.batches import epoch_batches
    from engine.learning.encoder.load import choose_device, choose_precision, load_model
    from engine.learning.encoder.packed import PackedEncoder
    from engine.learning.evaluation import score_windows
    from engine.learning.schedule import make_plan
    from engine.learning.steps import Learner

    device = choose_device(config)
    dtype, _ = choose_precision(config, device)
    model = load_model(task.files, seed=config.seed, device=device, dtype=dtype)
    if config.torch_compile and device.type == "cuda" and isinstance(model.network, PackedEncoder):
        model.network.compile_layers(model.dtype)
    learner = Learner(model, make_plan(config, task.train, model.parameters), task.train)
    batches = epoch_batches(task.train, config.seed, options.epochs, config.batch_size)
    if [int(n) for windows in batches for n in windows] != json.loads(options.order.read_text()):
        raise AssertionError("the sides do not train in the same order")
    first = since_start()
    if config.torch_compile:
        score_windows(model, task.eval)  # as for the untrained model's snapshot: compiles, and is not timed
    for epoch in range(1, options.epochs):
        for windows in epoch_batches(task.train, config.seed, epoch, config.batch_size):
            learner.learn(windows)
    learner.settle()
    devices.finish(options.device)
    marks = [time.perf_counter()]
    for windows in batches:
        learner.learn(windows)
        marks.append(time.perf_counter())
    learner.settle()
    devices.finish(options.device)
    marks[-1] = time.perf_counter()
    result: dict[str, Any] = {"first_step": first, "steps": _differences(marks), "windows": len(task.train)}
    from engine.insight.margins import gold_spans, margin_columns
    from engine.insight.scoring import score_snapshot
    from engine.rundir.layout import RunDir
    from engine.rundir.snapshot import SnapshotInfo, write_snapshot

    run = RunDir.create(out / "run", config)
    gold = gold_spans(task.examples, task.eval)
    began = time.perf_counter()
    start, end = score_windows(model, task.eval)
    scored = time.perf_counter()
    columns, metrics, seen, unseen = score_snapshot(
        task.examples, task.eval, start, end, max_answer_length=MAX_ANSWER_LENGTH, allow_null=task.allow_null
    )
    columns |= margin_columns(
        task.eval, gold, start, end, max_answer_length=MAX_ANSWER_LENGTH, allow_null=task.allow_null
    )
    decoded = time.perf_counter()
    info = SnapshotInfo(
        index=0, label="epoch 1", step=learner.step, epoch=1.0, time=time.time(),
        metrics=metrics, seen=seen, unseen=unseen,
    )  # fmt: skip
    write_snapshot(run.path, info, start, end, columns)
    written = time.perf_counter()
    return result | {
        "evaluation": scored - began,
        "decoding": decoded - scored,
        "snapshot": written - decoded,
        "epoch": (marks[-1] - marks[0]) + (written - began),
        "eval_windows": len(task.eval),
        "exact_match": metrics.exact_match,
        "f1": metrics.f1,
    }


def _differences(marks: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(marks)]


if __name__ == "__main__":
    main()

"""What the app takes of a large run, and of long passages: seconds and memory screen by screen.

    python -m tests.benchmarks.large [--copies 8] [--snapshots 31] [--windows 24]

Writes a run on `--copies` copies of a SQuAD file, each on passages of its own (95,016 examples, about 2.5 GB for the
time it takes), with made-up scores, and watches it with the real app in a pseudo-terminal of 120 × 40 cells; then one
on passages of `--windows` windows.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.examples import Example, dump_examples, make_dataset
from engine.data.features import Features, build_features
from engine.events import Finished, Metrics
from engine.learning.prepare import load_tokenizer
from engine.models import locate_model
from engine.rundir.eval_set import write_features
from engine.rundir.layout import RunDir
from engine.rundir.log import EventLog
from engine.rundir.snapshot import COLUMNS, SnapshotInfo, snapshot_event, write_snapshot
from engine.storage.atomic_io import replace_file
from tests.benchmarks import material
from tests.fake_run import make_run, run_started
from tests.pseudo_terminal import PseudoTerminal, app_command

SCREENS = {"4": "Map", "2": "Spans", "8": "Where it fails", "x": "Heat map", "5": "Compare"}
KEYS = {"]": "next token", "j": "next example", "\x1b[D": "flip"}
MARGINS = ("gold_log_prob", "far_margin", "near_margin", "null_margin")


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--copies", type=int, default=8, help="copies of the SQuAD file")
    parser.add_argument("--snapshots", type=int, default=31, help="the untrained model's, and epochs")
    parser.add_argument("--windows", type=int, default=24, help="windows of a long passage")
    options = parser.parse_args()
    rows = [["what", "seconds", "MB after it", "MB at most"]]
    with tempfile.TemporaryDirectory() as folder:
        examples = copies(material.questions(options.data, material.TRAIN_FILE), options.copies)
        rows += screens(large_run(Path(folder), examples, options.snapshots), Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        long = make_run(Path(folder), examples=30, snapshots=6, tokens=384, windows=options.windows)
        rows += keys(long, Path(folder), f"{options.windows} windows")
    print(material.table(rows))
    material.write_json(options.json, rows)


def copies(examples: list[Example], count: int) -> list[Example]:
    """The examples `count` times; the passages of each copy differ."""
    return [
        msgspec.structs.replace(example, id=f"{example.id}-{copy}", context=f"{example.context} {copy}")
        for copy in range(count)
        for example in examples
    ]


def large_run(folder: Path, examples: list[Example], snapshots: int) -> RunDir:
    """A finished run on the examples, its scores at random; the share that is right grows for some epochs."""
    config = RunConfig(dataset=str(folder / "data.json"), epochs=snapshots - 1, run_dir=str(folder / "run"))
    run = RunDir.create(folder / "run", config)
    dataset = make_dataset(examples[:20], examples)
    replace_file(run.examples_file, dump_examples(dataset))
    tokenizer = load_tokenizer(locate_model(config))
    features = build_features(examples, tokenizer, max_length=384, doc_stride=128)
    write_features(
        run, features, specials=(tokenizer.cls_token, tokenizer.sep_token), max_answer_length=30, allow_null=False
    )
    rng = np.random.default_rng(0)
    with EventLog(run.events_file) as log:
        log.append(run_started(dataset, config))
        for index in range(snapshots):
            if index < 4:
                scores = [rng.normal(size=len(features.input_ids)).astype(np.float32) for _ in range(2)]
            columns = made_up(examples, features, min(0.9, 0.2 * index), rng)
            info = SnapshotInfo(
                index=index,
                label=f"epoch {index}" if index else "untrained",
                step=10 * index,
                epoch=float(index),
                time=1_700_000_000.0 + index,
                metrics=metrics_of(columns),
            )
            write_snapshot(run.path, info, scores[0], scores[1], columns, dtype="float16")
            log.append(snapshot_event(info))
        log.append(Finished(step=10 * snapshots, epoch=snapshots - 1.0, seconds=60.0, metrics=info.metrics))
    return run


def made_up(
    examples: list[Example], features: Features, share: float, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    count = len(examples)
    right = rng.random(count) < share
    start = np.array([example.answers[0].start for example in examples])
    length = np.array([len(example.answers[0].text) for example in examples])
    found = np.where(right, start, rng.integers(0, start + 1))
    columns: dict[str, NDArray[Any]] = {name: rng.random(count) for name in COLUMNS}
    for name in MARGINS:
        columns[name] = np.where(right, 1, -1) * rng.random(count) * 5
    columns["gold_log_prob"] = -np.abs(columns["gold_log_prob"])
    columns["null_margin"][:] = np.nan
    columns |= {name: right for name in ("start_correct", "end_correct", "exact_match")}
    columns |= {name: np.maximum(right, columns[name]) for name in ("f1", "iou")}
    columns["pred_feature"] = np.searchsorted(features.feature_example, np.arange(count))
    columns |= {"pred_start": np.full(count, 20), "pred_end": np.full(count, 22)}
    return columns | {"pred_char_start": found, "pred_char_end": found + length}


def metrics_of(columns: dict[str, NDArray[Any]]) -> Metrics:
    share = float(columns["exact_match"].mean())
    f1 = 100 * float(columns["f1"].mean())
    return Metrics(
        examples=len(columns["f1"]), start_accuracy=share, end_accuracy=share, exact_match=100 * share, f1=f1, loss=1.0
    )


def screens(run: RunDir, folder: Path) -> list[list[str]]:
    """The start and each screen in turn, of one app."""
    rows = []
    with PseudoTerminal(app_command(run.path), environment=home(folder)) as terminal:
        with most_memory(terminal) as most:
            seconds = terminal.wait_for("predicted", 120)
            terminal.settle(1.0)
        rows.append(["start to the first charts", f"{seconds:.2f}", megabytes(terminal.memory()), megabytes(most[0])])
        for key, name in SCREENS.items():
            with most_memory(terminal) as most:
                seconds, _ = terminal.answer(key, quiet=3.0)
            rows.append([name, f"{seconds:.2f}", megabytes(terminal.memory()), megabytes(most[0])])
    return rows


def keys(run: RunDir, folder: Path, what: str) -> list[list[str]]:
    """Journey's keys on one example after another."""
    rows = []
    with PseudoTerminal(app_command(run.path), environment=home(folder)) as terminal:
        terminal.wait_for("predicted", 120)
        terminal.settle(1.0)
        for key, name in KEYS.items():
            taken = [terminal.answer(key)[0] for _ in range(20 if name != "flip" else 5)]
            rows.append([f"{name}, {what}: median", f"{np.median(taken):.3f}", megabytes(terminal.memory()), ""])
    return rows


def home(folder: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": f"{folder}/state", "XDG_CONFIG_HOME": f"{folder}/config"}


@contextmanager
def most_memory(terminal: PseudoTerminal) -> Iterator[list[int]]:
    """The most bytes that the app held while the context lasts, looked at fifty times a second."""
    most, done = [terminal.memory()], threading.Event()

    def watch() -> None:
        while not done.is_set():
            most[0] = max(most[0], terminal.memory())
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}"


if __name__ == "__main__":
    main()

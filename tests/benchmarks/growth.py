"""How time and memory of each phase grow: with the data (1×, 4×, 16×), with the passages' length, with processes.

    python -m tests.benchmarks.growth [--only data,learning,length,processes] [--questions 660] [--learned 24]

Seconds are the processor's, over all threads (other work on the machine does not count); with processes they are the
clock's. Every size has a process of its own, which does one phase after the other; a phase's memory is the most that
the process holds while it lasts, so it includes what earlier phases left. The exponent is that of a power law from 1×
to 16×: 1 is linear, less is better than linear (fixed costs), more is worse.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.config import RunConfig
from engine.data.examples import Example
from engine.events import Step
from tests.benchmarks import material

PARTS = ("data", "learning", "length", "processes")
FACTORS = (1, 4, 16)
Phases = dict[str, tuple[float, int]]
"""Seconds and peak memory (bytes) by phase."""


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="what to measure")
    parser.add_argument("--questions", type=int, default=660, help="questions of the data's 1× (data)")
    parser.add_argument("--learned", type=int, default=24, help="questions of the data's 1× (learning)")
    parser.add_argument("--long", type=int, default=40, help="questions whose passages grow (length)")
    parser.add_argument("--shared", type=int, default=96, help="questions that processes share (processes)")
    parser.add_argument("--processes", type=int, default=2, help="most processes")
    parser.add_argument("--child", nargs=2, metavar=("PART", "FACTOR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        part, factor = options.child
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(part, int(factor), options, Path(folder))))
        return
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"--only: {', '.join(sorted(unknown))}: not among {', '.join(PARTS)}")
    results = {}
    for part in wanted:
        factors = tuple(range(1, options.processes + 1)) if part == "processes" else FACTORS
        found = {factor: child(part, factor, options) for factor in factors}
        results[part] = found
        print(f"{part}:\n\n{shown(found)}\n", flush=True)
    material.write_json(options.json, results)


def child(part: str, factor: int, options: argparse.Namespace) -> Phases:
    names = ("data", "questions", "learned", "long", "shared")
    passed = itertools.chain.from_iterable((f"--{name}", str(getattr(options, name))) for name in names)
    return material.run_child("tests.benchmarks.growth", *passed, "--child", part, str(factor))


def shown(found: dict[int, Phases]) -> str:
    """A table: a line for each phase, seconds and megabytes for each size."""
    factors = list(found)
    head = ["phase", *(f"{f}× s" for f in factors), "exponent", *(f"{f}× MB" for f in factors), "exponent"]
    rows = [head]
    for phase in found[factors[0]]:
        row = [phase]
        for place, scale, spec in ((0, 1.0, ".3g"), (1, 1e6, ",.0f")):
            values = [found[factor][phase][place] / scale for factor in factors]
            row += [*(f"{value:{spec}}" for value in values), f"{_exponent(factors, values):.2f}"]
        rows.append(row)
    return material.table(rows)


def _exponent(factors: list[int], values: list[float]) -> float:
    return math.log(values[-1] / values[0]) / math.log(factors[-1] / factors[0])


def measure(part: str, factor: int, options: argparse.Namespace, folder: Path) -> Phases:
    """All phases of a part at one size, in this process."""
    if part == "processes":
        return with_processes(factor, options, folder)
    count = {"data": factor * options.questions, "learning": factor * options.learned, "length": options.long}[part]
    train = material.spread(material.questions(options.data, material.TRAIN_FILE), count)
    evaluation = material.spread(material.questions(options.data, material.EVAL_FILE), count)
    if part == "length":
        train, evaluation = longer(train, factor), longer(evaluation, factor)
    return phases(config_of(train, evaluation, folder), folder, with_model=part != "data", learn=part == "learning")


def longer(examples: list[Example], factor: int) -> list[Example]:
    """The same questions, each passage followed by those of the next examples: `factor` passages in all."""
    contexts = list(dict.fromkeys(example.context for example in examples))
    passages = itertools.cycle(contexts)
    return [
        msgspec.structs.replace(example, context="\n".join([example.context, *itertools.islice(passages, factor - 1)]))
        for example in examples
    ]


def config_of(train: list[Example], evaluation: list[Example], folder: Path, **changes: Any) -> RunConfig:
    paths = folder / "train.json", folder / "eval.json"
    for path, examples in zip(paths, (train, evaluation), strict=True):
        material.write_squad(path, examples)
    values: dict[str, Any] = {"epochs": 1, "early_snapshots": False, "feature_cache": False} | changes
    return RunConfig(dataset=str(paths[0]), eval=str(paths[1]), **values)


def phases(config: RunConfig, folder: Path, *, with_model: bool, learn: bool) -> Phases:
    """Seconds and memory of everything between the data's files and an opened snapshot."""
    from engine.data.run_data import load_run_data
    from engine.insight.margins import gold_spans, margin_columns
    from engine.insight.scoring import score_snapshot
    from engine.learning.prepare import build_task, load_tokenizer, write_task
    from engine.models import locate_model
    from engine.rundir.eval_set import EvalSet
    from engine.rundir.layout import RunDir
    from engine.rundir.snapshot import COLUMNS, Snapshot, SnapshotInfo, snapshot_name, write_snapshot

    taken: Phases = {}
    files = locate_model(config)
    tokenizer = load_tokenizer(files)
    tokenizer.encode(["What?"], ["That."])
    with timed(taken, "read and check"):
        data = load_run_data(config)
    with timed(taken, "tokenise"):
        task = build_task(
            config, files, data.dataset, tokenizer, max_length=config.max_length, allow_null=data.allow_null,
            emit=lambda event: None,
        )  # fmt: skip
    rng = np.random.default_rng(0)
    start, end = (rng.normal(size=len(task.eval.input_ids)).astype(np.float32) for _ in range(2))
    if with_model:
        from engine.learning.batches import epoch_batches
        from engine.learning.encoder.load import choose_device, choose_precision, load_model
        from engine.learning.evaluation import score_windows
        from engine.learning.schedule import make_plan
        from engine.learning.steps import Learner

        device = choose_device(config)
        model = load_model(files, seed=1, device=device, dtype=choose_precision(config, device)[0])
        learner = Learner(model, make_plan(config, task.train, model.parameters), task.train)
        batches = epoch_batches(task.train, config.seed, 1, config.batch_size)
        learner.learn(batches[0])
        learner.settle()
        if learn:
            with timed(taken, "learn: an epoch"):
                for windows in batches:
                    learner.learn(windows)
                learner.settle()
        with timed(taken, "evaluate"):
            start, end = score_windows(model, task.eval)
    run = RunDir.create(folder / "run", config)
    with timed(taken, "decode, metrics, margins"):
        longest: dict[str, Any] = {"max_answer_length": task.max_answer_length, "allow_null": task.allow_null}
        columns, metrics, _, _ = score_snapshot(task.examples, task.eval, start, end, **longest)
        columns |= margin_columns(task.eval, gold_spans(task.examples, task.eval), start, end, **longest)
    with timed(taken, "write data and snapshot"):
        write_task(run, task)
        info = SnapshotInfo(index=0, label="untrained", step=0, epoch=0.0, time=0.0, metrics=metrics)
        write_snapshot(run.path, info, start, end, columns)
    with timed(taken, "open, read all columns"):
        EvalSet(run).close()
        with Snapshot(run.path / snapshot_name(0)) as snapshot:
            for name in COLUMNS:
                snapshot.column(name)
    return taken


def with_processes(count: int, options: argparse.Namespace, folder: Path) -> Phases:
    """The same epoch, its batches shared by `count` processes: seconds from the first step's end to the last's, and
    the first process's memory; both grow, if at all, less than with the number."""
    from engine.launch import start
    from engine.rundir.log import read_events

    examples = material.spread(material.questions(options.data, material.TRAIN_FILE), options.shared)
    config = config_of(examples, examples[:8], folder, devices=count, device="cpu", run_dir=str(folder / "run"))
    run = start(config)
    if run.wait() != "finished":
        sys.exit(f"the run with {count} processes ended badly: {run.state()}")
    steps = [event for event in read_events(run.directory.events_file) if isinstance(event, Step)]
    return {"learn: an epoch": (steps[-1].time - steps[0].time, max(step.memory for step in steps))}


@contextmanager
def timed(taken: Phases, phase: str) -> Iterator[None]:
    """Note the processor's seconds of a phase, and the most memory that the process holds while it lasts."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    began = time.process_time()
    yield
    taken[phase] = time.process_time() - began, material.peak_memory()


if __name__ == "__main__":
    main()

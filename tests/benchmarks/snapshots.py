"""What looking costs: an epoch that stores its snapshot against one that only evaluates, and the app attached.

    python -m tests.benchmarks.snapshots [--only storing,attached] [--minutes 4]

Storing is timed by itself beside the training and evaluation that it follows: it takes milliseconds, which the
difference of two whole epochs would drown. For the app, a real run trains in its own process while a real app in a
terminal of its own follows it, stopped (SIGSTOP) and continued by turns; only steps wholly inside a turn count.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from engine.config import RunConfig
from engine.events import SnapshotTaken, Step
from engine.launch import start
from engine.rundir.log import EventTail
from tests.benchmarks import material
from tests.benchmarks.material import DOC_STRIDE, MAX_ANSWER_LENGTH, MAX_LENGTH

PARTS = ("storing", "attached")
TERMINAL = (40, 120)
BATCH_SIZE = 16
SETTLE_SECONDS = 1.0
"""After the app was stopped or continued, steps don't count for so long: it catches up."""


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="what to measure")
    parser.add_argument("--rounds", type=int, default=5, help="epochs whose parts are timed")
    parser.add_argument("--train-questions", type=int, default=160, help="an epoch's training questions (storing)")
    parser.add_argument("--eval-questions", type=int, default=160, help="questions to evaluate on (storing)")
    parser.add_argument("--minutes", type=float, default=4.0, help="how long to train with and without the app")
    parser.add_argument("--turn", type=float, default=8.0, help="seconds of a turn with or without the app")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"--only: {', '.join(sorted(unknown))}: not among {', '.join(PARTS)}")
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in wanted:
            results[part] = (storing if part == "storing" else attached)(options, Path(folder))
    material.write_json(options.json, results)


def write_files(options: argparse.Namespace, folder: Path, train: int, evaluation: int) -> tuple[str, str]:
    paths = folder / "train.json", folder / "eval.json"
    for path, file, count in zip(paths, (material.TRAIN_FILE, material.EVAL_FILE), (train, evaluation), strict=True):
        material.write_squad(path, material.spread(material.questions(options.data, file), count))
    return str(paths[0]), str(paths[1])


def storing(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds of an epoch's training, of its evaluation with metrics, and of storing the snapshot."""
    from engine.insight.margins import gold_spans, margin_columns
    from engine.insight.scoring import score_snapshot
    from engine.learning.batches import epoch_batches
    from engine.learning.encoder.load import choose_device, choose_precision, load_model
    from engine.learning.evaluation import score_windows
    from engine.learning.prepare import prepare, write_task
    from engine.learning.schedule import make_plan
    from engine.learning.steps import Learner
    from engine.rundir.layout import RunDir
    from engine.rundir.log import EventLog
    from engine.rundir.snapshot import SnapshotInfo, snapshot_event, write_snapshot

    train, evaluation = write_files(options, folder, options.train_questions, options.eval_questions)
    config = RunConfig(
        dataset=train,
        eval=evaluation,
        epochs=options.rounds,
        max_length=MAX_LENGTH,
        doc_stride=DOC_STRIDE,
        max_answer_length=MAX_ANSWER_LENGTH,
    )
    task = prepare(config, lambda event: None)
    run = RunDir.create(folder / "run", config)
    write_task(run, task)
    device = choose_device(config)
    model = load_model(task.files, seed=config.seed, device=device, dtype=choose_precision(config, device)[0])
    learner = Learner(model, make_plan(config, task.train, model.parameters), task.train)
    rounds = []
    gold = gold_spans(task.examples, task.eval)
    with EventLog(run.events_file) as log:
        for epoch in range(1, options.rounds + 1):
            began = time.perf_counter()
            for windows in epoch_batches(task.train, config.seed, epoch, config.batch_size):
                learner.learn(windows)
            learner.settle()
            trained = time.perf_counter()
            start_logits, end_logits = score_windows(model, task.eval)
            columns, metrics, seen, unseen = score_snapshot(
                task.examples,
                task.eval,
                start_logits,
                end_logits,
                max_answer_length=task.max_answer_length,
                allow_null=task.allow_null,
            )
            columns |= margin_columns(
                task.eval,
                gold,
                start_logits,
                end_logits,
                max_answer_length=task.max_answer_length,
                allow_null=task.allow_null,
            )
            evaluated = time.perf_counter()
            info = SnapshotInfo(
                index=epoch, label=f"epoch {epoch}", step=learner.step, epoch=float(epoch), time=time.time(),
                metrics=metrics, seen=seen, unseen=unseen,
            )  # fmt: skip
            write_snapshot(run.path, info, start_logits, end_logits, columns)
            log.append(snapshot_event(info))
            stored = time.perf_counter()
            rounds.append(
                {"training": trained - began, "evaluation": evaluated - trained, "storing": stored - evaluated}
            )
    middle = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    share = 100 * middle["storing"] / (middle["training"] + middle["evaluation"])
    print(
        f"an epoch of {len(task.train)} training and {len(task.eval)} eval windows: "
        f"training {middle['training']:.1f} s, "
        f"evaluation {middle['evaluation']:.1f} s, storing {1000 * middle['storing']:.1f} ms: {share:.2f} % on top",
        flush=True,
    )
    return {"rounds": rounds, "percent": share}


def attached(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Training tokens/s of a run with the app following it, over those with the app stopped."""
    train, evaluation = write_files(options, folder, 2000, 40)
    run = start(
        RunConfig(
            dataset=train,
            eval=evaluation,
            epochs=100,
            batch_size=BATCH_SIZE,
            early_snapshots=False,
            checkpoint_minutes=1000.0,
            run_dir=str(folder / "watched"),
        )
    )
    tail = EventTail(run.directory.events_file)
    steps: list[Step] = []
    turns: list[tuple[float, float, bool]] = []
    shares: list[float] = []
    app = App(run.path)
    try:
        while not any(isinstance(event, SnapshotTaken) for event in tail.poll()):
            time.sleep(0.5)
        time.sleep(5.0)
        ending = time.monotonic() + 60 * options.minutes
        while time.monotonic() < ending:
            for on in (True, False):
                app.go(on)
                time.sleep(SETTLE_SECONDS)
                began, used = time.time(), app.seconds_used()
                time.sleep(options.turn)
                turns.append((began, time.time(), on))
                if on:
                    shares.append(100 * (app.seconds_used() - used) / (time.time() - began))
            steps += [event for event in tail.poll() if isinstance(event, Step)]
    finally:
        app.close()
        run.stop()
        run.wait()
    rates: dict[bool, list[float]] = {True: [], False: []}
    for began, ended, on in turns:
        inside = [s for s in steps if began <= s.time - _seconds(s) and s.time <= ended]
        if inside:
            rates[on].append(sum(s.tokens_per_second * _seconds(s) for s in inside) / sum(map(_seconds, inside)))
    pairs = list(zip(rates[True], rates[False], strict=False))
    slower = [100 * (1 - with_app / without) for with_app, without in pairs]
    error = statistics.stdev(slower) / len(slower) ** 0.5 if len(slower) > 1 else float("nan")
    print(
        f"training with the app attached: {statistics.mean(slower):.2f} % slower (standard error {error:.2f}, "
        f"{len(pairs)} pairs of {options.turn:g} s; {statistics.median(rates[False]):,.0f} tokens/s without); "
        f"the app itself takes {statistics.mean(shares):.2f} % of a core",
        flush=True,
    )
    return {"with": rates[True], "without": rates[False], "percent_slower": slower, "percent_of_a_core": shares}


def _seconds(step: Step) -> float:
    return BATCH_SIZE / step.examples_per_second


class App:
    """The real app on a run, in a terminal that nobody looks at."""

    def __init__(self, run: Path) -> None:
        self._screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *TERMINAL, 0, 0))
        code = "import sys; from tui.cli.main import main; sys.exit(main(sys.argv[1:]))"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(run)],
            cwd=material.CHECKOUT,
            env=os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        with suppress(OSError):
            while os.read(self._screen, 1 << 16):
                pass

    def seconds_used(self) -> float:
        """Processor time of the app so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def go(self, on: bool) -> None:
        """Let the app run, or stop it where it is. Ends the program if the app has ended."""
        if self._process.poll() is not None:
            sys.exit(f"the app ended with {self._process.returncode}")
        self._process.send_signal(signal.SIGCONT if on else signal.SIGSTOP)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._screen)


if __name__ == "__main__":
    main()

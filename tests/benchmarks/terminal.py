"""What the app costs a terminal: bytes and time for each flip, idle traffic, opening, memory, and a slow link.

    python tests/benchmarks/terminal.py [--run DIR]

Writes a run as large as SQuAD's dev set with 100 snapshots (130 MB for a minute), its scores as noisy as a real
run's, watches it with the real app in a pseudo-terminal of 120 × 40 cells with 256 colours, and prints a table with
goals. Flips are also measured on the real run that is recorded with the tests, where neighbours differ as they do in
the first epochs of a training.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.events import Phase, Step
from engine.rundir.layout import RunDir
from engine.rundir.log import EventLog
from tests.fake_run import append_events, fake_steps, make_run
from tests.pseudo_terminal import PseudoTerminal, app_command
from tests.recorded import recorded_run

FLIPS = 40
LINK = 50_000  # bytes per second of the slow link
NOISE = 0.3
"""Deviation of the made-up scores; that of the recorded run's is 0.03 to 0.4 over its snapshots, and peaks are 10."""
LEFT, RIGHT = "\x1b[D", "\x1b[C"
Row = tuple[str, float, str, float]
"""What was measured, how much, in which unit, and what it may be at most."""


def main() -> int:
    """Measure all, print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run to watch, instead of a made-up one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.run or large_run(Path(folder))
        home = {"XDG_STATE_HOME": f"{folder}/state", "XDG_CONFIG_HOME": f"{folder}/config"}
        rows = [*opening(path, home), *flips(path, home), *real_flips(Path(folder), home)]
        rows += [*slow_link(path, home), *idle(Path(folder), home)]
    missed = print_table(rows)
    return 1 if missed else 0


def large_run(folder: Path) -> Path:
    return make_run(folder, examples=10_570, snapshots=100, tokens=180, noise=NOISE).path


def opening(path: Path, home: dict[str, str]) -> list[Row]:
    """Time to the first frame and to the first charts, the better of three starts, so that files are cached."""
    frames, charts = [], []
    for _ in range(3):
        with PseudoTerminal(app_command(path), environment=home) as terminal:
            frames.append(terminal.wait_for("Journey"))
            charts.append(terminal.wait_for("predicted"))
            terminal.settle()
            terminal.press("q")
            terminal.process.wait(10)
    return [
        ("first frame", 1000 * min(frames), "ms", 500),
        ("charts of the opened run", 1000 * min(charts), "ms", 1000),
    ]


def flips(path: Path, home: dict[str, str]) -> list[Row]:
    """Bytes and time of epoch flips in Journey, with every scale, and of other keys; memory after all of it."""
    rows: list[Row] = []
    with PseudoTerminal(app_command(path), environment=home) as terminal:
        terminal.wait_for("predicted")
        terminal.settle()
        rows += scale_by_scale(terminal, FLIPS, "flip")
        for name, key in (("example", "j"), ("token", "]")):
            seconds, sizes = zip(*(terminal.answer(key) for _ in range(20)), strict=True)
            rows.append((f"key for the next {name}: p95", 1000 * float(np.percentile(seconds, 95)), "ms", 50))
            rows.append((f"key for the next {name}: mean", float(np.mean(sizes)), "bytes", 10_000))
        rows.append(("memory after Journey", terminal.memory() / 1e6, "MB", 150))
        before = terminal.written
        time.sleep(5)
        rows.append(("idle, finished run", (terminal.written - before) / 5, "bytes/s", 0))
        for key in "235x6":
            terminal.answer(key, quiet=0.8)
        rows.append(("memory after all screens", terminal.memory() / 1e6, "MB", 150))
    return rows


def real_flips(folder: Path, home: dict[str, str]) -> list[Row]:
    """Bytes and time of every flip through the recorded run, with every scale."""
    with PseudoTerminal(app_command(recorded_run(folder).path), environment=home) as terminal:
        terminal.wait_for("predicted")
        terminal.settle()
        return scale_by_scale(terminal, 9, "flip of a real run")


def scale_by_scale(terminal: PseudoTerminal, count: int, name: str) -> list[Row]:
    """`count` flips back from the newest snapshot, with every scale in turn."""
    rows: list[Row] = []
    for scale, limit in (("logit − minimum", 6000), ("logits", 6000), ("probabilities", 2000)):
        seconds, sizes = zip(*(terminal.answer(LEFT) for _ in range(count)), strict=True)
        rows += [
            (f"{name}, {scale}: p95", 1000 * float(np.percentile(seconds, 95)), "ms", 50),
            (f"{name}, {scale}: mean", float(np.mean(sizes)), "bytes", limit),
            (f"{name}, {scale}: largest", float(max(sizes)), "bytes", limit),
        ]
        terminal.answer("G")
        terminal.answer("y")
        terminal.settle(7.0)  # what the key says goes by itself after six seconds
    return rows


def slow_link(path: Path, home: dict[str, str]) -> list[Row]:
    """30 epoch keys in 3 s and then `q`, over 50 kB/s: time until the app is gone."""
    with PseudoTerminal(app_command(path), environment=home, bytes_per_second=LINK) as terminal:
        terminal.wait_for("predicted")
        terminal.settle()
        for _ in range(30):
            terminal.press(LEFT)
            time.sleep(0.1)
        pressed = time.perf_counter()
        terminal.press("q")
        terminal.process.wait(30)
        gone = time.perf_counter() - pressed
    return [("30 keys in 3 s, then q, at 50 kB/s: gone after", 1000 * gone, "ms", 500)]


def idle(folder: Path, home: dict[str, str]) -> list[Row]:
    """Bytes a second while training events flow and nobody presses a key."""
    run = make_run(folder, name="live", examples=400, snapshots=4, tokens=180, live=True)
    append_events(run, Phase(name="training"))
    with training(run), PseudoTerminal(app_command(run.path), environment=home) as terminal:
        terminal.wait_for("predicted")
        time.sleep(1.5)
        before, began = terminal.written, time.perf_counter()
        time.sleep(10)
        rate = (terminal.written - before) / (time.perf_counter() - began)
    return [("idle while training", rate, "bytes/s", 300)]


@contextmanager
def training(run: RunDir, per_second: float = 8.0) -> Iterator[None]:
    """An engine seems to train: step events and heartbeats come for as long as the context lasts."""
    stop = threading.Event()

    def tell() -> None:
        log = EventLog(run.events_file)
        step: Step = fake_steps(2, 10, 100)[-1]
        beat = 2
        while not stop.wait(1 / per_second):
            rate = 40.0 + 5 * float(np.sin(step.step / 7))
            step = msgspec.structs.replace(
                step, step=step.step + 1, epoch=step.epoch + 0.01, loss=step.loss * 0.999, examples_per_second=rate
            )
            log.append(step)
            beat += 1
            run.heartbeat_file.write_text(f"{beat}\n")
        log.close()

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def print_table(rows: list[Row], write: Callable[[str], object] = print) -> int:
    """Print what was measured beside the goals; returns how many are missed."""
    missed = 0
    for name, value, unit, limit in rows:
        met = value <= limit
        missed += not met
        write(f"{name:<50}{value:>10.0f} {unit:<8} goal {limit:>7.0f}  {'met' if met else 'MISSED'}")
    return missed


if __name__ == "__main__":
    sys.exit(main())

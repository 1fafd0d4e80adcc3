"""How far the probabilities of a run's models can be trusted, and what calibrating costs.

    python -m tests.benchmarks.calibration --run RUN [--snapshot 12]

Reads a run's snapshots; changes nothing in it. Temperature and threshold are fitted on half of the eval set's passages,
all figures are of the other half. Made for a run like

    bertqa-tui train DATA/squad/train-v1.1-44-articles.json --eval DATA/squad/dev-v1.1.json --epochs 2
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.insight.calibration import Bin, Calibration, calibrate
from engine.insight.scoring import prepared
from engine.rundir.checkpoints import snapshot_infos
from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, SnapshotInfo, snapshot_name

GOAL = 0.05
CONFIDENCES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run, live or finished")
    parser.add_argument("--snapshot", type=int, help="number of the snapshot (default: the newest)")
    parser.add_argument("--rounds", type=int, default=5, help="how often calibrating is timed")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    run = RunDir(options.run)
    infos = {info.index: info for info in snapshot_infos(run)}
    if not infos:
        sys.exit(f"{options.run} has no snapshot.")
    index = max(infos) if options.snapshot is None else options.snapshot
    if index not in infos:
        sys.exit(f"{options.run} has no snapshot {index}; there are {', '.join(map(str, sorted(infos)))}.")
    found, seconds = measured(run, index, options.rounds)
    show(infos[index], found, seconds)
    if options.json is not None:
        results = {"calibration": msgspec.to_builtins(found), "seconds": seconds}
        options.json.write_text(json.dumps(results, indent=1))


def measured(run: RunDir, index: int, rounds: int) -> tuple[Calibration, list[float]]:
    """The calibration of a snapshot, and how long computing it took, in seconds, each time."""
    data, seconds = EvalSet(run), []
    windows, golds = data.windows(), prepared(data.examples, allow_null=data.allow_null, f1=run.config.f1)
    with Snapshot(run.path / snapshot_name(index)) as snapshot:
        start, end = snapshot.logits()
        step = snapshot.info.step
    for _ in range(rounds):
        began = time.perf_counter()
        found = calibrate(
            data.examples, windows, start, end, golds,
            step=step, max_answer_length=data.max_answer_length, allow_null=data.allow_null,
        )  # fmt: skip
        seconds.append(time.perf_counter() - began)
    return found, seconds


def by_chance(bins: Sequence[Bin]) -> float:
    """The expected calibration error of probabilities that are exactly right, for so many answers in each bin: the mean
    deviation of a share p of n is about the square root of 2 p (1 - p) / (pi n)."""
    total = sum(one.count for one in bins) or 1
    return sum(math.sqrt(2 * one.count * one.confidence * (1 - one.confidence) / math.pi) for one in bins) / total


def show(info: SnapshotInfo, found: Calibration, seconds: list[float]) -> None:
    low, high = min(seconds), max(seconds)
    print(f"snapshot {info.index} ({info.label}): EM {info.metrics.exact_match:.1f}, F1 {info.metrics.f1:.1f}")
    print(f"fitted on {found.fitted_on:,} questions, measured on {found.held_out:,}; computed in", end=" ")
    print(f"{statistics.median(seconds):.2f} s ({low:.2f} to {high:.2f})\n")
    print("| | temperature | calibration error | goal |\n|---|---|---|---|")
    print(f"| before | 1 | {found.error_before:.3f} | |")
    print(f"| after | {found.temperature:.3f} | {found.error_after:.3f} | {GOAL} |")
    print(f"\nAn error of about {by_chance(found.after):.3f} is to be expected by chance alone.")
    if found.no_answer_threshold is not None:
        print(
            f"\nno-answer threshold {found.no_answer_threshold:+.2f}: F1 {found.f1:.1f}; at 0: {found.f1_at_zero:.1f}"
        )
    print("\n| confidence | before: answers | sure | right | after: answers | sure | right |")
    print("|---|---|---|---|---|---|---|")
    for number, (before, after) in enumerate(zip(found.before, found.after, strict=True)):
        edges = f"{number / len(found.after):.2f} to {(number + 1) / len(found.after):.2f}"
        cells = [
            f"{one.count:,} | {one.confidence:.2f} | {one.accuracy:.2f}" if one.count else "0 | | "
            for one in (before, after)
        ]
        print(f"| {edges} | {' | '.join(cells)} |")
    print("\n| answer only above | % of questions | F1 | EM |\n|---|---|---|---|")
    for point in found.coverage:
        if any(abs(point.confidence - wanted) < 0.005 for wanted in CONFIDENCES):
            share = f"{100 * point.share:.0f}"
            print(f"| {point.confidence:.2f} | {share} | {point.f1:.1f} | {point.exact_match:.1f} |")


if __name__ == "__main__":
    main()

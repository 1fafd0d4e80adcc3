"""Which score finds which label error: planted ones and real ones, in SQuAD v1.1 dev used as training data.

    python -m tests.benchmarks.suspects --runs FOLDER [--seeds 3] [--questions 2000] [--epochs 3]

The first annotator's answer is the only label. Errors of four kinds are planted (tests/benchmarks/planting.py); the
real ones are left as they are. The model is fine-tuned on the noisy labels and scored on the same questions after each
epoch. Runs stay in the folder: what is there is used again, what is unfinished is resumed.

With --held-out RUN the errors are planted in the eval questions of a finished run that learned from other data, as in
an eval set with bad labels: nothing is trained, and each seed plants errors of its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.events import Finished, Phase, SnapshotTaken
from engine.insight.dynamics import NEEDED, Dynamics, counts, dynamics, mean_over_snapshots, number_passages
from engine.insight.margins import gold_spans, margin_columns
from engine.insight.suspects import Kind, reranked, suspicion, wrong_boundary, wrong_place
from engine.rundir.dynamics import read_dynamics, snapshot_files
from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.rundir.snapshot import Snapshot
from tests.benchmarks import material
from tests.benchmarks.planting import CLEAN, HUMAN, KINDS, Noisy, passages, plant

Scores = NDArray[np.floating[Any]]
SHARE = 0.05
FOUND = (*KINDS, HUMAN)
PLACES = ("random", "sentence", "swapped", HUMAN)
LISTS: Mapping[Kind, tuple[str, ...]] = {"place": PLACES, "boundary": ("boundary",)}
"""The lists and the errors that they are for."""
REVIEWED = 50


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("suspects"), help="folder of the runs, used again")
    parser.add_argument("--held-out", type=Path, metavar="RUN", help="a run with eval questions of SQuAD v1.1 dev")
    parser.add_argument("--seeds", type=int, default=3, help="samples, each with its own errors and training")
    parser.add_argument("--questions", type=int, default=2000, help="questions of a sample, at least; 0: all")
    parser.add_argument("--epochs", type=int, default=3, help="passes over them")
    options = parser.parse_args()
    results = []
    if options.held_out is not None:
        run = RunDir(options.held_out)
        kept = EvalSet(run)
        for seed in range(1, options.seeds + 1):
            noisy = plant(kept.examples, share=SHARE, seed=seed)
            results.append(measured(*scored_anew(run, kept, noisy), noisy) | {"seconds": {}})
            describe(seed, noisy)
        kept.close()
        material.write_json(options.json, results)
        report(results)
        return
    everything = material.questions(options.data, material.EVAL_FILE)
    for seed in range(1, options.seeds + 1):
        examples = passages(everything, options.questions, seed) if options.questions else everything
        noisy = plant(examples, share=SHARE, seed=seed)
        run = trained(options.runs / f"sample-{seed}", noisy, seed, options.epochs)
        dynamics = read_dynamics(run)
        if dynamics is None:
            sys.exit(f"{run.path}: no epoch is done.")
        results.append(measured(dynamics, qa_loss(run, dynamics), noisy) | {"seconds": seconds(run)})
        describe(seed, noisy)
    material.write_json(options.json, results)
    report(results)


def describe(seed: int, noisy: Noisy) -> None:
    numbers = ", ".join(f"{noisy.kinds.count(kind)} {kind}" for kind in (*FOUND, CLEAN))
    print(f"seed {seed}: {len(noisy.kinds)} questions, {numbers}", flush=True)


def trained(folder: Path, noisy: Noisy, seed: int, epochs: int) -> RunDir:
    """The run that learned from the noisy labels; trained now, or gone on with, where it is not finished."""
    run = RunDir(folder / "run")
    data = folder / "noisy.json"
    command = [sys.executable, "-m", "tui.cli"]
    if not run.config_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        material.write_squad(data, noisy.examples)
        command += ["train", str(data), "--eval", str(data), "--no-early-snapshots", "--epochs", str(epochs)]
        command += ["--seed", str(seed), "--keep-weights", "last", "--run-dir", str(run.path)]
    elif any(isinstance(event, Finished) for event in read_events(run.events_file)):
        command = []
    else:
        command += ["resume", str(run.path), "--plain"]
    if command:
        subprocess.run(command, cwd=material.CHECKOUT, check=True)
    kept = EvalSet(run)
    if [(e.id, e.answers) for e in kept.examples] != [(e.id, e.answers) for e in noisy.examples]:
        sys.exit(f"{run.path}: not the labels of seed {seed}, in their order; choose another --runs.")
    kept.close()
    return run


def scored_anew(run: RunDir, kept: EvalSet, noisy: Noisy) -> tuple[Dynamics, Scores]:
    """What a run's eval examples look like with other labels, and the loss float[S, N]: its scores do not depend on
    the labels."""
    windows = kept.windows()
    gold = gold_spans(noisy.examples, windows)
    labels = np.array([(e.answers[0].start, e.answers[0].start + len(e.answers[0].text)) for e in noisy.examples])
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in NEEDED}
    infos = []
    for path in snapshot_files(run.snapshots):
        with Snapshot(path) as snapshot:
            if not counts(snapshot.info.epoch):
                continue
            infos.append(snapshot.info)
            columns: dict[str, NDArray[Any]] = dict(
                margin_columns(
                    windows, gold, *snapshot.logits(), max_answer_length=kept.max_answer_length, allow_null=False
                )
            )
            predicted = [snapshot.column(name).astype(np.int64) for name in ("pred_char_start", "pred_char_end")]
        columns |= {"pred_char_start": predicted[0], "pred_char_end": predicted[1]}
        shared = np.minimum(predicted[1], labels[:, 1]) - np.maximum(predicted[0], labels[:, 0])
        union = np.maximum(predicted[1], labels[:, 1]) - np.minimum(predicted[0], labels[:, 0])
        columns["iou"] = np.clip(shared, 0, None) / union
        columns["exact_match"] = columns["iou"] == 1
        for name, values in columns.items():
            rows[name].append(values)
    stacked = {name: np.stack(values) for name, values in rows.items()}
    found = dynamics(
        stacked,
        [info.index for info in infos],
        [info.label for info in infos],
        number_passages([e.context for e in noisy.examples]),
    )
    return found, -stacked["gold_log_prob"]


def measured(dynamics: Dynamics, loss: Scores, noisy: Noisy) -> dict[str, Any]:
    """Average precision and precision at 50 of every score for every kind of error, and what verdicts change."""
    kinds = np.array(noisy.kinds)
    scores = all_scores(dynamics, loss)
    return {
        "scores": {name: {kind: found(values, kinds, kind) for kind in FOUND} for name, values in scores.items()},
        "verdicts": {kind: verdict_gain(kind, dynamics, kinds, aims) for kind, aims in LISTS.items()}
        | {"place, human errors": verdict_gain("place", dynamics, kinds, PLACES, (HUMAN,))},
    }


def all_scores(dynamics: Dynamics, loss: Scores) -> dict[str, Scores]:
    """Scores float[N] by name; higher is more suspicious. `loss` is float[S, N]."""
    columns = dynamics.columns
    never = len(dynamics.snapshots)
    learned_at = np.array(
        [dynamics.snapshots.index(at) if at >= 0 else never for at in dynamics.first_learned.tolist()]
    )
    overlap = mean_over_snapshots(columns["iou"])
    scores = {
        "chance": np.random.default_rng(0).random(len(dynamics)),
        "loss, last epoch": loss[-1],
        "loss, first epoch": loss[0],
        "loss, mean": mean_over_snapshots(loss),
        "−log P of the span, mean": -dynamics.log_prob,
        "confidence": -dynamics.confidence,
        "variability": dynamics.variability,
        "correctness": -dynamics.correctness,
        "first learned": learned_at + dynamics.forgetting * 0.5,
        "far margin, mean": -dynamics.far,
        "far margin, first epoch": -columns["far_margin"][0],
        "near margin, mean": -dynamics.near,
        "near margin, last epoch": -columns["near_margin"][-1],
        "1 − IoU, mean": 1 - overlap,
        "1 − expected IoU, mean": 1 - dynamics.overlap,
        "1 − expected IoU, last epoch": 1 - columns["expected_iou"][-1],
    }
    for name, ranked in (
        ("list: wrong place", wrong_place(dynamics)),
        ("list: wrong boundary", wrong_boundary(dynamics)),
    ):
        values = np.full(len(dynamics), -np.inf)
        for entry in ranked:
            values[entry.example] = entry.score
        scores[name] = values
    return scores


def qa_loss(run: RunDir, dynamics: Dynamics) -> Scores:
    """float[S, N]: the mean of the cross-entropies of start and end, over the tokens of the passage."""
    rows = []
    for path in snapshot_files(run.snapshots):
        with Snapshot(path) as snapshot:
            if snapshot.info.index in dynamics.snapshots:
                product = snapshot.column("gold_start_prob").astype(np.float64) * snapshot.column("gold_end_prob")
                rows.append(-0.5 * np.log(np.maximum(product, 1e-30)))
    return np.stack(rows)


def found(scores: Scores, kinds: NDArray[np.str_], kind: str) -> tuple[float, float]:
    """Average precision and precision at 50 for the errors of one kind among the clean labels."""
    chosen = (kinds == kind) | (kinds == CLEAN)
    return ranking_quality(scores[chosen], kinds[chosen] == kind)


def ranking_quality(scores: Scores, wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Average precision (mean of the precision at each error found) and precision at 50; NaN scores come last."""
    hits = wrong[np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean()) if hits.any() else 0.0, float(hits[:50].mean())


def verdict_gain(
    kind: Kind, dynamics: Dynamics, kinds: NDArray[np.str_], aims: Sequence[str], counted: Sequence[str] | None = None
) -> tuple[float, float]:
    """Average precision on what is left of a list after its first 50 entries were reviewed: without the verdicts, and
    re-ranked by them. `aims` are the errors that the list is for; other errors are left out. Of the errors that are
    left those in `counted` count."""
    wrong = np.isin(kinds, aims)
    before = np.where(wrong | (kinds == CLEAN), np.nan_to_num(suspicion(kind, dynamics), nan=-np.inf), -np.inf)
    reviewed = np.argsort(-before, kind="stable")[:REVIEWED]
    rest = np.isin(kinds, (*(counted or aims), CLEAN))
    rest[reviewed] = False
    after = reranked(before, dynamics.passages, {number: bool(wrong[number]) for number in reviewed.tolist()})
    return ranking_quality(before[rest], wrong[rest])[0], ranking_quality(after[rest], wrong[rest])[0]


def seconds(run: RunDir) -> dict[str, float]:
    """How long training and scoring took, by the log."""
    spent = {"training": 0.0, "scoring": 0.0}
    last = None
    for event in read_events(run.events_file):
        if last is not None:
            phase = "scoring" if isinstance(last, Phase) and last.name == "evaluating" else "training"
            if isinstance(event, Phase | SnapshotTaken) or phase == "training":
                spent[phase] += event.time - last.time
        last = event
    return spent


def report(results: Sequence[Mapping[str, Any]]) -> None:
    rows = [["score", *FOUND]]

    def cell(pick: Callable[[Mapping[str, Any]], tuple[float, float]]) -> str:
        pairs = [pick(result) for result in results]
        spread = f" ± {statistics.stdev(ap for ap, _ in pairs):.3f}" if len(pairs) > 1 else ""
        return f"{statistics.mean(ap for ap, _ in pairs):.3f}{spread} ({statistics.mean(p for _, p in pairs):.2f})"

    for name in results[0]["scores"]:
        rows.append([name, *(cell(lambda r, n=name, k=kind: r["scores"][n][k]) for kind in FOUND)])  # type: ignore[misc]
    print(material.table(rows))
    for kind in results[0]["verdicts"]:
        without, having = (statistics.mean(r["verdicts"][kind][side] for r in results) for side in (0, 1))
        print(
            f"list of wrong {kind}, AP on the rest after {REVIEWED} verdicts: {without:.3f} without them, {having:.3f}"
        )
    if not results[0]["seconds"]:
        return
    training, scoring = (statistics.mean(r["seconds"][what] for r in results) for what in ("training", "scoring"))
    print(f"a run: {training:.0f} s of training, {scoring:.0f} s of scoring")


if __name__ == "__main__":
    main()

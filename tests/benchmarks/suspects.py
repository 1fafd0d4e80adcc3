"""Which score finds which label error: planted ones and real ones, in SQuAD v1.1 dev used as training data.

    python -m tests.benchmarks.suspects --runs FOLDER [--seeds 3] [--questions 2000] [--epochs 3]
    python -m tests.benchmarks.suspects --runs FOLDER --questions 0 --folds 5 --device cuda --model FOLDER

The first annotator's answer is the only label. Errors of four kinds are planted (tests/benchmarks/planting.py); the
real ones are left as they are. The model is fine-tuned on the noisy labels and scored on the same questions after each
epoch. Runs stay in the folder: what is there is used again, what is unfinished is resumed.

With --folds K the runs have folds (`bertqa-tui --folds`): the same tables by the journey alone, by the models that
never saw the labels they score, and by both. With --repeats R each sample is learned R times, with training seeds of
its own, and every score is the mean of R.

With --held-out RUN the errors are planted in the eval questions of a finished run that learned from other data, as in
an eval set with bad labels: nothing is trained, and each seed plants errors of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig, config_from
from engine.data.examples import read_examples
from engine.events import Failed, Finished, Phase, Stopped
from engine.insight.dynamics import NEEDED, Dynamics, counts, dynamics, number_passages
from engine.insight.evidence import Kind, mean_over_snapshots
from engine.insight.margins import gold_spans, margin_columns
from engine.insight.suspects import boundary_parts, reranked, robust_z, suspicion
from engine.launch import Run, attach, resume, start
from engine.rundir.dynamics import Half, held_out_epochs, read_dynamics, scored_epochs, snapshot_files
from engine.rundir.eval_set import EvalSet
from engine.rundir.folds import fold_runs, read_fold_of
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from engine.rundir.snapshot import Snapshot
from tests.benchmarks import material
from tests.benchmarks.planting import CLEAN, HUMAN, KINDS, Noisy, passages, plant

Scores = NDArray[np.floating[Any]]
SHARE = 0.05
FOUND = (*KINDS, HUMAN)
PLACES, BOUNDARIES = ("random", "sentence", "swapped", HUMAN), ("boundary",)
"""The errors that each list is for."""
LIST_NAMES: Mapping[Kind, str] = {"place": "list: wrong place", "boundary": "list: wrong boundary"}
REVIEWED = 50
JOURNEY, FOLDS, BOTH = "journey alone", "folds alone", "journey and folds"
OF_EVAL = 100
"""Eval questions of a run with folds: its training examples are the same, and they are scored."""


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("suspects"), help="folder of the runs, used again")
    parser.add_argument("--held-out", type=Path, metavar="RUN", help="a run with eval questions of SQuAD v1.1 dev")
    parser.add_argument("--seeds", type=int, default=3, help="samples, each with its own errors and training")
    parser.add_argument("--questions", type=int, default=2000, help="questions of a sample, at least; 0: all")
    parser.add_argument("--epochs", type=int, default=3, help="passes over them")
    parser.add_argument("--folds", type=int, metavar="K", help="models that score what they never saw")
    parser.add_argument("--repeats", type=int, default=1, metavar="R", help="trainings of each sample")
    parser.add_argument("--model", help="as of bertqa-tui")
    parser.add_argument("--device", help="as of bertqa-tui")
    parser.add_argument("--precision", help="as of bertqa-tui")
    options = parser.parse_args()
    results = []
    if options.held_out is not None:
        run = RunDir(options.held_out)
        kept = EvalSet(run)
        for seed in range(1, options.seeds + 1):
            noisy = plant(kept.examples, share=SHARE, seed=seed)
            results.append(measured([views(*scored_anew(run, kept, noisy))], noisy) | {"seconds": {}})
            describe(seed, noisy)
        kept.close()
        material.write_json(options.json, results)
        report(results)
        return
    everything = material.questions(options.data, material.EVAL_FILE)
    for seed in range(1, options.seeds + 1):
        examples = passages(everything, options.questions, seed) if options.questions else everything
        noisy = plant(examples, share=SHARE, seed=seed)
        describe(seed, noisy)
        runs = [trained(noisy, seed, repeat, options) for repeat in range(options.repeats)]
        scored = [views_of(run) for run in runs]
        results.append(measured(scored, noisy) | {"seconds": mean_seconds([seconds(run) for run in runs])})
        if options.repeats > 1:
            results[-1]["one"] = measured(scored[:1], noisy)
        material.write_json(options.json, results)
    if options.repeats > 1:
        print("\n## One training\n")
        report([result["one"] | {"seconds": {}} for result in results])
        print(f"\n## Mean of {options.repeats} trainings\n")
    report(results)


def describe(seed: int, noisy: Noisy) -> None:
    numbers = ", ".join(f"{noisy.kinds.count(kind)} {kind}" for kind in (*FOUND, CLEAN))
    print(f"seed {seed}: {len(noisy.kinds)} questions, {numbers}", flush=True)


def trained(noisy: Noisy, seed: int, repeat: int, options: argparse.Namespace) -> RunDir:
    """The run that learned from the noisy labels; trained now, or gone on with, where it is not finished."""
    folder = options.runs / f"sample-{seed}"
    path, data = folder / (f"run-{repeat + 1}" if repeat else "run"), folder / "noisy.json"
    began = time.monotonic()
    if (path / "config.json").exists():
        run = attach(path)
        if run.directory.config.folds != options.folds:
            sys.exit(f"{path}: a run with --folds {run.directory.config.folds}; choose another --runs.")
        if run.state()[0] is not State.FINISHED and not run.is_live():
            run = resume(path, environment=importable())
    else:
        folder.mkdir(parents=True, exist_ok=True)
        material.write_squad(data, noisy.examples)
        run = start(config_of(path, data, seed + 1000 * repeat, options), environment=importable())
    if run.wait() is not State.FINISHED:
        sys.exit(f"{run.path}: {run.state()[1]}")
    print(f"{run.path}: there after {time.monotonic() - began:.0f} s", flush=True)
    check_labels(run, noisy)
    return run.directory


def config_of(path: Path, data: Path, seed: int, options: argparse.Namespace) -> RunConfig:
    given = {name: getattr(options, name) for name in ("model", "device", "precision") if getattr(options, name)}
    if options.folds:
        given |= {"folds": options.folds, "snapshot_limit": OF_EVAL}
    return config_from(
        {
            "dataset": str(data),
            "eval": str(data),
            "early_snapshots": False,
            "epochs": options.epochs,
            "seed": seed,
            "keep_weights": "last",
            "run_dir": str(path),
            **given,
        }
    )


def importable() -> dict[str, str]:
    """The environment of an engine that need not be installed."""
    paths = [str(material.CHECKOUT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def check_labels(run: Run, noisy: Noisy) -> None:
    """End the program where the run learned from other labels, or in another order."""
    examples = read_examples(run.directory.examples_file).train
    if [(e.id, e.answers) for e in examples] != [(e.id, e.answers) for e in noisy.examples]:
        sys.exit(f"{run.path}: not the labels of this seed, in their order; choose another --runs.")


Columns = Mapping[str, NDArray[Any]]
Views = dict[str, tuple[dict[str, Scores], Dynamics]]
"""By what is looked at (JOURNEY, FOLDS, BOTH): scores float[N] by name, and the dynamics that give the lists."""


def views_of(run: RunDir) -> Views:
    """What a finished run says of the labels it learned from."""
    half: Half = "train" if run.config.folds else "eval"
    found, epochs = read_dynamics(run, half), scored_epochs(run, half)
    if found is None or epochs is None:
        sys.exit(f"{run.path}: no epoch is done.")
    folder = run.train_snapshots if half == "train" else run.snapshots
    journey = epochs.read(0, len(found)), qa_loss(folder, found, train=half == "train")
    fold_of, held_out = read_fold_of(run), held_out_epochs(run, len(found))
    if found.held_out is None or held_out is None or fold_of is None:
        return views(found, journey)
    columns = held_out.read(0, len(found))
    return views(found, journey, (columns, held_out_loss(run, found.held_out, fold_of)), fold_of)


def views(
    found: Dynamics,
    scored: tuple[Columns, Scores],
    held_out: tuple[Columns, Scores] | None = None,
    fold_of: NDArray[np.int32] | None = None,
) -> Views:
    """`scored` are columns and loss, `[S, N]` each; `held_out` those by the models of the folds `fold_of`."""
    journey = replace(found, held_out=None)
    of_journey = all_scores(journey, *scored)
    if found.held_out is None or held_out is None or fold_of is None:
        return {JOURNEY: (of_journey, journey)}
    of_folds = all_scores(found.held_out, *held_out)
    # Each over its deviation, but the lists, which are made as the program makes them.
    both: dict[str, Scores] = {name: robust_z(values) + robust_z(of_folds[name]) for name, values in of_journey.items()}
    both |= {name: suspicion(kind, found) for kind, name in LIST_NAMES.items()}
    both |= alternatives(journey, found.held_out, held_out[0], fold_of)
    return {JOURNEY: (of_journey, journey), FOLDS: (of_folds, found.held_out), BOTH: (both, found)}


def mean_seconds(spent: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.mean(each[name] for each in spent) for name in spent[0]}


def scored_anew(run: RunDir, kept: EvalSet, noisy: Noisy) -> tuple[Dynamics, tuple[Columns, Scores]]:
    """What a run's eval examples look like with other labels, with columns and loss, `[S, N]` each: its scores do not
    depend on the labels."""
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
    return found, (stacked, -stacked["gold_log_prob"])


def measured(scored: Sequence[Views], noisy: Noisy) -> dict[str, Any]:
    """Average precision and precision at 50 of every score for every kind of error, and what verdicts change, by what
    is looked at; the scores of several trainings are averaged."""
    kinds = np.array(noisy.kinds)
    result: dict[str, Any] = {"scores": {}, "verdicts": {}}
    for view, (names, of) in scored[0].items():
        scores = {name: np.mean([each[view][0][name] for each in scored], axis=0) for name in names}
        result["scores"][view] = {
            name: {kind: found(values, kinds, kind) for kind in FOUND} for name, values in scores.items()
        }
        place, boundary = (scores[LIST_NAMES[kind]] for kind in LIST_NAMES)
        result["verdicts"][view] = {
            "place": verdict_gain(place, of.passages, kinds, PLACES, PLACES),
            "boundary": verdict_gain(boundary, of.passages, kinds, BOUNDARIES, BOUNDARIES),
            "place, human errors": verdict_gain(place, of.passages, kinds, PLACES, (HUMAN,)),
        }
    return result


def all_scores(dynamics: Dynamics, columns: Columns, loss: Scores) -> dict[str, Scores]:
    """Scores float[N] by name; higher is more suspicious. `loss` is float[S, N]."""
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
    return scores | {name: suspicion(kind, dynamics) for kind, name in LIST_NAMES.items()}


def qa_loss(folder: Path, dynamics: Dynamics, *, train: bool = False) -> Scores:
    """float[S, N]: the mean of the cross-entropies of start and end, over the tokens of the passage, at the snapshots
    of `folder` that count."""
    rows = []
    for path in snapshot_files(folder):
        with Snapshot(path, train=train) as snapshot:
            if snapshot.info.index in dynamics.snapshots:
                rows.append(cross_entropy(snapshot))
    return np.stack(rows)


def cross_entropy(snapshot: Snapshot) -> Scores:
    product = snapshot.column("gold_start_prob").astype(np.float64) * snapshot.column("gold_end_prob")
    return np.asarray(-0.5 * np.log(np.maximum(product, 1e-30)))


def held_out_loss(run: RunDir, held_out: Dynamics, fold_of: NDArray[np.int32]) -> Scores:
    """`qa_loss` of the models of the folds."""
    loss = np.empty((len(held_out.snapshots), len(fold_of)))
    for number, fold in enumerate(fold_runs(run, int(fold_of.max()) + 1)):
        loss[:, fold_of == number] = qa_loss(fold.snapshots, held_out)
    return loss


def alternatives(
    journey: Dynamics, held_out: Dynamics, columns: Columns, fold_of: NDArray[np.int32]
) -> dict[str, Scores]:
    """Other ways of adding what the folds found to the journey, by name."""
    within: Scores = np.full(len(fold_of), np.nan)
    for number in range(int(fold_of.max()) + 1):
        held = np.flatnonzero(fold_of == number)
        of_fold = {name: values[:, held] for name, values in columns.items()}
        within[held] = suspicion("place", dynamics(of_fold, held_out.snapshots, held_out.labels))
    (near, place), (_, known) = boundary_parts(journey), boundary_parts(held_out)
    return {
        "wrong place, ranked within each fold": suspicion("place", journey) + within,
        "wrong boundary, near margin of the journey": near + 0.25 * (place + known),
        "wrong boundary, the journey alone": suspicion("boundary", journey),
    }


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
    scores: Scores,
    of_passage: NDArray[np.int32] | None,
    kinds: NDArray[np.str_],
    aims: Sequence[str],
    counted: Sequence[str],
) -> tuple[float, float]:
    """Average precision on what is left of a list after its first 50 entries were reviewed: without the verdicts, and
    re-ranked by them. `aims` are the errors that the list is for; other errors are left out. Of the errors that are
    left those in `counted` count."""
    wrong = np.isin(kinds, aims)
    before = np.where(wrong | (kinds == CLEAN), np.nan_to_num(scores, nan=-np.inf), -np.inf)
    reviewed = np.argsort(-before, kind="stable")[:REVIEWED]
    rest = np.isin(kinds, (*counted, CLEAN))
    rest[reviewed] = False
    after = reranked(before, of_passage, {number: bool(wrong[number]) for number in reviewed.tolist()})
    return ranking_quality(before[rest], wrong[rest])[0], ranking_quality(after[rest], wrong[rest])[0]


def seconds(run: RunDir) -> dict[str, float]:
    """How long training, scoring and the folds took, by the log; and all of it, while an engine was at work."""
    spent = {"training": 0.0, "scoring": 0.0, "folds": 0.0}
    events = read_events(run.events_file)
    doing = "training"
    for before, event in pairwise(events):
        if isinstance(before, Phase):
            doing = "folds" if before.part else "scoring" if before.name == "evaluating" else "training"
        if not isinstance(before, Finished | Stopped | Failed):
            spent[doing] += event.time - before.time
    return spent | {"all": sum(spent.values())}


def report(results: Sequence[Mapping[str, Any]]) -> None:
    """Print the results as Markdown."""
    views = [view for view in (JOURNEY, FOLDS, BOTH) if view in results[0]["scores"]]

    def cell(pick: Callable[[Mapping[str, Any]], tuple[float, float]]) -> str:
        pairs = [pick(result) for result in results]
        spread = f" ± {statistics.stdev(ap for ap, _ in pairs):.3f}" if len(pairs) > 1 else ""
        return f"{statistics.mean(ap for ap, _ in pairs):.3f}{spread} ({statistics.mean(p for _, p in pairs):.2f})"

    print("\nAverage precision (precision at 50):")
    for view in views:
        rows = [["score", *FOUND]]
        for name in results[0]["scores"][view]:
            picks = [lambda r, n=name, k=kind, v=view: r["scores"][v][n][k] for kind in FOUND]
            rows.append([name, *map(cell, picks)])
        print(f"\n{view.capitalize()}:\n\n{material.table(rows)}")
    rows = [[f"average precision on the rest after {REVIEWED} verdicts, without and with them", *views]]
    for name in results[0]["verdicts"][views[0]]:
        pairs = {
            view: [statistics.mean(r["verdicts"][view][name][side] for r in results) for side in (0, 1)]
            for view in views
        }
        rows.append([f"list of wrong {name}", *(f"{without:.3f} → {having:.3f}" for without, having in pairs.values())])
    print(f"\n{material.table(rows)}")
    spent = [result["seconds"] for result in results if result["seconds"]]
    if spent:
        parts = mean_seconds(spent)
        print(
            f"\n{material.table([['seconds of a run', *parts], ['', *(f'{value:.0f}' for value in parts.values())]])}"
        )


if __name__ == "__main__":
    main()

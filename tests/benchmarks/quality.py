"""How well each side answers after the same training: F1 of ours and of the hand-tuned reference, seed by seed.

    python -m tests.benchmarks.quality --json quality.json [--seeds 3] [--minutes 10]

Both sides fine-tune the same model on the same windows with the same batch size, schedule and optimiser; seeds
draw the head, the order and dropout. The weights of both are then evaluated by the same code in float32. Results
go to the file as they come: where the minutes are over, the same command does the rest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.config import RunConfig
from tests.benchmarks import material
from tests.benchmarks.material import DOC_STRIDE, MAX_ANSWER_LENGTH, MAX_LENGTH

SIDES = ("tuned", "ours")
LR, WARMUP_RATIO, WEIGHT_DECAY = 3e-4, 0.1, 0.01
"""The rate that suits the default model; warm-up, decay, clipping (1.0) and AdamW's moments are the same too."""


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="trainings a side")
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no training after so long")
    parser.add_argument("--train-questions", type=int, default=2000, help="training questions")
    parser.add_argument("--eval-questions", type=int, default=1000, help="questions to evaluate on")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the training questions")
    parser.add_argument("--batch-size", type=int, default=16, help="windows in a training step")
    parser.add_argument("--one", nargs=3, metavar=("SIDE", "SEED", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        side, seed, folder = options.one
        print(json.dumps(train_and_evaluate(side, int(seed), Path(folder), options)))
        return

    setting = {name: getattr(options, name) for name in ("train_questions", "eval_questions", "epochs", "batch_size")}
    results = _stored(options.json, setting)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name, file, count in (
            ("train.json", material.TRAIN_FILE, options.train_questions),
            ("eval.json", material.EVAL_FILE, options.eval_questions),
        ):
            chosen = material.spread(material.questions(options.data, file), count)
            material.write_squad(Path(folder) / name, chosen)
        flags = [part for name, value in setting.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        for seed in range(1, options.seeds + 1):
            for side in SIDES:
                if any(r["side"] == side and r["seed"] == seed for r in results):
                    continue
                if time.monotonic() - began > 60 * options.minutes:
                    break
                result = material.run_child("tests.benchmarks.quality", *flags, "--one", side, str(seed), folder)
                results.append(result)
                material.write_json(options.json, {"setting": setting, "results": results})
                print(
                    f"{side}, seed {seed}: EM {result['exact_match']:.2f}, F1 {result['f1']:.2f} "
                    f"({result['windows']:,} windows, {result['seconds']:.0f} s)",
                    flush=True,
                )
    report(results, options.seeds)


def _stored(path: Path | None, setting: dict[str, Any]) -> list[dict[str, Any]]:
    """Results of an earlier call with the same setting."""
    if path is None or not path.exists():
        return []
    stored = json.loads(path.read_text("utf-8"))
    return list(stored["results"]) if stored["setting"] == setting else []


def report(results: list[dict[str, Any]], seeds: int) -> None:
    rows = [["", "trainings", "EM", "F1", "F1 of each seed"]]
    means = {}
    for side in SIDES:
        of = [r for r in results if r["side"] == side]
        if not of:
            continue
        means[side] = [r["f1"] for r in of]
        each = ", ".join(f"{value:.2f}" for value in means[side])
        rows.append([side, str(len(of)), _spread([r["exact_match"] for r in of]), _spread(means[side]), each])
    print(material.table(rows))
    missing = seeds * len(SIDES) - len(results)
    if missing > 0:
        print(f"{missing} trainings are left: the same command with --json FILE does them.")
    if len(means) == len(SIDES) and min(map(len, means.values())) > 1:
        difference = statistics.mean(means["ours"]) - statistics.mean(means["tuned"])
        noise = sum(statistics.variance(of) / len(of) for of in means.values()) ** 0.5
        print(f"ours - tuned: {difference:+.2f} F1, standard error {noise:.2f}")


def _spread(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"


def train_and_evaluate(side: str, seed: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune one side from one seed; EM and F1 of its weights."""
    config = RunConfig(
        dataset=str(folder / "train.json"),
        eval=str(folder / "eval.json"),
        seed=seed,
        epochs=options.epochs,
        batch_size=options.batch_size,
        lr=LR,
        warmup_ratio=WARMUP_RATIO,
        weight_decay=WEIGHT_DECAY,
        max_length=MAX_LENGTH,
        doc_stride=DOC_STRIDE,
        max_answer_length=MAX_ANSWER_LENGTH,
        device="cpu",
    )
    from engine.learning.prepare import prepare

    task = prepare(config, lambda event: None)
    began = time.perf_counter()
    weights = folder / f"{side}-{seed}"
    weights.mkdir()
    (train_ours if side == "ours" else train_tuned)(config, task, weights)
    seconds = time.perf_counter() - began
    return {"side": side, "seed": seed, "seconds": seconds, "windows": len(task.train)} | evaluate(weights, task)


def train_ours(config: RunConfig, task: Any, weights: Path) -> None:
    from engine.learning.batches import epoch_batches
    from engine.learning.encoder.load import choose_device, choose_precision, load_model
    from engine.learning.schedule import make_plan
    from engine.learning.steps import Learner

    device = choose_device(config)
    model = load_model(task.files, seed=config.seed, device=device, dtype=choose_precision(config, device)[0])
    learner = Learner(model, make_plan(config, task.train, model.parameters), task.train)
    for epoch in range(1, config.epochs + 1):
        for windows in epoch_batches(task.train, config.seed, epoch, config.batch_size):
            learner.learn(windows)
    learner.settle()
    model.save(weights)


def train_tuned(config: RunConfig, task: Any, weights: Path) -> None:
    from tests.benchmarks import hugging_face as hf

    folder = material.model_folder()
    tokenizer = hf.load_tokenizer(folder)
    rows = hf.read_rows(Path(config.dataset))
    trainer = hf.make_trainer(
        "tuned",
        folder,
        weights,
        hf.training_features(tokenizer, rows, pad=False),
        seed=config.seed,
        batch_size=config.batch_size,
        num_train_epochs=config.epochs,
        learning_rate=LR,
        warmup_steps=WARMUP_RATIO,
        weight_decay=WEIGHT_DECAY,
    )
    trainer.train()
    trainer.save_model(str(weights))


def evaluate(weights: Path, task: Any) -> dict[str, float]:
    """EM and F1 of the weights in a folder, in float32, by the engine's own evaluation."""
    from engine.insight.scoring import score_snapshot
    from engine.learning.encoder.load import load_model
    from engine.learning.evaluation import score_windows
    from engine.models import model_in_folder

    model = load_model(model_in_folder(weights, name=weights.name, revision=None), seed=0)
    start, end = score_windows(model, task.eval)
    _, metrics, _, _ = score_snapshot(
        task.examples, task.eval, start, end, max_answer_length=task.max_answer_length, allow_null=task.allow_null
    )
    return {"exact_match": metrics.exact_match, "f1": metrics.f1}


if __name__ == "__main__":
    main()

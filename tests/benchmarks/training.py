"""Ours beside Hugging Face's Trainer on the same data, model, batch size and order; prints what takes how long.

    python -m tests.benchmarks.training [--only train,use,eval,epoch,memory,start,tokenize,decode] [--rounds 3]
    python -m tests.benchmarks.training --device cuda --model large --only train,use,eval,memory --train-questions 4000

The sides (Trainer as its question-answering example sets it up, Trainer tuned by hand, ours; by --sides also the tuned
one with `torch_compile`) take turns, each turn in a process of its own: a machine's speed may change while it runs,
ratios within a round hardly do. Ratios are medians over the rounds; above 1 is in our favour.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.config import RunConfig
from engine.data.features import build_features
from tests.benchmarks import material
from tests.benchmarks.devices import SIZES, random_model, training_work
from tests.benchmarks.material import DOC_STRIDE, MAX_LENGTH

RIVALS = ("example", "tuned", "compiled")
Result = dict[str, Any]
Measure = tuple[str, str, Callable[[Result], float], bool]

MEASURES: dict[str, Measure] = {
    "train": ("training", "examples/s", lambda r: _past_start(r["counts"]) / _past_start(r["steps"]), True),
    "use": (
        "training's useful share of the device's matrix speed",
        "%",
        lambda r: 100 * _past_start(r["work"]) / _past_start(r["steps"]) / r["matrix_speed"],
        True,
    ),
    "eval": ("evaluation", "examples/s", lambda r: r["eval_windows"] / r["evaluation"], True),
    "epoch": ("epoch: training, evaluation, decoding, metrics, snapshot", "s", lambda r: r["epoch"], False),
    "memory": ("peak memory", "MB", lambda r: r["memory"] / 1e6, False),
    "start": ("process start to first optimiser step", "s", lambda r: r["first_step"], False),
    "tokenize": ("tokenising {questions} questions", "s", lambda r: r["tokenize"], False),
    "decode": ("decoding and metrics of {questions} examples", "s", lambda r: r["decode"], False),
}
"""Name -> what it is, its unit, how it is read from a result, and whether more is better."""


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--only", default=",".join(MEASURES), help="what to measure")
    parser.add_argument("--model", default="default", help="default, base or large (random weights), or a folder")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every side")
    parser.add_argument("--train-questions", type=int, default=112, help="an epoch's training questions")
    parser.add_argument("--eval-questions", type=int, default=160, help="questions to evaluate on")
    parser.add_argument("--batch-size", type=int, default=12, help="windows in a training step")
    parser.add_argument("--epochs", type=int, default=1, help="of which the last is timed")
    parser.add_argument("--sides", default="example,tuned", help=f"what ours is compared with: of {', '.join(RIVALS)}")
    parser.add_argument("--torch-compile", action="store_true", help="ours with its layers compiled (GPU)")
    parser.add_argument("--quick", action="store_true", help="one round over a quarter of the questions")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(MEASURES):
        parser.error(f"--only: {', '.join(sorted(unknown))}: not among {', '.join(MEASURES)}")
    rivals = options.sides.split(",")
    if unknown := set(rivals) - set(RIVALS):
        parser.error(f"--sides: {', '.join(sorted(unknown))}: not among {', '.join(RIVALS)}")
    if options.quick:
        options.rounds, options.train_questions, options.eval_questions = 1, 36, 40

    rounds: list[dict[str, Result]] = [{} for _ in range(options.rounds)]
    if set(wanted) - {"tokenize", "decode"}:
        measure_sides(options, rounds, rivals)
    questions = 0
    if set(wanted) & {"tokenize", "decode"}:
        questions = measure_texts(options, rounds, wanted)
    rows = [["", "unit", *rivals, "ours", *(f"over {rival}" for rival in rivals)]]
    for name in wanted:
        rows.append(row(name, rounds, questions, rivals))
    print(material.table(rows), flush=True)
    material.write_json(options.json, {"options": {k: str(v) for k, v in vars(options).items()}, "rounds": rounds})


def row(name: str, rounds: list[dict[str, Result]], questions: int, rivals: list[str]) -> list[str]:
    """Medians of each side, and of the ratios within rounds."""
    title, unit, read, more_is_better = MEASURES[name]
    values = {
        side: [read(each[side]) for each in rounds if side in each and _has(each[side], name)]
        for side in (*rivals, "ours")
    }
    cells = [title.format(questions=f"{questions:,}"), unit]
    cells += [_digits(statistics.median(of)) if of else "" for of in values.values()]
    for rival in rivals:
        if not values[rival]:
            cells.append("")
            continue
        pairs = zip(values[rival], values["ours"], strict=True)
        ratios = [us / them if more_is_better else them / us for them, us in pairs]
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
        cells.append(f"{statistics.median(ratios):.2f}×{spread}")
    return cells


def _has(result: Result, name: str) -> bool:
    return name in result if name in ("tokenize", "decode") else "steps" in result


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _past_start(values: list[float]) -> float:
    """Sum over an epoch's steps but the first ones, which find out how to compute: a tenth of them."""
    return sum(values[-(-len(values) // 10) :])


def measure_sides(options: Any, rounds: list[dict[str, Result]], rivals: list[str]) -> None:
    """Each side's epoch in processes of their own, taking turns."""
    train = material.spread(material.questions(options.data, material.TRAIN_FILE), options.train_questions)
    evaluation = material.spread(material.questions(options.data, material.EVAL_FILE), options.eval_questions)
    from engine.learning.batches import epoch_batches

    features = build_features(train, material.tokenizer(), max_length=MAX_LENGTH, doc_stride=DOC_STRIDE)
    lengths = np.diff(features.token_offset)
    batches = epoch_batches(features, RunConfig(dataset="-").seed, options.epochs, options.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        model = model_of(options.model, Path(folder) / "model")
        files = [Path(folder) / name for name in ("train.json", "eval.json", "order.json")]
        material.write_squad(files[0], train)
        material.write_squad(files[1], evaluation)
        files[2].write_text(json.dumps([int(n) for windows in batches for n in windows]))
        for number, each in enumerate(rounds, start=1):
            for side in (*rivals, "ours"):
                began = time.monotonic()
                paths = [str(path) for path in files]
                how = ["--batch-size", str(options.batch_size), "--model", str(model), "--device", options.device]
                how += ["--epochs", str(options.epochs), *["--torch-compile"] * options.torch_compile]
                result = material.run_child("tests.benchmarks.side", side, *paths, *how)
                result["counts"] = [len(windows) for windows in batches]
                result["work"] = [training_work(model, lengths[windows]) for windows in batches]
                each.setdefault(side, {}).update(result)
                figures = (
                    f"{MEASURES['train'][2](result):.2f} training examples/s, {MEASURES['eval'][2](result):.2f} scored"
                )
                print(f"round {number}, {side}: {figures}, {time.monotonic() - began:.0f} s in all", flush=True)
    results = [result for each in rounds for result in each.values()]
    best = max(result["matrix_speed"] for result in results)
    for result in results:
        result["matrix_speed"] = best
    print(f"matrix products in bfloat16: up to {best / 1e12:.3g} TFLOP/s", flush=True)


def model_of(name: str, folder: Path) -> Path:
    """The folder of the model that `name` tells; one with random weights is made in `folder`."""
    if name in SIZES:
        return random_model(folder, name, material.model_folder())
    return material.model_folder() if name == "default" else Path(name).resolve()


def measure_texts(options: Any, rounds: list[dict[str, Result]], wanted: list[str]) -> int:
    """Tokenising, and decoding with metrics, of the whole SQuAD dev set; returns how many questions that are."""
    examples = material.questions(options.data, material.EVAL_FILE)
    what = [name for name in ("tokenize", "decode") if name in wanted]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eval.json"
        material.write_squad(path, examples)
        for number, each in enumerate(rounds, start=1):
            for side in ("example", "ours"):
                result = material.run_child("tests.benchmarks.texts", side, str(path), *what)
                each.setdefault(side, {}).update(result)
                figures = ", ".join(f"{name} {value:.2f}" for name, value in result.items())
                print(f"round {number}, {side}: {figures}", flush=True)
    return len(examples)


if __name__ == "__main__":
    main()

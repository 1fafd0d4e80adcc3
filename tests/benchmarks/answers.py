"""How fast a question is answered, and a whole file, beside evaluation on the same questions.

    python -m tests.benchmarks.answers [--rounds 5] [--questions 400] [--realtime]

A Reader starts its process, loads the default model with a fresh head and answers a question that was asked at once;
then more of them one by one, each another passage that fills a window of 384 tokens. Files are answered by turns with
an evaluation of the same questions, which scores, decodes and computes metrics and columns as a run does. With
`--realtime` (root on Linux) nothing else runs on the cores while something is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.data.examples import Example
from engine.reader import Reader
from tests.benchmarks import material
from tests.benchmarks.material import DOC_STRIDE, MAX_ANSWER_LENGTH, MAX_LENGTH

MODULE = "tests.benchmarks.answers"
WARM_UP_SECONDS = 2.0
"""The process computes a window of each size while nothing is asked: as it does while a user types."""


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="processes that are started, and turns with evaluation")
    parser.add_argument("--answers", type=int, default=30, help="questions asked one by one in each round")
    parser.add_argument("--questions", type=int, default=400, help="questions of a file")
    parser.add_argument("--realtime", action="store_true", help="time at real-time priority")
    parser.add_argument("--side", choices=("model", "evaluation"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side == "model":
        make_model(options.folder)
    elif options.side == "evaluation":
        first_in_line(os.getpid(), wanted=options.realtime)
        evaluate(options.folder)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    dev = material.questions(options.data, material.EVAL_FILE)
    full = full_windows(dev, options.answers + 1)
    some = material.spread(dev, options.questions)
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        model, data = Path(folder) / "model", Path(folder) / "data.json"
        material.run_child(MODULE, "--side", "model", "--folder", str(model))
        material.write_squad(data, some)
        for _ in range(options.rounds):
            measured = ask(model, full, some, realtime=options.realtime)
            more = ["--realtime"] if options.realtime else []
            rounds.append(measured | material.run_child(MODULE, "--side", "evaluation", "--folder", folder, *more))
    print(report(rounds))
    material.write_json(options.json, rounds)


def first_in_line(pid: int, *, wanted: bool) -> None:
    """Give a process, with the threads that it will have, real-time priority."""
    if wanted:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))


def ask(model: Path, full: list[Example], some: list[Example], *, realtime: bool) -> dict[str, Any]:
    """Seconds of one process's start, first answer, next answers, another model, and a file of questions."""
    pairs = [(example.question, example.context) for example in full]
    began = time.perf_counter()
    with Reader(model) as reader:
        assert reader.pid is not None
        first_in_line(reader.pid, wanted=realtime)
        number = reader.submit_pairs(pairs[:1], scores="best")
        while reader.ready is None:
            reader.poll()
            time.sleep(0.001)
        ready = time.perf_counter()
        reader.wait(number)
        first = time.perf_counter()
        time.sleep(WARM_UP_SECONDS)
        following = []
        for question, context in pairs[1:]:
            asked = time.perf_counter()
            answer = reader.answer(question, context, scores="best")
            following.append(time.perf_counter() - asked)
            assert answer.windows == 1
        asked = time.perf_counter()
        reader.use("best")
        reader.answer(*pairs[0])
        other = time.perf_counter() - asked
        asked = time.perf_counter()
        reader.answers([(example.question, example.context) for example in some], n_best=0)
        file = time.perf_counter() - asked
    return {"ready": ready - began, "first": first - ready, "next": following, "other": other, "file": file}


def full_windows(examples: list[Example], count: int) -> list[Example]:
    """Questions on passages cut to fill a window, each another one."""
    tokenizer = material.tokenizer()
    chosen = []
    for example in material.spread(examples, 3 * count):
        context = " ".join([example.context] + [other.context for other in examples[:4] if other is not example])
        asked, passages = tokenizer.encode([example.question], [context])
        last = MAX_LENGTH - 3 - len(asked.ids) - 1
        if len(passages.ids) > last:
            chosen.append(Example(example.id, "", example.question, context[: int(passages.end[last])], ()))
        if len(chosen) == count:
            return chosen
    raise AssertionError("too few long passages")


def make_model(folder: Path) -> None:
    """Save the default model with a question-answering head that has learned nothing: as fast as any."""
    from engine.config import RunConfig
    from engine.learning.encoder.load import load_model
    from engine.models import locate_model

    folder.mkdir()
    load_model(locate_model(RunConfig(dataset="-")), seed=1).save(folder)
    print("{}")


def evaluate(folder: Path) -> None:
    """Print the seconds of tokenising the questions and of a snapshot without writing it, after a first pass."""
    from engine.config import RunConfig
    from engine.data.features import build_features
    from engine.data.squad import read_dataset
    from engine.insight.margins import gold_spans, margin_columns
    from engine.insight.scoring import score_snapshot
    from engine.learning.encoder.load import choose_device, choose_precision, load_model
    from engine.learning.evaluation import score_windows
    from engine.learning.prepare import load_tokenizer
    from engine.learning.warm_up import warm_up
    from engine.models import locate_model

    warm_up().wait()
    config = RunConfig(dataset="-", model=str(folder / "model"))
    files = locate_model(config)
    device = choose_device(config)
    model = load_model(files, seed=1, device=device, dtype=choose_precision(config, device)[0])
    tokenizer = load_tokenizer(files)
    dataset = read_dataset(folder / "data.json")
    examples = [*dataset.train, *dataset.eval]
    score_windows(model, build_features(examples[:40], tokenizer, max_length=MAX_LENGTH, doc_stride=DOC_STRIDE))
    began = time.perf_counter()
    features = build_features(examples, tokenizer, max_length=MAX_LENGTH, doc_stride=DOC_STRIDE)
    start, end = score_windows(model, features)
    score_snapshot(examples, features, start, end, max_answer_length=MAX_ANSWER_LENGTH, allow_null=False)
    gold = gold_spans(examples, features)
    margin_columns(features, gold, start, end, max_answer_length=MAX_ANSWER_LENGTH, allow_null=False)
    print(json.dumps({"evaluation": time.perf_counter() - began, "questions": len(examples)}))


def report(rounds: list[dict[str, Any]]) -> str:
    """A table of the medians over rounds, with the range."""

    def spread(values: list[float], scale: float, digits: int) -> str:
        low, high = min(values) * scale, max(values) * scale
        return f"{statistics.median(values) * scale:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    ordered = [sorted(one["next"]) for one in rounds]
    rows = [
        ["what", "measured", "goal"],
        ["process start to model ready", spread([one["ready"] for one in rounds], 1, 2) + " s", ""],
        ["model ready to the first answer", spread([one["first"] for one in rounds], 1e3, 0) + " ms", "300"],
        ["next answer, 384 tokens: median", spread([statistics.median(one) for one in ordered], 1e3, 0) + " ms", "100"],
        ["next answer, 384 tokens: p95", spread([one[int(0.95 * len(one))] for one in ordered], 1e3, 0) + " ms", "100"],
        ["other weights, with their first answer", spread([one["other"] for one in rounds], 1e3, 0) + " ms", ""],
        ["a file", spread([one["questions"] / one["file"] for one in rounds], 1, 1) + " questions/s", ""],
        ["evaluation", spread([one["questions"] / one["evaluation"] for one in rounds], 1, 1) + " questions/s", ""],
        ["a file over evaluation", spread([one["evaluation"] / one["file"] for one in rounds], 1, 2) + "×", "1"],
    ]
    return material.table(rows)


if __name__ == "__main__":
    main()

"""Do the tokens that an explanation names matter? The masking test over many answers, and what an explanation takes.

    python -m tests.benchmarks.attribution RUN [--examples 200] [--methods gradient,integrated]

RUN is a run or a model that was fine-tuned on SQuAD. Of each question of the dev set, spread over all of it, the
model's own answer is explained. The five tokens of largest weight, the answer's own left out, are masked, and the drop
of the answer's probability is compared with that of five random others (mean of five draws).
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.answering_model import source_of
from engine.data.examples import Example
from engine.data.segments import CONTEXT
from engine.learning import answering, explaining
from engine.learning.answering import LoadedModel
from engine.learning.explain import Asked, gradient_norms, integrated_gradients, masking_test
from engine.messages import ExplainRequest
from tests.benchmarks import material
from tests.benchmarks.material import MAX_LENGTH

GOAL = 3.0
SECONDS = 0.3
"""Goal for one explanation by gradient of MAX_LENGTH tokens."""


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("run", help="a run, a checkpoint or a model's folder")
    parser.add_argument("--snapshot", default="best", help="whose weights of a run")
    parser.add_argument("--examples", type=int, default=200, help="questions of the dev set")
    parser.add_argument("--methods", default="gradient,integrated", help="whose opinions to test")
    parser.add_argument("--steps", type=int, default=20, help="of integrated gradients")
    parser.add_argument("--rounds", type=int, default=9, help="how often an explanation is timed")
    options = parser.parse_args()
    loaded = answering.load(source_of(options.run, options.snapshot))
    examples = material.spread(material.questions(options.data, material.EVAL_FILE), options.examples)
    results = {method: drops(loaded, examples, method, options.steps) for method in options.methods.split(",")}
    results["seconds"] = seconds(loaded, examples, options.steps, options.rounds)
    report(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def drops(loaded: LoadedModel, examples: Sequence[Example], method: Any, steps: int) -> dict[str, Any]:
    """Of every example the answer's probability as it is, with the top five masked and with random others."""
    rows = []
    for number, example in enumerate(examples, 1):
        request = ExplainRequest(
            id=number, question=example.question, context=example.context, methods=(method,), steps=steps
        )
        found = explaining.explanation(loaded, request)
        [opinion] = found.opinions
        test = opinion.test
        rows.append((test.before, test.after, test.after_random, abs(opinion.gap), len(opinion.weights)))
        if number % 20 == 0:
            print(f"{method} {number}/{len(examples)}: {summary(rows)}", flush=True)
    return {"rows": rows, **summary(rows)}


def summary(rows: Sequence[Sequence[float]]) -> dict[str, float]:
    """Medians and means over examples; `ratio` is of the median drops."""
    before, after, random, gap, _ = np.array(rows).T
    top, usual = before - after, before - random
    return {
        "probability": round(float(np.median(before)), 4),
        "drop": round(float(np.median(top)), 4),
        "random": round(float(np.median(usual)), 4),
        "ratio": round(float(np.median(top) / max(float(np.median(usual)), 1e-9)), 2),
        "mean_drop": round(float(top.mean()), 4),
        "mean_random": round(float(usual.mean()), 4),
        "deeper": round(float((top > usual).mean()), 4),
        "gap": round(float(np.median(gap)), 4),
    }


def seconds(loaded: LoadedModel, examples: Sequence[Example], steps: int, rounds: int) -> dict[str, list[float]]:
    """Wall and processor seconds (lists of pairs) of each part for a window of MAX_LENGTH tokens."""
    long = " ".join(example.context for example in examples[:20])
    features = loaded.features([Example("long", "", examples[0].question, long, ())])
    segment = features.segment[: features.token_offset[1]]
    first = int(np.flatnonzero(segment == CONTEXT)[20])
    asked = Asked(features, 0, first, first + 2, segment == CONTEXT)
    assert len(segment) == MAX_LENGTH
    model, mask_id = loaded.model, loaded.tokenizer.mask_id
    weights = gradient_norms(model, asked).weights
    parts: dict[str, tuple[int, Callable[[], object]]] = {
        "gradient": (rounds, lambda: gradient_norms(model, asked)),
        "masking test": (rounds, lambda: masking_test(model, asked, weights, mask_id)),
        "integrated": (max(1, rounds // 3), lambda: integrated_gradients(model, asked, mask_id, steps=steps)),
    }
    found: dict[str, Any] = {}
    for name, (count, part) in parts.items():
        found[name] = []
        for _ in range(count):
            wall, processor = time.perf_counter(), time.process_time()
            part()
            found[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return found


def report(results: dict[str, Any]) -> None:
    print("| method | answers | median P | top 5 masked: drop | 5 random others: drop | ratio | deeper than others |")
    print("|---|---|---|---|---|---|---|")
    for method, found in results.items():
        if method != "seconds":
            print(
                f"| {method} | {len(found['rows'])} | {100 * found['probability']:.0f} % | {100 * found['drop']:.1f} | "
                f"{100 * found['random']:.1f} | {found['ratio']:.1f}× (goal {GOAL:.0f}×) | "
                f"{100 * found['deeper']:.0f} % |"
            )
    for name, pairs in results["seconds"].items():
        walls, processors = zip(*pairs, strict=True)
        goal = f" (goal {1e3 * SECONDS:.0f})" if name == "gradient" else ""
        print(
            f"{name}, {MAX_LENGTH} tokens: median {1e3 * statistics.median(walls):.0f} ms{goal}, "
            f"fastest {1e3 * min(walls):.0f} ms, processor {1e3 * statistics.median(processors):.0f} ms"
        )


if __name__ == "__main__":
    main()

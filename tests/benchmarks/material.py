"""What every benchmark works on: SQuAD files, parts of them, the default model; and small helpers."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.config import DEFAULT_MODEL, RunConfig
from engine.data.examples import Example, squad_bytes
from engine.data.squad import read_dataset
from engine.data.tokenizer import PairTokenizer
from engine.models import locate_model

CHECKOUT = Path(__file__).resolve().parents[2]
MAX_LENGTH, DOC_STRIDE, MAX_ANSWER_LENGTH = 384, 128, 30
TRAIN_FILE, EVAL_FILE = "squad/train-v1.1-44-articles.json", "squad/dev-v1.1.json"


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared" / "data", help="folder with squad/")
    parser.add_argument("--json", type=Path, help="also write the results here")
    return parser


def questions(data: Path, file: str) -> list[Example]:
    """All examples of a SQuAD file. Ends the program, saying why, where it is absent."""
    path = data / file
    if not path.is_file():
        sys.exit(f"{path} is absent: name a folder with SQuAD v1.1 files by --data.")
    dataset = read_dataset(path)
    return [*dataset.train, *dataset.eval]


def spread(examples: Sequence[Example], count: int) -> list[Example]:
    """`count` examples, evenly spread over all of them, so that their lengths are as varied."""
    return [examples[number] for number in np.linspace(0, len(examples) - 1, count).round().astype(int).tolist()]


def write_squad(path: Path, examples: Sequence[Example]) -> None:
    path.write_bytes(squad_bytes(examples))


def model_folder() -> Path:
    """The default model's files, or the folder that the environment variable BENCHMARK_MODEL names."""
    return locate_model(RunConfig(dataset="-", model=os.environ.get("BENCHMARK_MODEL", DEFAULT_MODEL))).path


def tokenizer() -> PairTokenizer:
    """The default model's."""
    return PairTokenizer.from_file(model_folder() / "tokenizer.json")


def run_child(module: str, *options: str) -> dict[str, Any]:
    """Run a benchmark module in a process of its own; returns the JSON object of its last line.

    The process learns when it was started from BENCHMARK_START (Unix seconds).
    """
    environment = os.environ | {"BENCHMARK_START": repr(time.time()), "TOKENIZERS_PARALLELISM": "true"}
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def since_start() -> float:
    """Seconds since this process was started by `run_child`."""
    return time.time() - float(os.environ["BENCHMARK_START"])


def peak_memory() -> int:
    """The most bytes of memory that this process has held so far."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("no VmHWM in /proc/self/status")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table, the first being the head; columns padded to equal widths."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write_json(path: Path | None, results: Any) -> None:
    if path is not None:
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")

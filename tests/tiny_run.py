"""Runs of the real engine that take seconds: the tiny model and a few short passages."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import msgspec
import pytest

from engine.config import RunConfig
from engine.events import AnyEvent
from engine.launch import Run, start
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from tests.tiny_model import make_tiny_model


def write_data(path: Path, count: int) -> None:
    """A data set of `count` questions a half; the passages of the halves differ."""
    splits = {}
    for split in ("train", "validation"):
        articles = []
        for number in range(count):
            context = f"For the {split} fever {number} take honey {number}, then rest for {number + 2} days."
            answer = {"text": f"honey {number}", "answer_start": context.index("honey")}
            question = {"id": f"{split}-{number}", "question": "What do I take?", "answers": [answer]}
            articles.append({"title": f"{number}", "paragraphs": [{"context": context, "qas": [question]}]})
        splits[split] = {"data": articles}
    path.write_text(json.dumps(splits))


def tiny_config(folder: Path, *, count: int = 24) -> RunConfig:
    """Write a data set and a model into `folder`; three epochs of learning on the processor, in float32."""
    write_data(folder / "data.json", count)
    return RunConfig(
        dataset=str(folder / "data.json"),
        model=str(make_tiny_model(folder / "model")),
        epochs=3,
        batch_size=4,
        max_length=128,
        doc_stride=32,
        device="cpu",
        precision="fp32",
        keep_weights="last",
    )


def kept_run(folders: pytest.TempPathFactory) -> RunDir:
    """A finished run, alone in a new folder: two epochs, the weights of both kept; snapshots 0 (untrained), 1 and 2."""
    folder = folders.mktemp("kept") / "run"
    shutil.copytree(_kept_run(folders.getbasetemp() / "trained").path, folder)
    return RunDir(folder)


@cache
def _kept_run(folder: Path) -> RunDir:
    """Trained once in a session; every caller has a copy."""
    folder.mkdir()
    config = msgspec.structs.replace(
        tiny_config(folder), early_snapshots=False, keep_weights="all", epochs=2, run_dir=str(folder / "run")
    )
    run = start(config)
    assert run.wait() is State.FINISHED
    return run.directory


def events_of(run: Run) -> list[AnyEvent]:
    """What the log of the run holds by now."""
    return read_events(run.directory.events_file)


def is_in(run: Run, state: State) -> bool:
    return run.state()[0] is state

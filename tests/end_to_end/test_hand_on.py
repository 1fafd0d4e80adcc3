"""A real run, exported by the command: the README's plain lines answer with it, and as the run's own snapshot does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.data.examples import read_examples
from engine.errors import ExitCode
from engine.export.usage import USAGE
from engine.rundir.checkpoints import find_weights
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.tiny_run import kept_run
from tests.uncounted import uncounted_environment
from tui.cli.main import main

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
BLOCK = re.search(r"<!-- python: use an exported folder -->\n```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return kept_run(tmp_path_factory)


@pytest.fixture(scope="module")
def folder(run: RunDir) -> Path:
    """Where the lines are run: the folder that holds `my-model`."""
    assert main(["export", str(run.path), "-o", str(run.path.parent / "my-model")]) == ExitCode.OK
    return run.path.parent


def answer(lines: str, folder: Path) -> str:
    """What the lines print."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", lines],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
        env=uncounted_environment(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.removesuffix("\n")


def test_the_readmes_lines_answer_as_they_stand(folder: Path) -> None:
    assert BLOCK is not None
    assert BLOCK[1] == USAGE
    passage = re.search(r'passage = ".*?", "(.*?)"\n', BLOCK[1])
    assert passage is not None
    found = answer(BLOCK[1], folder)
    assert found
    assert found in passage[1]


def test_the_lines_answer_as_the_runs_own_snapshot_does(run: RunDir, folder: Path) -> None:
    example = read_examples(run.examples_file).eval[0]
    kept = find_weights(run).snapshot
    assert kept is not None
    with Snapshot(run.path / snapshot_name(kept.index)) as snapshot:
        predicted = snapshot.prediction(0)
        assert predicted is not None
    lines = re.sub(
        r"^question, passage = .*$",
        lambda _: f"question, passage = {example.question!r}, {example.context!r}",
        USAGE,
        flags=re.MULTILINE,
    )
    assert answer(lines, folder) == example.context[predicted.char_start : predicted.char_end]

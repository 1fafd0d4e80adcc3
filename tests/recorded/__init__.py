"""A real run that is kept with the tests: what a screen shows of it is what users see.

It is the sample data, fine-tuned with the defaults on two cores; `python -m tests.recorded.make` makes it again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from engine.messages import Explanation, Layers
from engine.rundir.layout import RunDir

KEPT = Path(__file__).parent / "run"
EXPLANATIONS = Path(__file__).parent / "explanations.json"
"""What a model that was fine-tuned on the sample data for two epochs says of the run's probe; made by
`python -m tests.recorded.explain RUN`."""
NAME = "remedies"


def recorded_run(folder: Path) -> RunDir:
    """A copy of the run as `folder/remedies`."""
    path = folder / NAME
    shutil.copytree(KEPT, path)
    for inside in (path, path / "snapshots"):
        inside.chmod(0o700)
    for empty in ("checkpoints", "commands"):
        (path / empty).mkdir(mode=0o700)
    return RunDir(path)


def recorded_explanations() -> dict[str, Explanation | Layers]:
    """By view: gradient, integrated, layers."""
    return msgspec.json.decode(EXPLANATIONS.read_bytes(), type=dict[str, Explanation | Layers])

"""Options of the commands that ask a model, and finding the model."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.errors import UsageError
from tui.cli.command_line import run_names
from tui.cli.common import RUNS_DIR, runs_folder
from tui.options import GroupedOption

if TYPE_CHECKING:
    from engine.messages import Decision, Source

THRESHOLD = GroupedOption(
    ["--threshold"],
    "answers",
    metavar="X",
    type=float,
    help='"no answer" where its score exceeds the best span\'s by more than X (null odds)',
)
MIN_PROBABILITY = GroupedOption(
    ["--min-probability"],
    "answers",
    metavar="P",
    type=click.FloatRange(0, 1),
    help="withhold answers that are less probable",
)
NO_ANSWER = GroupedOption(
    ["--no-answer/--always-answer", "allow_null"],
    "answers",
    default=None,
    help='whether "no answer" may be given (default: as the run was trained)',
)
DEVICE = GroupedOption(
    ["--device"],
    "machine",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="where to compute",
)
PRECISION = GroupedOption(
    ["--precision"],
    "machine",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default=None,
    help="arithmetic (default: as the run's)",
)
MODEL_OPTIONS = (THRESHOLD, MIN_PROBABILITY, NO_ANSWER, DEVICE, PRECISION, RUNS_DIR)


def find_model(name: str, runs_dir: str | None) -> str:
    """The folder of the run, checkpoint or model called `name`, or `name` itself for a model of the Hub."""
    from engine.answering_model import is_run
    from engine.models import HUB_ID

    folder = runs_folder(runs_dir)
    path = Path(name).expanduser()
    if path.exists():
        return str(path)
    if path.name == name and is_run(folder / name):
        return str(folder / name)
    names = run_names(folder, "")
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        raise UsageError(f"{name}: neither a run nor a folder.", hint=f"Did you mean {close[0]}?")
    if not HUB_ID.fullmatch(name):
        raise UsageError(
            f"{name}: there is no such run or folder.",
            hint="Name a run (`bertqa-tui runs` lists them), a model's folder, or a model of the Hub.",
        )
    return name


def decision_from(source: Source, threshold: float | None, min_probability: float | None) -> Decision:
    """When an answer is given: what was asked for, else what suits the model. Raises UsageError."""
    import msgspec

    from engine.answering_model import decision_for

    usual = decision_for(source)
    if threshold is not None and not source.allow_null:
        raise UsageError(
            'this model always answers, so --threshold means nothing: "no answer" was not in its training data.',
            hint="--min-probability withholds doubtful answers; --no-answer lets it decline all the same.",
        )
    return msgspec.structs.replace(
        usual,
        threshold=usual.threshold if threshold is None else threshold,
        min_probability=usual.min_probability if min_probability is None else min_probability,
    )

"""Which model answers: the weights that a run's name, a folder or an id of the Hub means, and how they are used."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from engine.config import F1Units, Precision, RunConfig
from engine.errors import UsageError
from engine.insight.calibration import Calibration
from engine.messages import Decision, Source
from engine.rundir.calibration import CALIBRATION, calibration_of_model, read_calibration
from engine.rundir.checkpoints import best_kept, find_weights, run_of_checkpoint
from engine.rundir.layout import RunDir, is_run_dir, read_json

BEST, LAST = "best", "last"
Device = Literal["auto", "cpu", "cuda", "mps"]


def decision_for(source: Source) -> Decision:
    """When the model's answers are given where the user says nothing: at the temperature and the no-answer threshold of
    its qa_calibration.json; of a run that has none they are computed from its snapshot."""
    folder = Path(source.model)
    try:
        stamp = (folder / CALIBRATION).stat().st_mtime_ns
    except OSError:
        stamp = 0
    found = _calibration(folder, stamp)
    if found is None:
        return Decision()
    return Decision(threshold=found.no_answer_threshold or 0.0, temperature=found.temperature)


@lru_cache(maxsize=64)
def _calibration(folder: Path, stamp: int) -> Calibration | None:
    """`stamp` tells one file from the next; where none can be written, what was computed is kept here."""
    return calibration_of_model(folder)


def source_of(
    path: str | Path,
    snapshot: int | str = BEST,
    *,
    device: Device = "auto",
    precision: Precision | None = None,
    allow_null: bool | None = None,
) -> Source:
    """The model that `path` names: a run, a checkpoint's folder, any folder of a question-answering model, or an id of
    the Hub. Of a run, `snapshot` is a snapshot's number, "best" (the kept epoch with the highest F1) or "last".

    Windows, answer length and whether "no answer" is possible are those of the run; elsewhere the defaults of a
    fine-tuning, 30 tokens, and a null answer where qa_calibration.json has a threshold for it. Raises UsageError where
    the weights are not kept (it says which are), DataError for a checkpoint that is half written.
    """
    folder = Path(path).expanduser()
    run: RunDir | None
    if is_run(folder):
        run = RunDir(folder)
        kept = best_kept(run) if snapshot == BEST else find_weights(run, str(snapshot))
        model, label = kept.folder, kept.label
    else:
        run = run_of_checkpoint(folder.absolute())
        model, label = folder, ""
        if snapshot not in (BEST, LAST):
            raise UsageError(f"{path}: not a run, so there is no snapshot {snapshot} of it.")
    config = RunConfig(dataset="-") if run is None else run.config
    info = None if run is None else run.info
    null = _may_decline(folder) if info is None else info.allow_null
    return Source(
        model=str(model.absolute()) if model.exists() else str(path),
        label=label,
        trust_remote_code=config.trust_remote_code,
        max_length=config.max_length,
        doc_stride=config.doc_stride,
        max_answer_length=info.max_answer_length if info is not None else config.max_answer_length or 30,
        allow_null=null if allow_null is None else allow_null,
        device=device,
        # A processor need not be good at float16, which a GPU without bfloat16 was trained in.
        precision=precision or ("auto" if config.precision == "fp16" else config.precision),
    )


def _may_decline(folder: Path) -> bool:
    """Whether a model that left its run was trained with unanswerable questions, as its calibration tells."""
    found = read_calibration(folder)
    return found is not None and found.no_answer_threshold is not None


def is_run(folder: Path) -> bool:
    """Whether the folder is a run's, and not a model's: both hold a config.json."""
    try:
        return is_run_dir(folder) and "model_type" not in read_json(folder / "config.json", dict[str, Any])
    except UsageError:
        return True  # it is said when the run is read


def f1_units(path: str | Path) -> F1Units:
    """What EM and F1 count where the model of `path` is scored, as its run does."""
    folder = Path(path).expanduser()
    run = RunDir(folder) if is_run(folder) else run_of_checkpoint(folder.absolute())
    return "auto" if run is None else run.config.f1

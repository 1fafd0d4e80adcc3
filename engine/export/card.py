"""The Hub's model card: README.md with metadata, scores, how the model was trained, and a picture of its curve."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.config import DEFAULT_MODEL
from engine.data.examples import read_examples
from engine.errors import DataError, UsageError
from engine.events import Metrics, metric_table
from engine.export.curve import curve_svg
from engine.export.usage import usage_of
from engine.insight.calibration import Calibration
from engine.insight.scoring import is_by_character
from engine.rundir.calibration import CALIBRATION, calibration_of_model
from engine.rundir.checkpoints import KeptWeights, snapshot_infos
from engine.rundir.layout import DataIdentity, RunDir, RunInfo
from engine.rundir.snapshot import SnapshotInfo
from engine.storage.atomic_io import create_file

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

CARD, CURVE = "README.md", "curve.svg"
DEFAULT_ON_HUB, DEFAULT_LICENCE = "sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"
SCORES = (
    "exact_match",
    "f1",
    "has_answer_exact_match",
    "has_answer_f1",
    "no_answer_exact_match",
    "no_answer_f1",
)
"""The metrics that a card reports, those of sets with unanswerable questions where there are any."""
OPTIONS = (
    "epochs",
    "batch_size",
    "lr",
    "warmup_ratio",
    "weight_decay",
    "max_grad_norm",
    "max_length",
    "doc_stride",
    "max_answer_length",
    "seed",
    "precision",
    "devices",
)
LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,40}")


def write_card(folder: Path, run: RunDir, weights: KeptWeights, name: str) -> None:
    """Write README.md and the picture that it shows into `folder`; `name` is the model's.

    Raises UsageError where these weights were never scored, DataError, WriteError.
    """
    info, snapshot = run.info, weights.snapshot
    if info is None or snapshot is None:
        raise UsageError(
            f"{run.path}: there are no scores of {weights.label} yet, and a card reports them.",
            hint="Leave --card out, or choose another snapshot with --snapshot.",
        )
    data = card_data(run, info, snapshot, name)
    text = f"---\n{data.to_yaml()}\n---\n\n{card_text(run, info, weights, snapshot, name)}"
    create_file(folder / CARD, text.encode())
    create_file(
        folder / CURVE, curve_svg([info for info in snapshot_infos(run) if info.sampled_of is None], snapshot).encode()
    )


def card_data(run: RunDir, info: RunInfo, snapshot: SnapshotInfo, name: str) -> ModelCardData:
    """The card's metadata, by the names that the Hub gives them; `model-index` holds the scores."""
    from huggingface_hub import EvalResult, ModelCardData

    table, scored = metric_table(), _scored_data(info)
    results = [
        EvalResult(
            task_type="question-answering",
            task_name="Extractive question answering",
            dataset_type=_slug(Path(scored.path).stem),
            dataset_name=_plain(Path(scored.path).name),
            dataset_split="validation",
            dataset_args={"sha256": scored.sha256},
            metric_type="exact_match" if "exact_match" in field else "f1",
            metric_name=table[field].label,
            metric_value=round(value, 4),
        )
        for field, value in _scores(snapshot.metrics)
    ]
    base = _base_on_hub(info)
    return ModelCardData(
        base_model=base,
        library_name="transformers",
        license=licence_of_base(info),
        model_name=_plain(name),
        pipeline_tag="question-answering",
        tags=["question-answering", "extractive-question-answering", "bertqa-tui"],
        eval_results=results,
    )


def card_text(run: RunDir, info: RunInfo, weights: KeptWeights, snapshot: SnapshotInfo, name: str) -> str:
    """The card below its metadata. Names from outside stand as code, which the Hub does not interpret."""
    base, licence = _base_on_hub(info), licence_of_base(info)
    parts = [
        f"# {_plain(name)}",
        f"An extractive question-answering model: {_code(Path(info.model.name).name)} ({info.model.parameters:,} "
        f"parameters) fine-tuned with bertqa-tui {_plain(info.versions.get('bertqa-tui', ''))} on "
        f"{_code(Path(info.data[0].path).name)}. These are the weights of {_code(snapshot.label)} (step "
        f"{snapshot.step:,}).",
        f"![EM and F1 over the epochs of training]({CURVE})",
        "## Scores",
        _score_table(snapshot),
        _score_notes(run, info, snapshot),
        _calibration_note(calibration_of_model(weights.folder)),
        "## How to use it",
        f"```python\n{usage_of(name)}```",
        "The lines read one window: a passage that is longer than the model's input needs several. They always answer"
        + (', also where "no answer" would be right.' if info.allow_null else "."),
        "## How it was trained",
        _table(("", "value"), _training(info)),
        "## Data",
        _table(
            ("file", "bytes", "SHA-256"),
            [(_code(Path(data.path).name), f"{data.size:,}", _code(data.sha256)) for data in info.data],
        ),
        "## Base model and licence",
        f"Base model: {_code(base or Path(info.model.name).name)}"
        + (f", revision {_code(info.model.revision)}" if info.model.revision and base == info.model.name else "")
        + (f", weights with SHA-256 {_code(info.model.sha256)}" if info.model.sha256 else "")
        + f". Its licence: {licence or 'not known here; see where it comes from'}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def licence_of_base(info: RunInfo) -> str | None:
    """The base model's licence by the Hub's name for it, as far as its own files say; None where they do not."""
    if info.model.name == DEFAULT_MODEL:
        return DEFAULT_LICENCE
    card = Path(info.config.model).expanduser() / CARD
    if info.model.revision is not None or not card.is_file():
        return None
    from huggingface_hub import metadata_load

    try:
        licence = (metadata_load(card) or {}).get("license")
    except Exception:  # what a card of someone else's holds may break its parser in many ways
        return None
    return licence if isinstance(licence, str) and LICENCE.fullmatch(licence) else None


def _base_on_hub(info: RunInfo) -> str | None:
    """The base model's id on the Hub; None for a folder."""
    if info.model.name == DEFAULT_MODEL:
        return DEFAULT_ON_HUB
    return info.model.name if info.model.revision is not None else None


def _scored_data(info: RunInfo) -> DataIdentity:
    """The file that the eval examples come from: the last one that was named. Raises DataError."""
    if not info.data:
        raise DataError("run.json names no data set.", hint="A card needs the data set's name and hash.")
    return info.data[-1]


def _scores(metrics: Metrics) -> list[tuple[str, float]]:
    return [(name, float(value)) for name in SCORES if (value := getattr(metrics, name)) is not None]


def _score_table(snapshot: SnapshotInfo) -> str:
    table = metric_table()
    halves = {
        "all": snapshot.metrics,
        "seen passages": snapshot.seen,
        "unseen passages": snapshot.unseen,
    }
    names = [name for name, _ in _scores(snapshot.metrics)]
    rows = []
    for half, metrics in halves.items():
        if metrics is not None:
            values = [getattr(metrics, name) for name in names]
            rows.append((half, str(metrics.examples), *("" if v is None else f"{v:.1f}" for v in values)))
    return _table(("eval examples", "count", *(table[name].label for name in names)), rows)


def _score_notes(run: RunDir, info: RunInfo, snapshot: SnapshotInfo) -> str:
    metrics = snapshot.metrics
    by_character = is_by_character(read_examples(run.examples_file).eval, info.config.f1)
    notes = [
        "EM and F1 count characters, by the rules of MLQA."
        if by_character
        else "EM and F1 follow the official SQuAD scripts.",
    ]
    if snapshot.seen is not None and snapshot.seen.examples:
        notes.append("Seen passages were training passages too: scores on them show how well they are remembered.")
    if info.allow_null:
        notes.append(
            'The model may answer "no answer": HasAns is over the questions with an answer, NoAns over those without. '
            "Scores are at a threshold of 0 for the null odds, the null answer's score minus the best span's."
        )
        if metrics.best_f1 is not None and metrics.best_f1_threshold is not None:
            notes.append(
                f"The threshold that maximises F1 on this set is {metrics.best_f1_threshold:.4f} (F1 "
                f"{metrics.best_f1:.1f}); it is tuned on the labels it is scored with, so that this is an upper bound."
            )
    return " ".join(notes)


def _calibration_note(found: Calibration | None) -> str:
    if found is None:
        return ""
    threshold = ""
    if found.no_answer_threshold is not None:
        threshold = (
            f' and "no answer" wins above null odds of {found.no_answer_threshold:.4f} (F1 {found.f1:.1f} there, '
            f"{found.f1_at_zero:.1f} at 0)"
        )
    return (
        f"`{CALIBRATION}` calibrates the probabilities: scores are divided by a temperature of {found.temperature:.3f}"
        f"{threshold}, fitted on {found.fitted_on} eval questions. On {found.held_out} others the expected calibration "
        f"error is {found.error_after:.3f} ({found.error_before:.3f} without)."
    )


def _training(info: RunInfo) -> list[tuple[str, str]]:
    effective = {"lr": f"{info.lr:g}", "max_answer_length": str(info.max_answer_length), "precision": info.precision}
    values: dict[str, Any] = msgspec.structs.asdict(info.config)
    rows = [(_code(name), _code(effective.get(name, str(values[name])))) for name in OPTIONS]
    return [
        *rows,
        ("device", _code(info.device)),
        *((f"{_plain(package)}", _code(version)) for package, version in info.versions.items()),
    ]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, tuple("---" for _ in head), *(tuple(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """One line of text without characters that Markdown or HTML interprets."""
    return re.sub(r"[^\w .,:;+/()-]", " ", text)[:200].strip()


def _code(text: str) -> str:
    """Text as inline code, which nothing in it can end."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)[:200]
    return f"`{shown.replace('`', chr(39)).replace('|', chr(0xA6)).strip() or ' '}`"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.") or "data"

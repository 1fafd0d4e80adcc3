"""What a run learns from and is scored on: the data set of its options, checked, with the eval half bounded."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from engine.config import RunConfig
from engine.data.examples import Dataset, Example, seen_mask
from engine.data.sample import even_numbers
from engine.data.split import fold_by_passage
from engine.data.squad import load_dataset
from engine.errors import DataError

LEVELS = {"repaired": "repaired", "warning": "doubtful"}


class Remark(Struct, frozen=True):
    """Something that the user of a data set should know: what it is, and what to do."""

    message: str
    hint: str = ""


class RunData(Struct, frozen=True):
    """A checked data set. `allow_null`: questions without an answer are among it, so "no answer" may be predicted."""

    dataset: Dataset
    allow_null: bool
    remarks: tuple[Remark, ...] = ()


def load_run_data(config: RunConfig) -> RunData:
    """Read and check the data set of `config`; the eval half is sampled down to `snapshot_limit`, the probe kept.

    Raises DataError for a data set that can't be learned from, that lacks the probe, or that has too few passages for
    the folds.
    """
    dataset = load_dataset(
        config.dataset,
        eval_path=config.eval,
        eval_fraction=config.eval_fraction,
        seed=config.seed,
        strict=config.strict,
        columns=config.columns,
    )
    if config.folds is not None:
        fold_by_passage(dataset.train, config.folds, config.seed)
    probe = find_probe(dataset.eval, config.probe)
    if config.probe and probe is None:
        raise DataError(
            f"--probe {config.probe!r}: no eval example has this id or question.",
            hint="Leave --probe out, or name an id of the eval half.",
        )
    limited = _even_sample(dataset.eval, config.snapshot_limit, probe)
    return RunData(msgspec.structs.replace(dataset, eval=limited), dataset.has_impossible, tuple(_remarks(dataset)))


def _remarks(dataset: Dataset) -> list[Remark]:
    remarks = [Remark(f"{note}.") for note in dataset.notes]
    for level, word in LEVELS.items():
        issues = [issue for issue in dataset.issues if issue.level == level]
        if issues:
            more = f", and {len(issues) - 1} more" if len(issues) > 1 else ""
            text = f"{word}: {issues[0].place}: {issues[0].message}{more}."
            remarks.append(Remark(text, "bertqa-tui check lists each with its place."))
    seen, total = int(seen_mask(dataset).sum()), len(dataset.eval)
    if seen == total > 0:
        remarks.append(Remark(f"all {total} eval questions are on passages that training sees too."))
    elif seen:
        text = f"{seen} of {total} eval questions are on passages that training sees too; "
        remarks.append(Remark(text + "scores on seen and unseen passages are reported apart."))
    return remarks


def find_probe(examples: tuple[Example, ...], probe: str | None) -> int | None:
    """Number of the example whose id or question is `probe`; None where there is none."""
    if probe is None:
        return None
    ids = [example.id for example in examples]
    questions = [example.question.strip() for example in examples]
    for known in (ids, questions):
        if probe.strip() in known:
            return known.index(probe.strip())
    return None


def _even_sample(examples: tuple[Example, ...], limit: int | None, probe: int | None) -> tuple[Example, ...]:
    """At most `limit` examples, evenly spaced, `probe` among them."""
    if limit is None or limit >= len(examples):
        return examples
    return tuple(examples[number] for number in even_numbers(len(examples), limit, probe).tolist())

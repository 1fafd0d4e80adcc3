"""From files to windows: what a run learns from and what it is scored on. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.features import Features, build_features, default_max_answer_length
from engine.data.squad import Dataset, Example, dump_examples, load_dataset, read_examples, seen_mask
from engine.data.tokenizer import PairTokenizer
from engine.errors import DataError, ModelError, UsageError
from engine.events import AnyEvent, Phase, Warned
from engine.learning.encoder.names import Shape
from engine.models import ModelFiles, locate_model
from engine.rundir.eval_set import write_features
from engine.rundir.layout import RunDir
from engine.storage.atomic_io import replace_file

Say = Callable[[AnyEvent], None]
SafePoint = Callable[[], None]


@dataclass(frozen=True)
class Task:
    """Model files, examples and windows of a run. `seen` bool[N_eval]: the passage is a training passage too."""

    files: ModelFiles
    tokenizer: PairTokenizer
    dataset: Dataset
    train: Features
    eval: Features
    seen: NDArray[np.bool_]
    max_answer_length: int
    allow_null: bool

    @property
    def examples(self) -> tuple[Example, ...]:
        return self.dataset.eval


def prepare(config: RunConfig, say: Say, *, stored: RunDir | None = None, safe_point: SafePoint = lambda: None) -> Task:
    """Locate the model, read the data and tokenise it, telling of each. Raises UserError.

    A run that was begun before has its data in `stored`.
    """
    say(Phase(name="reading"))
    files = locate_model(config)
    dataset, allow_null = read_data(config, say, stored=stored)
    safe_point()
    say(Phase(name="tokenizing"))
    tokenizer = load_tokenizer(files, trust_remote_code=config.trust_remote_code)
    max_length = window_length(config, files)
    if max_length < config.max_length:
        say(Warned(message=f"{files.name} takes windows of {max_length} tokens at most; --max-length is lowered."))
    return build_task(
        config, files, dataset, tokenizer, max_length=max_length, allow_null=allow_null, say=say, safe_point=safe_point
    )


def read_data(config: RunConfig, say: Say, *, stored: RunDir | None = None) -> tuple[Dataset, bool]:
    """The data set, its eval half bounded by `snapshot_limit`; and whether null answers are allowed.

    A run that was begun before has its data in `stored`: examples.json, in the order of its snapshots.
    """
    if stored is not None and stored.examples_file.exists():
        dataset = read_examples(stored.examples_file)
        info = stored.info
        return dataset, info.allow_null if info is not None else dataset.has_impossible
    dataset = load_dataset(
        config.dataset,
        eval_path=config.eval,
        eval_fraction=config.eval_fraction,
        seed=config.seed,
        strict=config.strict,
    )
    for text in _remarks(dataset):
        say(Warned(message=text, hint="bertqa-tui check tells each with its place."))
    if dataset.overlap:
        say(
            Warned(
                message=f"{int(seen_mask(dataset).sum())} of {len(dataset.eval)} eval questions are on passages that "
                "training sees too; scores on seen and unseen passages are told apart.",
            )
        )
    probe = find_probe(dataset.eval, config.probe)
    if config.probe and probe is None:
        raise DataError(
            f"--probe {config.probe!r}: no eval example has this id or question.",
            hint="Leave --probe out, or name an id of the eval half.",
        )
    allow_null = dataset.has_impossible
    limited = _even_sample(dataset.eval, config.snapshot_limit, probe)
    return msgspec.structs.replace(dataset, eval=limited), allow_null


def _remarks(dataset: Dataset) -> list[str]:
    remarks = []
    for level, word in (("repaired", "repaired"), ("warning", "doubtful")):
        faults = [fault for fault in dataset.faults if fault.level == level]
        if faults:
            more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
            remarks.append(f"{word}: {faults[0].place}: {faults[0].message}{more}.")
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
    chosen = np.unique(np.linspace(0, len(examples) - 1, limit).round().astype(int))
    if probe is not None and probe not in chosen:
        chosen[np.abs(chosen - probe).argmin()] = probe
    return tuple(examples[number] for number in sorted(chosen.tolist()))


def load_tokenizer(files: ModelFiles, *, trust_remote_code: bool = False) -> PairTokenizer:
    """The model's tokenizer. Raises ModelError."""
    if files.tokenizer_file is not None:
        return PairTokenizer.from_file(files.tokenizer_file)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(files.path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, ImportError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{files.name}: its tokenizer can't be loaded: {line[:300]}.") from None
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{files.name}: its tokenizer can't tell characters of tokens.", hint="A model with tokenizer.json works."
        )
    return PairTokenizer(
        tokenizer.backend_tokenizer,
        cls_id=tokenizer.cls_token_id,
        sep_id=tokenizer.sep_token_id,
        padding_side=tokenizer.padding_side,
    )


def window_length(config: RunConfig, files: ModelFiles) -> int:
    """Tokens of a window: `max_length`, or fewer where the model has no positions for so many."""
    described = files.config()
    shape = Shape.of(described)
    longest = shape.longest if shape is not None else described.get("max_position_embeddings")
    if not isinstance(longest, int) or longest <= 0:
        return config.max_length
    if longest <= config.doc_stride and longest < config.max_length:
        raise UsageError(
            f"{files.name} takes windows of {longest} tokens at most, no more than doc_stride ({config.doc_stride}).",
            hint="Lower --doc-stride.",
        )
    return min(config.max_length, longest)


def build_task(
    config: RunConfig,
    files: ModelFiles,
    dataset: Dataset,
    tokenizer: PairTokenizer,
    *,
    max_length: int,
    allow_null: bool,
    say: Say,
    safe_point: SafePoint = lambda: None,
) -> Task:
    """Tokenise both halves, with progress. Raises DataError where no window holds an answer to learn from."""

    def features(examples: tuple[Example, ...], what: str) -> Features:
        told = -1

        def progress(done: int, total: int) -> None:
            nonlocal told
            if total and done * 50 // total != told:  # at most fifty events
                told = done * 50 // total
                say(Phase(name="tokenizing", detail=what, done=done, total=total))
            safe_point()

        return build_features(
            examples,
            tokenizer,
            max_length=max_length,
            doc_stride=min(config.doc_stride, max_length - 1),
            progress=progress,
            warn=lambda text: say(Warned(message=f"{what}: {text}.")),
        )

    train, evaluation = features(dataset.train, "training half"), features(dataset.eval, "eval half")
    if not (train.gold_start >= 0).any():
        raise DataError("no training window holds a whole answer.", hint="Raise --max-length or --doc-stride.")
    longest = config.max_answer_length or max(default_max_answer_length(train), default_max_answer_length(evaluation))
    return Task(files, tokenizer, dataset, train, evaluation, seen_mask(dataset), longest, allow_null)


def write_task(run: RunDir, task: Task) -> None:
    """Write examples.json and features.safetensors, where they are not there yet. Raises WriteError."""
    if not run.examples_file.exists():
        replace_file(run.examples_file, dump_examples(task.dataset))
    if not run.features_file.exists():
        write_features(
            run,
            task.eval,
            specials=(task.tokenizer.cls_token, task.tokenizer.sep_token),
            max_answer_length=task.max_answer_length,
            allow_null=task.allow_null,
        )

"""From files to windows: what a run learns from and what it is scored on. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.examples import Dataset, Example, dump_examples, read_examples, seen_mask
from engine.data.feature_cache import features_key, is_worth_keeping, keep_features, read_features
from engine.data.features import Features, build_features, default_max_answer_length
from engine.data.run_data import find_probe, load_run_data
from engine.data.sample import Sample, first_looks
from engine.data.tokenizer import PairTokenizer
from engine.errors import DataError, ModelError, UsageError
from engine.events import AnyEvent, Phase, Warned
from engine.insight.scoring import is_by_character
from engine.learning.encoder.families.registry import read_config
from engine.models import ModelFiles, locate_model
from engine.rundir.eval_set import write_features
from engine.rundir.layout import RunDir
from engine.storage.atomic_io import replace_file

Emit = Callable[[AnyEvent], None]
SafePoint = Callable[[], None]
POSITIONS = ("max_position_embeddings", "n_positions")
"""What config.json calls the number of positions; GPT-2 has the second."""


@dataclass(frozen=True)
class Task:
    """Model files, examples and windows of a run. `seen` bool[N_eval]: the passage is a training passage too. `looks`:
    samples of the eval examples, where there are many, each larger than the one before."""

    files: ModelFiles
    tokenizer: PairTokenizer
    dataset: Dataset
    train: Features
    eval: Features
    seen: NDArray[np.bool_]
    max_answer_length: int
    allow_null: bool
    looks: tuple[Sample, ...] = ()

    @property
    def sample(self) -> Sample | None:
        """The eval examples that early snapshots score; None where they score all."""
        return self.looks[-1] if self.looks else None

    @property
    def examples(self) -> tuple[Example, ...]:
        return self.dataset.eval


def prepare(
    config: RunConfig, emit: Emit, *, stored: RunDir | None = None, safe_point: SafePoint = lambda: None
) -> Task:
    """Locate the model, read the data and tokenise it, with an event for each. Raises UserError.

    A run that was begun before has its data in `stored`.
    """
    emit(Phase(name="reading"))
    start = stored.start_info if stored is not None else None
    files = locate_model(config, known=start.weights if start is not None else None)
    dataset, allow_null = read_data(config, emit, stored=stored)
    safe_point()
    emit(Phase(name="tokenizing"))
    tokenizer = load_tokenizer(files, trust_remote_code=config.trust_remote_code)
    max_length = window_length(config, files)
    if max_length < config.max_length:
        emit(Warned(message=f"{files.name} takes windows of {max_length} tokens at most; --max-length is lowered."))
    return build_task(
        config,
        files,
        dataset,
        tokenizer,
        max_length=max_length,
        allow_null=allow_null,
        emit=emit,
        safe_point=safe_point,
    )


def read_data(config: RunConfig, emit: Emit, *, stored: RunDir | None = None) -> tuple[Dataset, bool]:
    """The data set and whether "no answer" may be predicted; what its user should know is reported by events.

    Whoever started the run has checked the data set and left it in `stored`, in the order of the run's snapshots.
    """
    if stored is None or not stored.examples_file.exists():
        data = load_run_data(config)
        remarks, dataset, allow_null = data.remarks, data.dataset, data.allow_null
    else:
        dataset, info, start = read_examples(stored.examples_file), stored.info, stored.start_info
        allow_null = info.allow_null if info is not None else start.allow_null if start else dataset.has_impossible
        remarks = start.remarks if start is not None and info is None else ()
    for remark in remarks:
        emit(Warned(message=remark.message, hint=remark.hint))
    if (stored is None or stored.info is None) and is_by_character(dataset.eval, config.f1):
        emit(
            Warned(
                message="EM and F1 count characters, by the rules of MLQA: the answers are written without spaces.",
                hint="--f1 words counts words, as SQuAD's script does.",
            )
        )
    return dataset, allow_null


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
            f"{files.name}: its tokenizer does not report the characters of its tokens.",
            hint="A model with tokenizer.json works.",
        )
    return PairTokenizer(
        tokenizer.backend_tokenizer,
        cls_id=tokenizer.cls_token_id,
        sep_id=tokenizer.sep_token_id,
        mask_id=tokenizer.mask_token_id,
        padding_side=tokenizer.padding_side,
    )


def window_length(config: RunConfig, files: ModelFiles) -> int:
    """Tokens of a window: `max_length`, or fewer where the model has no positions for so many."""
    described = files.config()
    shape = read_config(described)
    named = (described.get(name) for name in POSITIONS)
    longest = shape.longest if shape is not None else next((number for number in named if number is not None), None)
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
    emit: Emit,
    safe_point: SafePoint = lambda: None,
) -> Task:
    """Tokenise both halves, with progress. Raises DataError where no window holds an answer to learn from."""

    def features(examples: tuple[Example, ...], what: str) -> Features:
        def warn(text: str) -> None:
            emit(Warned(message=f"{what}: {text}."))

        doc_stride = min(config.doc_stride, max_length - 1)
        key = ""
        if config.feature_cache and is_worth_keeping(examples):
            key = features_key(examples, tokenizer, max_length=max_length, doc_stride=doc_stride)
        if key and (kept := read_features(key, len(examples))) is not None:
            emit(Phase(name="tokenizing", detail=f"{what}, kept from an earlier run"))
            for text in kept[1]:
                warn(text)
            safe_point()
            return kept[0]
        warned: list[str] = []
        reported = -1

        def progress(done: int, total: int) -> None:
            nonlocal reported
            if total and done * 50 // total != reported:  # at most fifty events
                reported = done * 50 // total
                emit(Phase(name="tokenizing", detail=what, done=done, total=total))
            safe_point()

        def warn_and_note(text: str) -> None:
            warned.append(text)
            warn(text)

        features = build_features(
            examples, tokenizer, max_length=max_length, doc_stride=doc_stride, progress=progress, warn=warn_and_note
        )
        if key:
            keep_features(key, features, warned)
        return features

    train, evaluation = features(dataset.train, "training half"), features(dataset.eval, "eval half")
    if not (train.gold_start >= 0).any():
        raise DataError("no training window holds a whole answer.", hint="Raise --max-length or --doc-stride.")
    longest = config.max_answer_length or max(default_max_answer_length(train), default_max_answer_length(evaluation))
    looks = first_looks(evaluation, len(dataset.eval), find_probe(dataset.eval, config.probe))
    return Task(files, tokenizer, dataset, train, evaluation, seen_mask(dataset), longest, allow_null, looks)


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

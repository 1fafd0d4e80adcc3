"""RunConfig: everything a run needs to know, validated, and saved with the run."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine.errors import UsageError

DEFAULT_MODEL = "all-MiniLM-L6-v2"


GROUPS = {
    "data": "data",
    "model": "model",
    "training": "training",
    "machine": "machine",
    "keeping": "snapshots and checkpoints",
    "place": "where the run goes",
}
"""Titles of the groups of options in `--help`, in their order."""


def option(group: str, description: str, **limits: Any) -> Meta:
    """What is known of a field of RunConfig: its group in `--help`, its help, and msgspec's limits of its value."""
    return Meta(description=description, extra={"group": group}, **limits)


def side_option(group: str, description: str, **limits: Any) -> Meta:
    """As `option`, of a field that changes neither what a run learns nor its scores, up to rounding."""
    return Meta(description=description, extra={"group": group, "aside": True}, **limits)


F1Units = Literal["auto", "words", "characters"]
Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
SnapshotDtype = Literal["float32", "float16"]
StopSignal = Literal["SIGALRM", "SIGCONT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGXCPU"]
STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2")
"""Signals that save a checkpoint and stop: batch systems send SIGUSR1 or SIGUSR2 when time is nearly up."""


class RunConfig(Struct, frozen=True, kw_only=True):
    """One fine-tuning. Names follow Hugging Face's where they have one; descriptions are the CLI's help."""

    dataset: Annotated[str, option("data", "SQuAD-style file to learn from", min_length=1)]
    eval: Annotated[str | None, option("data", "file of evaluation examples (else the file's own split)")] = None
    eval_fraction: Annotated[
        float, option("data", "share of passages held out where the file has no split", gt=0, lt=1)
    ] = 0.2
    columns: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        option("data", "columns of a table, such as context=text,question=q,answer=reply (default: the usual names)"),
    ] = None
    f1: Annotated[
        F1Units, option("data", "what EM and F1 count; auto: characters where answers are written without spaces")
    ] = "auto"
    strict: Annotated[bool, side_option("data", "refuse a data set that needs repairs")] = False

    model: Annotated[str, option("model", "model id on the Hub, or a folder", min_length=1)] = DEFAULT_MODEL
    revision: Annotated[str | None, option("model", "branch, tag or commit of the model on the Hub")] = None
    trust_remote_code: Annotated[bool, option("model", "run the model repository's own Python code")] = False

    epochs: Annotated[int, option("training", "passes over the training examples", ge=1, le=10_000)] = 5
    batch_size: Annotated[int, option("training", "training features per step", ge=1, le=65_536)] = 16
    gradient_accumulation_steps: Annotated[
        int, option("training", "batches whose gradients make one step", ge=1, le=65_536)
    ] = 1
    auto_find_batch_size: Annotated[
        bool, option("training", "out of memory: halve the batch, accumulate twice as many, and go on")
    ] = False
    lr: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        option("training", "peak learning rate (default: what suits the model's size)"),
    ] = None
    lr_scheduler_type: Annotated[Scheduler, option("training", "how the rate goes on after its warm-up")] = "linear"
    warmup_ratio: Annotated[float, option("training", "share of steps with a rising rate", ge=0, le=1)] = 0.1
    weight_decay: Annotated[float, option("training", "AdamW weight decay", ge=0, le=1)] = 0.01
    max_grad_norm: Annotated[float, option("training", "gradients are clipped to this norm", gt=0)] = 1.0
    attention_dropout: Annotated[
        Annotated[float, Meta(ge=0, lt=1)] | None,
        option("training", "dropout of attention probabilities (default: the model's own; 0 is faster on a GPU)"),
    ] = None
    freeze_layers: Annotated[
        int, option("training", "keep the embeddings and the first N layers as they are (0: nothing)", ge=0)
    ] = 0
    gradient_checkpointing: Annotated[
        bool, side_option("machine", "keep one array a layer and compute the rest twice: less memory, a third slower")
    ] = False
    eval_batch_size: Annotated[
        Annotated[int, Meta(ge=1, le=65_536)] | None,
        side_option("machine", "most windows scored together (default: as many as fit a number of tokens)"),
    ] = None
    early_stopping_patience: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        option("training", "end after this many epochs without a better F1, the best epoch's weights kept"),
    ] = None
    max_length: Annotated[int, option("data", "tokens in a window", ge=16, le=65_536)] = 384
    doc_stride: Annotated[int, option("data", "tokens shared by neighbouring windows", ge=0)] = 128
    max_answer_length: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        option("data", "longest predicted answer in tokens (default: from the data, at least 30)"),
    ] = None
    seed: Annotated[int, option("training", "seed of everything random", ge=0, lt=2**32)] = 42

    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], option("machine", "where to compute")] = "auto"
    devices: Annotated[
        int, option("machine", "processes, one for each device; of each machine where there are several", ge=1, le=1024)
    ] = 1
    nnodes: Annotated[
        int, option("machine", "machines: train prepares the run and prints the command for each", ge=1, le=65_536)
    ] = 1
    torch_compile: Annotated[
        bool, option("machine", "fuse a GPU's kernels by torch's compiler: ten seconds at the start, a seventh faster")
    ] = False
    precision: Annotated[Precision, option("machine", "arithmetic of the forward and backward pass")] = "auto"

    feature_cache: Annotated[
        bool, side_option("machine", "keep large tokenised data in the user's cache folder for the next run")
    ] = True

    probe: Annotated[str | None, side_option("data", "id or question of the eval example to show first")] = None
    early_snapshots: Annotated[bool, side_option("keeping", "snapshots at steps 1, 2, 4, 8 … of the first epoch")] = (
        True
    )
    track_train: Annotated[
        bool, side_option("keeping", "score the training examples too after each epoch, for the lists of suspects")
    ] = False
    folds: Annotated[
        Annotated[int, Meta(ge=2, le=100)] | None,
        side_option(
            "keeping",
            "N more models in turn, each scores a part of the training passages that it never trained on, for the "
            "lists of suspects",
        ),
    ] = None
    snapshot_limit: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        option("keeping", "score at most this many eval examples, evenly sampled"),
    ] = None
    snapshot_dtype: Annotated[
        SnapshotDtype,
        side_option("keeping", "of the tokens' scores on disk; float16 halves them, answers and metrics stay exact"),
    ] = "float32"
    keep_weights: Annotated[
        Literal["all", "best", "last"], side_option("keeping", "whose epochs' weights stay on disk")
    ] = "best"
    checkpoint_minutes: Annotated[
        float, side_option("keeping", "also save a resumable checkpoint this often inside an epoch", gt=0)
    ] = 10.0

    stop_signal: Annotated[
        StopSignal | None,
        side_option("machine", "one more signal that saves and stops, besides SIGTERM, SIGINT, SIGUSR1 and SIGUSR2"),
    ] = None
    on_finish: Annotated[
        str | None,
        side_option("machine", "shell command to run when the run ends, with its outcome in BERTQA_RESULT_…"),
    ] = None

    report_to: Annotated[
        str | None,
        side_option("keeping", "mirror curves to trackers: tensorboard, trackio, wandb, by commas"),
    ] = None
    sweep: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100)] | None,
        side_option("place", "name that runs made for one comparison share (default: from the options)"),
    ] = None
    run_dir: Annotated[
        str | None, side_option("place", "folder of this run (default: a new one in the runs folder)")
    ] = None
    runs_dir: Annotated[str | None, side_option("place", "folder that holds all runs (default: ./runs)")] = None


def stop_signals(config: RunConfig) -> tuple[str, ...]:
    """Names of the signals that save a checkpoint and stop a run of `config`."""
    return tuple(dict.fromkeys((*STOP_SIGNALS, *([config.stop_signal] if config.stop_signal else []))))


def scores_training(config: RunConfig) -> bool:
    """Whether a run of `config` scores its training examples: what models say that never saw them is compared with
    that."""
    return config.track_train or config.folds is not None


def config_from(values: dict[str, Any]) -> RunConfig:
    """Validate option values given by name.

    Raises UsageError naming the option that is unknown, missing or out of range.
    """
    known = RunConfig.__struct_fields__
    for name in values:
        if name not in known:
            raise UsageError(f"there is no option {name!r}.", hint=f"Options: {', '.join(known)}.")
    try:
        config = msgspec.convert(values, RunConfig, strict=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"bad option: {str(error).replace('$.', '')}.") from None
    if config.doc_stride >= config.max_length:
        raise UsageError(
            f"doc_stride ({config.doc_stride}) is the overlap of windows and must be smaller than "
            f"max_length ({config.max_length})."
        )
    return config


def described_options() -> dict[str, tuple[str, str]]:
    """Field name -> (group, one-line description), in declaration order."""
    return {name: ((meta.extra or {})["group"], meta.description or "") for name, meta in _metas().items()}


def learning_options(config: RunConfig) -> dict[str, Any]:
    """The options that change what a run learns or how it is scored, the seed among them, by name."""
    metas = _metas()
    return {
        name: value
        for name, value in msgspec.structs.asdict(config).items()
        if not (metas[name].extra or {}).get("aside")
    }


@cache
def _metas() -> dict[str, Meta]:
    hints = get_type_hints(RunConfig, include_extras=True)
    return {
        name: next(m for m in hints[name].__metadata__ if isinstance(m, Meta) and m.extra)
        for name in RunConfig.__struct_fields__
    }

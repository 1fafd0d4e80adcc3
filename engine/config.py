"""RunConfig: everything a run needs to know, validated, and saved with the run."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine.errors import UsageError

DEFAULT_MODEL = "all-MiniLM-L6-v2"


class RunConfig(Struct, frozen=True, kw_only=True):
    """One fine-tuning. Names follow Hugging Face's where they have one; descriptions are the CLI's help."""

    dataset: Annotated[str, Meta(description="SQuAD-style file to learn from", min_length=1)]
    eval: Annotated[str | None, Meta(description="file of evaluation examples (else the file's own split)")] = None
    eval_fraction: Annotated[
        float, Meta(description="share of passages held out where the file has no split", gt=0, lt=1)
    ] = 0.2
    strict: Annotated[bool, Meta(description="refuse a data set that needs repairs")] = False

    model: Annotated[str, Meta(description="model id on the Hub, or a folder", min_length=1)] = DEFAULT_MODEL
    revision: Annotated[str | None, Meta(description="branch, tag or commit of the model on the Hub")] = None
    trust_remote_code: Annotated[bool, Meta(description="run the model repository's own Python code")] = False

    epochs: Annotated[int, Meta(description="passes over the training examples", ge=1, le=10_000)] = 5
    batch_size: Annotated[int, Meta(description="training features per step", ge=1, le=65_536)] = 16
    lr: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(description="peak learning rate (default: what suits the model's size)"),
    ] = None
    warmup_ratio: Annotated[float, Meta(description="share of steps with a rising rate", ge=0, le=1)] = 0.1
    weight_decay: Annotated[float, Meta(description="AdamW weight decay", ge=0, le=1)] = 0.01
    max_grad_norm: Annotated[float, Meta(description="gradients are clipped to this norm", gt=0)] = 1.0
    max_length: Annotated[int, Meta(description="tokens in a window", ge=16, le=65_536)] = 384
    doc_stride: Annotated[int, Meta(description="tokens shared by neighbouring windows", ge=0)] = 128
    max_answer_length: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="longest predicted answer in tokens (default: from the data, at least 30)"),
    ] = None
    seed: Annotated[int, Meta(description="seed of everything random", ge=0, lt=2**32)] = 42

    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Meta(description="where to compute")] = "auto"
    devices: Annotated[int, Meta(description="processes, one for each device", ge=1, le=1024)] = 1
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Meta(description="arithmetic of the forward and backward pass")
    ] = "auto"

    probe: Annotated[str | None, Meta(description="id or question of the eval example to show first")] = None
    early_snapshots: Annotated[bool, Meta(description="snapshots at steps 1, 2, 4, 8 … of the first epoch")] = True
    snapshot_limit: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="score at most this many eval examples, evenly sampled"),
    ] = None
    keep_weights: Annotated[Literal["all", "best", "last"], Meta(description="whose epochs' weights stay on disk")] = (
        "best"
    )
    checkpoint_minutes: Annotated[
        float, Meta(description="also save a resumable checkpoint this often inside an epoch", gt=0)
    ] = 10.0

    run_dir: Annotated[str | None, Meta(description="folder of this run (default: a new one in the runs folder)")] = (
        None
    )
    runs_dir: Annotated[str | None, Meta(description="folder that holds all runs (default: ./runs)")] = None


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


def option_descriptions() -> dict[str, str]:
    """Field name -> one-line description, in declaration order."""
    hints = get_type_hints(RunConfig, include_extras=True)
    return {
        name: next(m.description or "" for m in hints[name].__metadata__ if isinstance(m, Meta))
        for name in RunConfig.__struct_fields__
    }

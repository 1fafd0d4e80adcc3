"""Loads a model for question answering from its files, and saves it so that transformers can load it."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.config import RunConfig
from engine.errors import DataError, ModelError, UsageError
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks
from engine.learning.encoder.families.registry import family, read_config
from engine.learning.encoder.names import EncoderConfig
from engine.learning.encoder.packed import BertEncoder, PackedEncoder
from engine.models import ModelFiles, no_head
from engine.storage.atomic_io import raises_write_error, replace_file, sync_file
from engine.storage.tensors import Tensors, write_tensors

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FAST_FP16 = (7, 0)
"""Compute capability from which NVIDIA's GPUs have tensor cores for float16 (V100)."""
OLD_NORM_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


class Network(Protocol):
    """Scores float32[T, 2] (start, end) of every token of a batch."""

    def __call__(self, batch: Batch, masks: DropoutMasks | None, dtype: torch.dtype) -> Tensor: ...


@dataclass(frozen=True)
class Model:
    """A network with what is needed to save it. `packed` is true where it computes packed batches without padding."""

    network: nn.Module
    files: ModelFiles
    device: torch.device
    dtype: torch.dtype
    packed: bool

    @property
    def precision(self) -> str:
        """The precision of matrix products: `fp32`, `bf16` or `fp16`."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    def checkpoint_gradients(self) -> None:
        """Keep only the layers' inputs for the backward pass from now on. Raises ModelError where it can't."""
        if isinstance(self.network, PackedEncoder):
            self.network.checkpointing = True
            return
        hub_model: Any = self.network.model
        if not getattr(hub_model, "supports_gradient_checkpointing", False):
            raise ModelError(
                f"{self.files.name}: this architecture has no gradient checkpointing.",
                hint="Leave --gradient-checkpointing out.",
            )
        enable = getattr(hub_model, "activation_checkpointing_enable", None) or hub_model.gradient_checkpointing_enable
        enable()

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    @property
    def tokenizer_bytes(self) -> int:
        """Size of the tokenizer's files, which go with every checkpoint."""
        paths = (self.files.path / name for name in TOKENIZER_FILES)
        return sum(path.stat().st_size for path in paths if path.is_file())

    def save(self, folder: Path) -> None:
        """Write config.json, weights and tokenizer into `folder`, which `from_pretrained` then loads.

        Raises WriteError.
        """
        for name in TOKENIZER_FILES:
            if (self.files.path / name).is_file():
                with raises_write_error(folder / name):
                    shutil.copyfile(self.files.path / name, folder / name)
                    sync_file(folder / name)
        if isinstance(self.network, PackedEncoder):
            _save_packed(self.network, self.files, folder)
        else:
            with raises_write_error(folder):
                hub_model: Any = self.network.model
                hub_model.save_pretrained(folder)
                for path in folder.iterdir():
                    sync_file(path)


def default_learning_rate(parameters: int) -> float:
    """Peak rate that suits a model's size; as published for SQuAD, and measured for the small default model."""
    return 3e-4 if parameters < 40_000_000 else 5e-5 if parameters < 200_000_000 else 3e-5


def choose_device(config: RunConfig, local_rank: int = 0) -> torch.device:
    """The device of this process. Raises UsageError where the one that was asked for is not there."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    kind = config.device
    if kind == "auto":
        kind = "cuda" if cuda else "mps" if mps else "cpu"
    if (kind == "cuda" and not cuda) or (kind == "mps" and not mps):
        raise UsageError(f"there is no {kind} device here.", hint="Leave --device out, or choose --device cpu.")
    if kind == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"process {local_rank + 1} of this machine has no GPU: there are {torch.cuda.device_count()}.",
                hint="Lower --devices (torchrun: --nproc-per-node).",
            )
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    return torch.device(kind)


def choose_precision(config: RunConfig, device: torch.device) -> tuple[torch.dtype, str]:
    """The dtype of matrix products, and why, in words. `auto` takes bfloat16 where the hardware multiplies it."""
    if config.precision != "auto":
        return DTYPES[config.precision], "as asked for"
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16, "this GPU multiplies bfloat16"
        if torch.cuda.get_device_capability(device) >= FAST_FP16:
            return torch.float16, "this GPU multiplies float16, with loss scaling"
        return torch.float32, "no fast bfloat16 or float16 here"
    if device.type == "cpu" and _cpu_multiplies_bf16():
        return torch.bfloat16, "this CPU multiplies bfloat16"
    return torch.float32, "no fast bfloat16 here"


def _cpu_multiplies_bf16() -> bool:
    try:
        info = Path("/proc/cpuinfo").read_text("ascii", errors="replace")
    except OSError:
        return False
    return re.search(r"^(flags|Features)\s*:.*\b(avx512_bf16|amx_bf16|bf16)\b", info, re.MULTILINE) is not None


def load_model(
    files: ModelFiles,
    *,
    seed: int,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    trust_remote_code: bool = False,
    packed: bool = True,
    draw_head: bool = True,
    attention_dropout: float | None = None,
) -> Model:
    """The model's weights in float32 on `device`; `dtype` is that of matrix products.

    The families of engine.learning.encoder.families are computed without padding, unless `packed` is False. A
    question-answering head that the files lack is drawn from `seed`, or refused without `draw_head`.
    `attention_dropout` replaces the model's own. Raises ModelError.
    """
    device = device or torch.device("cpu")
    described = files.config()
    shape = read_config(described) if packed and not trust_remote_code else None
    if shape is not None:
        if attention_dropout is not None:
            shape = replace(shape, attention_dropout=attention_dropout)
        network: nn.Module = _load_packed(shape, files, seed if draw_head else None)
    else:
        from engine.learning.encoder.hugging_face import load_hugging_face

        network = load_hugging_face(
            files,
            seed=seed if draw_head else None,
            trust_remote_code=trust_remote_code,
            attention_dropout=attention_dropout,
        )
    network.to(device)
    network.train()
    return Model(network, files, device, dtype, shape is not None)


def _load_packed(shape: EncoderConfig, files: ModelFiles, seed: int | None) -> PackedEncoder:
    kind = family(shape.model_type)
    network = kind.network(shape) if kind.network is not None else BertEncoder(shape)
    ours = dict(network.named_parameters())
    wanted = {
        theirs: (ours[name], part, len(parts))
        for name, parts in kind.names(shape).items()
        for part, theirs in enumerate(parts)
    }
    found: set[str] = set()
    try:
        for file in files.weights:
            with safe_open(file, framework="pt") as stored, ExitStack() as held:
                direct = _direct(file, held)
                for key in sorted(stored.keys()):
                    name = _plain_name(key)
                    name = name if name in wanted else f"{kind.prefix}{name}"
                    if name not in wanted:
                        continue
                    parameter, part, parts = wanted[name]
                    target = parameter.chunk(parts)[part]
                    shape_stored = tuple(stored.get_slice(key).get_shape())
                    if shape_stored != target.shape:
                        raise ModelError(
                            f"{files.name}: {key} is {shape_stored}, config.json says {tuple(target.shape)}."
                        )
                    if direct is not None and direct.dtype(key) == np.float32 and target.is_contiguous():
                        direct.read_into(key, target.detach().numpy())
                    else:
                        with torch.no_grad():
                            target.copy_(stored.get_tensor(key))
                    found.add(name)
    except (SafetensorError, OSError, DataError) as error:
        raise ModelError(f"{files.name}: its weights can't be read: {_first_line(error)}.") from None
    head = {theirs: name for name, (theirs,) in kind.head_names(shape).items()}
    if missing := sorted(set(wanted) - found - set(head)):
        name = missing[0].removeprefix(kind.prefix)
        raise ModelError(f"{files.name}: its weights lack {name} ({len(missing)} are missing).")
    if missing_head := [name for theirs, name in head.items() if theirs not in found]:
        if seed is None:
            raise no_head(files)
        network.draw(missing_head, torch.Generator().manual_seed(seed))
    return network


def _direct(file: Path, held: ExitStack) -> Tensors | None:
    """The file, to read float32 from straight into the model's memory: in a third of the time that a mapped file takes,
    page by page. None where it holds what only torch knows, such as bfloat16."""
    try:
        return held.enter_context(Tensors(file))
    except (DataError, OSError):
        return None


def _plain_name(key: str) -> str:
    for old, new in OLD_NORM_NAMES.items():
        key = key.replace(old, new)
    return key


def _save_packed(network: PackedEncoder, files: ModelFiles, folder: Path) -> None:
    kind = family(network.shape.model_type)
    ours = dict(network.named_parameters())
    arrays = {
        theirs: ours[name].detach().chunk(len(parts))[part].cpu().numpy()
        for name, parts in kind.names(network.shape).items()
        for part, theirs in enumerate(parts)
    }
    write_tensors(folder / "model.safetensors", arrays, {"format": "pt"})
    described = {k: v for k, v in files.config().items() if k not in ("_name_or_path", "torch_dtype")}
    described |= {"architectures": [kind.qa_class], "dtype": "float32"}
    replace_file(folder / "config.json", msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

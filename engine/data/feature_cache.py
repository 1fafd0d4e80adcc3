"""Tokenised windows of earlier runs, kept in the user's cache folder under the hash of everything they depend on.

A cache is a convenience: whatever is wrong with it, its user tokenises again and nothing fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import platformdirs

from engine.data.examples import Example
from engine.data.features import Features
from engine.data.tokenizer import PairTokenizer
from engine.errors import DataError, WriteError
from engine.storage.atomic_io import check_own_folder, make_folder, remove_file
from engine.storage.tensors import Tensors, write_tensors

FORMAT = 1
"""Raised whenever `build_features` makes other windows of the same data."""
LEAST_CHARACTERS = 1_000_000
"""Fewer than this are tokenised in less than a second: they are not kept."""
MAX_BYTES = 2_000_000_000
"""Of all entries; those that were not used for the longest time go first."""
SPARE = 4
"""An entry is written where the disk has room for so many times its size."""
CHUNK = 1000
SUFFIX = ".safetensors"
NAMES = tuple(field.name for field in fields(Features))
KINDS = {"input_ids": "i4", "type_ids": "i1", "segment": "i1", "token_offset": "i8"}
OF_TOKENS = ("input_ids", "type_ids", "char_start", "char_end", "segment")


def cache_folder() -> Path:
    """$BERTQA_CACHE_DIR/features, or that in the user's cache folder."""
    return Path(os.environ.get("BERTQA_CACHE_DIR") or platformdirs.user_cache_dir("bertqa-tui")).absolute() / "features"


def is_worth_keeping(examples: Sequence[Example]) -> bool:
    """Whether tokenising the examples takes so long that the windows are kept."""
    return sum(len(example.context) for example in examples) >= LEAST_CHARACTERS


def features_key(examples: Sequence[Example], tokenizer: PairTokenizer, *, max_length: int, doc_stride: int) -> str:
    """SHA-256 of all that the windows depend on: the examples, the tokenizer, the lengths, and the versions."""
    settings = (FORMAT, version("tokenizers"), np.__version__, max_length, doc_stride, len(examples))
    digest = hashlib.sha256(repr(settings).encode())
    digest.update(tokenizer.fingerprint.encode())
    encoder = msgspec.msgpack.Encoder()
    for low in range(0, len(examples), CHUNK):
        digest.update(encoder.encode(examples[low : low + CHUNK]))
    return digest.hexdigest()


def read_features(key: str, n_examples: int) -> tuple[Features, list[str]] | None:
    """The windows kept under `key` with the warnings that came with them; None where there are none, or where folder
    or file are not this user's alone or not as they were written."""
    folder = cache_folder()
    path = folder / f"{key}{SUFFIX}"
    try:
        _check_private(folder)
        status = os.lstat(path)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            return None
        with Tensors(path) as stored:
            features = Features(**{name: stored.read(name).copy() for name in NAMES})
            warnings = msgspec.json.decode(stored.metadata.get("warnings", ""), type=list[str])
            if stored.metadata.get("digest") != _digest(key, features, warnings) or not _fits(features, n_examples):
                return None
    except (OSError, KeyError, ValueError, DataError):
        return None
    with suppress(OSError):
        os.utime(path)
    return features, warnings


def keep_features(key: str, features: Features, warnings: Sequence[str]) -> None:
    """Keep the windows under `key`, where there is room for them, and drop what is too much."""
    folder = cache_folder()
    try:
        make_folder(folder)
        _check_private(folder)
        if features.nbytes > MAX_BYTES or shutil.disk_usage(folder).free < SPARE * features.nbytes:
            return
        metadata = {
            "digest": _digest(key, features, warnings),
            "warnings": msgspec.json.encode(list(warnings)).decode(),
        }
        # Not synced: what a power cut tears is found by its digest.
        write_tensors(folder / f"{key}{SUFFIX}", vars(features), metadata, sync=False)
        _drop_oldest(folder)
    except (OSError, WriteError):
        return


def _check_private(folder: Path) -> None:
    """Raise OSError unless the folder is this user's, and nobody else's to read or write."""
    check_own_folder(folder)
    if stat.S_IMODE(os.lstat(folder).st_mode) & 0o077:
        raise PermissionError(f"{folder}: others may enter it")


def _digest(key: str, features: Features, warnings: Sequence[str]) -> str:
    digest = hashlib.sha256(repr((key, list(warnings))).encode())
    for name in NAMES:
        array = getattr(features, name)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _fits(features: Features, n_examples: int) -> bool:
    """Whether the arrays belong together, and to so many examples."""
    offset, owners = features.token_offset, features.feature_example
    n_windows, n_tokens = len(owners), len(features.input_ids)
    return (
        all(getattr(features, name).dtype == kind for name, kind in KINDS.items())
        and all(getattr(features, name).shape == (n_tokens,) for name in OF_TOKENS)
        and all(getattr(features, name).shape == (n_windows,) for name in ("null_token", "gold_start", "gold_end"))
        and offset.shape == (n_windows + 1,)
        and int(offset[0]) == 0
        and int(offset[-1]) == n_tokens
        and bool((np.diff(offset) > 0).all())
        and np.array_equal(np.unique(owners), np.arange(n_examples))
        and bool((np.diff(owners) >= 0).all())
    )


def _drop_oldest(folder: Path) -> None:
    """Remove the entries used longest ago until the rest takes no more than MAX_BYTES, and what a killed process
    left."""
    found = []
    for path in folder.iterdir():
        with suppress(OSError):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and path.name.endswith((SUFFIX, ".tmp")):
                found.append((status.st_mtime_ns, status.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > MAX_BYTES:
            with suppress(WriteError):
                remove_file(path)

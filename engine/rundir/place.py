"""Where a new run goes: known before anything else of it."""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path

import msgspec

from engine.config import RunConfig


def next_run_path(config: RunConfig) -> Path:
    """Where a new run goes: `run_dir`, or `<runs folder>/<dataset>-<UTC time>-<4 hex>`."""
    if config.run_dir:
        return Path(config.run_dir)
    folder = Path(config.runs_dir or os.environ.get("BERTQA_RUNS_DIR") or "runs")
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(config.dataset).stem).strip(".-")[:40] or "data"
    return folder / f"{stem}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"


def placed(config: RunConfig) -> RunConfig:
    """`config` with the place of its run decided."""
    return msgspec.structs.replace(config, run_dir=str(next_run_path(config)))

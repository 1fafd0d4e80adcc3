"""What works on this machine, and what to do where something does not: device, memory, disk, model, network."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import psutil
from msgspec import Struct

from engine.config import RunConfig
from engine.errors import UserError
from engine.models import locate_model

HARDWARE = "engine.learning.hardware"
HARDWARE_SECONDS = 120.0
"""Importing torch from a cold network file system takes a minute."""
NETWORK_SECONDS = 3.0
HUB = "https://huggingface.co"
LEAST_MEMORY, LEAST_DISK = 3e9, 2e9
"""Bytes that a fine-tuning of the default model needs, with some room."""
Verdict = Literal["works", "limited", "fails"]


class Finding(Struct, frozen=True):
    """One thing that was tried: what it is, whether it works, and what to do where it does not.

    Only a finding that "fails" keeps a run from starting. `text` and `hint` may quote text from outside.
    """

    topic: str
    verdict: Verdict
    text: str
    hint: str = ""


class Device(Struct, frozen=True):
    """A GPU as torch sees it; `memory` in bytes."""

    name: str
    memory: int


class Hardware(Struct, frozen=True):
    """What torch finds. `cuda` is the CUDA version that it was built for, None for a build without."""

    torch: str
    cuda: str | None
    chosen: str
    precision: str
    reason: str
    threads: int
    devices: tuple[Device, ...] = ()
    mps: bool = False


def examine(config: RunConfig, runs_dir: Path) -> list[Finding]:
    """Try everything that a run of `config` in `runs_dir` needs. Takes seconds; nothing is left behind."""
    tried: list[Callable[[], list[Finding]]] = [
        _device,
        _memory,
        lambda: _disk(runs_dir),
        lambda: _model(config),
        _network,
    ]
    return [finding for each in tried for finding in each()]


def _device() -> list[Finding]:
    try:
        hardware = _hardware()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        reason = str(error).strip().splitlines()
        return [
            Finding(
                "torch", "fails", f"can't be used: {reason[-1] if reason else type(error).__name__}"[:300],
                "Install it again: pip install --force-reinstall torch.",
            )
        ]  # fmt: skip
    build = f"built for CUDA {hardware.cuda}" if hardware.cuda else "built without CUDA"
    findings = [Finding("torch", "works", f"{hardware.torch}, {build}, {hardware.threads} threads")]
    findings += [Finding("GPU", "works", f"{gpu.name}, {gpu.memory / 1e9:.0f} GB") for gpu in hardware.devices]
    if not hardware.devices:
        findings.append(_no_gpu(hardware))
    text = f"computes on {hardware.chosen} in {hardware.precision}: {hardware.reason}"
    slow = "" if hardware.precision != "fp32" else "Matrix products in fp32 take about twice as long; nothing to do."
    return [*findings, Finding("device", "works", text, slow)]


def _no_gpu(hardware: Hardware) -> Finding:
    if hardware.mps:
        return Finding("GPU", "works", "Apple's MPS")
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if driver and hardware.cuda is None:
        return Finding(
            "GPU", "limited", "there is an NVIDIA driver, and this torch is built without CUDA",
            "Install a build with CUDA: see pytorch.org/get-started.",
        )  # fmt: skip
    if driver:
        return Finding(
            "GPU", "limited", "there is an NVIDIA driver, and torch finds no GPU",
            "Look at nvidia-smi, at CUDA_VISIBLE_DEVICES, and whether the driver is new enough for this torch.",
        )  # fmt: skip
    return Finding("GPU", "works", "none here; a small model on small data needs none")


def _hardware() -> Hardware:
    done = subprocess.run(
        [sys.executable, "-P", "-m", HARDWARE],
        capture_output=True,
        timeout=HARDWARE_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise ValueError(done.stderr.decode(errors="replace") or f"exit code {done.returncode}")
    return msgspec.json.decode(done.stdout, type=Hardware)


def _memory() -> list[Finding]:
    memory, cores = psutil.virtual_memory(), os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    text = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    enough = memory.available >= LEAST_MEMORY
    hint = "" if enough else "A fine-tuning of the default model takes 1 to 3 GB: close other programs."
    return [
        Finding("processor", "works", f"{usable} of {cores} cores may be used"),
        Finding("memory", "works" if enough else "limited", text, hint),
    ]


def _disk(runs_dir: Path) -> list[Finding]:
    folder = runs_dir.absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    elsewhere = "Choose another place with --runs-dir or $BERTQA_RUNS_DIR."
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryDirectory(prefix=".bertqa-doctor-", dir=folder) as made:
            locks = _tries_files(Path(made))
    except OSError as error:
        return [Finding("disk", "fails", f"{folder}: can't be written: {error.strerror or error}", elsewhere)]
    findings = [
        Finding("disk", "works" if free >= LEAST_DISK else "limited", f"{folder}: {free / 1e9:.1f} GB free",
                "" if free >= LEAST_DISK else elsewhere)
    ]  # fmt: skip
    if not locks:
        findings.append(
            Finding("locks", "limited", "this file system has no locks: ownership of a run goes by its heartbeat")
        )
    return findings


def _tries_files(folder: Path) -> bool:
    """Write, rename and lock a file; whether there are locks. Raises OSError."""
    path = folder / "probe"
    path.write_bytes(b"probe")
    path.rename(folder / "renamed")
    with (folder / "renamed").open("r+b") as file:
        os.fsync(file.fileno())
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
                return False
            raise
    return True


def _model(config: RunConfig) -> list[Finding]:
    try:
        files = locate_model(config)
    except UserError as error:
        return [Finding("model", "fails", error.message, error.hint)]
    size = sum(file.stat().st_size for file in files.weights)
    return [Finding("model", "works", f"{files.name}: {size / 1e6:.0f} MB in {files.path}")]


def _network() -> list[Finding]:
    address = os.environ.get("HF_ENDPOINT") or HUB
    if os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "TRUE"):
        return [Finding("network", "limited", "HF_HUB_OFFLINE is set: models come from the Hub's cache alone")]
    needless = "Only a model that is not on this machine needs it. Behind a proxy, set HTTPS_PROXY."
    try:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - the user's own setting
        with urllib.request.urlopen(request, timeout=NETWORK_SECONDS):  # noqa: S310
            pass
    except urllib.error.HTTPError:
        pass  # it answers
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return [Finding("network", "limited", f"{address} is not reached: {reason}", needless)]
    return [Finding("network", "works", f"{address} answers")]

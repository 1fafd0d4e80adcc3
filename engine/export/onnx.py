"""The model as an ONNX file, made and checked by a process of its own, since only that may load torch."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.errors import ExitCode, UsageError, UserError
from engine.export.kinds import Request, Tell
from engine.export.whole_folder import whole_file
from engine.rundir.checkpoints import KeptWeights, find_weights
from engine.rundir.layout import RunDir
from engine.rundir.privacy import scrub

PROCESS = "engine.learning.onnx_export"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4
"""Largest difference of a logit from torch's in float32."""
WINDOWS = 200
"""How many windows of the run's eval set are compared."""
LARGEST = 1_900_000_000
"""Bytes of weights that fit into one ONNX file, which holds at most 2 GiB."""
ROOM = 2.5
"""Free space that is asked for, in sizes of the weights: the file and the exporter's copy of it."""


class Progress(Struct, frozen=True, tag=True):
    """What the process does now."""

    line: str


class Checked(Struct, frozen=True, tag=True):
    """The file is written and was compared. Speeds are windows a second over the same padded batches, on a CPU with as
    many threads."""

    windows: int
    difference: float
    torch_speed: float
    onnxruntime_speed: float
    threads: int

    @property
    def line(self) -> str:
        """What was found, for the user."""
        return (
            f"ONNX: logits of {self.windows} windows differ from torch's by at most {self.difference:.1e} (fp32, "
            f"limit {TOLERANCE:.0e}); torch {self.torch_speed:.1f}, onnxruntime {self.onnxruntime_speed:.1f} windows/s "
            f"({self.onnxruntime_speed / self.torch_speed:.2f}×, the same batches, {self.threads} threads)"
        )


class Refused(Struct, frozen=True, tag=True):
    """The process ended by a fault that is explained."""

    message: str
    hint: str
    exit_code: int


Answer = Progress | Checked | Refused


def write(request: Request) -> list[str]:
    """Write the file `request.path`. Raises UsageError, DataError, WriteError, UserError."""
    check_installed()
    weights = find_weights(request.run, request.snapshot or "best")
    with whole_file(request.path, room_for(weights)) as making:
        line = export_onnx(request.run, weights, making, request.tell)
    return [line, f"weights of {weights.label}"]


def check_installed() -> None:
    """Raise UsageError where the extra `onnx` is not installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"an ONNX export needs {', '.join(missing)}.", hint="Install the extra: pip install 'bertqa-tui[onnx]'."
        )


def room_for(weights: KeptWeights) -> int:
    """Bytes that an ONNX export of these weights needs for a while."""
    return int(ROOM * sum(entry.size for entry in weights.manifest.model_files.values()))


def export_onnx(run: RunDir, weights: KeptWeights, target: Path, tell: Tell) -> str:
    """Write the ONNX file `target` and compare it with torch; returns what was found. `target` may be left half made
    where this raises UserError."""
    size = sum(entry.size for name, entry in weights.manifest.model_files.items() if name.endswith(".safetensors"))
    if size > LARGEST:
        raise UsageError(f"the weights take {size / 1e9:.1f} GB, and an ONNX file holds 2 GB.")
    answer: Answer | None = None
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            # -P: a folder named datasets/ where the user stands must not be importable.
            [sys.executable, "-P", "-m", PROCESS, str(run.path), str(weights.folder), str(target)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    answer = msgspec.json.decode(line, type=Answer)
                    if isinstance(answer, Progress):
                        tell(answer.line)
            except BaseException:
                process.kill()
                raise
        if isinstance(answer, Checked):
            return answer.line
        if isinstance(answer, Refused):
            raise _refusal(answer)
        errors.seek(0)
        last = scrub((errors.read().decode("utf-8", "replace").strip().splitlines() or ["no reason given"])[-1])
    raise UserError(f"the ONNX export broke off (exit code {process.returncode}): {last[:300]}.")


def _refusal(answer: Refused) -> UserError:
    error = UserError(answer.message, hint=answer.hint)
    error.exit_code = ExitCode(answer.exit_code)
    return error

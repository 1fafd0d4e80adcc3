"""`bertqa-tui serve` as a process, for tests and for the README's picture."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOKEN = "a-token-for-the-tests"
HAS_KEYS = "document.activeElement?.classList.contains('xterm-helper-textarea')"
"""In the page: whether the terminal shows something and has the keys."""


@contextmanager
def serve(run: Path, state: Path, *options: str) -> Iterator[list[str]]:
    """Serve a run on any free port, with the user's state in the folder `state`; the lines that it says."""
    command = [sys.executable, "-m", "tui.cli", "serve", str(run), "--port", "0", "--token", TOKEN, *options]
    environment = os.environ | {"XDG_STATE_HOME": str(state)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    try:
        assert process.stdout is not None
        yield [process.stdout.readline().strip() for _ in range(3)]
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
    assert not complaints, complaints

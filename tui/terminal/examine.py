"""What the terminal can show, for `bertqa-tui doctor`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from engine.doctor import Finding

SMALLEST = (80, 24)
TMUX_SECONDS = 2.0
COLOURS = {"truecolor": "16.8 million colours", "256": "256 colours", "standard": "16 colours"}


def examine_terminal(environ: Mapping[str, str] = os.environ, *, size: tuple[int, int] | None = None) -> list[Finding]:
    """Size, colours, encoding, and what is between the terminal and us (tmux, SSH). `size` stands in for the
    terminal's own (columns, rows)."""
    if not sys.stdout.isatty():
        return [Finding("terminal", "limited", "standard output is no terminal: runs are shown line by line")]
    if environ.get("TERM", "dumb") == "dumb":
        return [Finding("terminal", "limited", "TERM=dumb: runs are shown line by line", "Set TERM to what it is.")]
    return [_size(size or shutil.get_terminal_size(SMALLEST)), _colours(environ), _encoding(), *_between(environ)]


def _size(size: tuple[int, int]) -> Finding:
    columns, rows = size
    if columns >= SMALLEST[0] and rows >= SMALLEST[1]:
        return Finding("size", "works", f"{columns}×{rows}")
    return Finding("size", "limited", f"{columns}×{rows}", "Screens are made for 80×24 and more.")


def _colours(environ: Mapping[str, str]) -> Finding:
    from rich.console import Console

    system = Console(force_terminal=True).color_system
    if environ.get("NO_COLOR") or system is None:
        return Finding("colours", "works", "none: nothing is shown by colour alone")
    return Finding("colours", "works", COLOURS.get(system, system))


def _encoding() -> Finding:
    name = (sys.stdout.encoding or "ascii").lower()
    if name.replace("-", "") == "utf8":
        return Finding("encoding", "works", "UTF-8")
    return Finding("encoding", "limited", name, "Set LANG to a UTF-8 locale such as C.UTF-8, or use --ascii.")


def _between(environ: Mapping[str, str]) -> list[Finding]:
    findings = []
    if environ.get("TMUX"):
        clipboard = _tmux_option("set-clipboard")
        reaches = clipboard in ("on", "external")
        findings.append(
            Finding(
                "tmux", "works" if reaches else "limited", f"set-clipboard is {clipboard or 'unknown'}",
                "" if reaches else "For c to reach your clipboard: tmux set -g set-clipboard on.",
            )
        )  # fmt: skip
    if environ.get("SSH_CONNECTION"):
        findings.append(Finding("SSH", "works", "only the cells that change are sent"))
    return findings


def _tmux_option(name: str) -> str:
    try:
        done = subprocess.run(
            ["tmux", "show-options", "-gv", name], capture_output=True, text=True, timeout=TMUX_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()

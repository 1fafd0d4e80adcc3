"""Whether the terminal's background is light: asked of the terminal itself, before the app takes it over."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import threading
import time
import tty

PATIENCE = 1.0
"""Seconds. An answer that came later would be taken for keys; every terminal in use answers the second question."""
ASK = b"\x1b]11;?\x1b\\\x1b[c"
"""What is the background (OSC 11)? And, since some terminals pass over that: who are you (DA1)?"""
COLOUR = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")
IDENTITY = re.compile(rb"\x1b\[\?[0-9;]*c")


class Background:
    """Asks in a thread, so that the rest of a start goes on meanwhile."""

    def __init__(self) -> None:
        self._light: bool | None = None
        self._thread = threading.Thread(target=self._ask, name="ask-background", daemon=True)
        self._thread.start()

    def is_light(self) -> bool | None:
        """The answer; None where the terminal gave none."""
        self._thread.join()
        return self._light

    def _ask(self) -> None:
        try:
            self._light = parse_answer(_answer(sys.stdin.fileno(), sys.stdout.fileno()))
        except (OSError, ValueError, termios.error):
            return


def is_worth_asking() -> bool:
    """Whether the theme depends on the answer, and a terminal is there to give it."""
    stated = os.environ.get("NO_COLOR") or os.environ.get("COLORFGBG")
    return not stated and os.environ.get("TERM", "dumb") not in ("dumb", "linux")


def parse_answer(answer: bytes) -> bool | None:
    """Whether the colour in the terminal's answer is light (relative luminance by ITU-R BT.601); None without one."""
    found = COLOUR.search(answer)
    if found is None:
        return None
    red, green, blue = (int(part, 16) / int("f" * len(part), 16) for part in found.groups())
    return 0.299 * red + 0.587 * green + 0.114 * blue > 0.5


def _answer(source: int, target: int) -> bytes:
    settings = termios.tcgetattr(source)
    answer = b""
    try:
        tty.setcbreak(source, termios.TCSANOW)
        os.write(target, ASK)
        end = time.monotonic() + PATIENCE
        while not IDENTITY.search(answer) and (left := end - time.monotonic()) > 0 and len(answer) < 4096:
            if select.select([source], [], [], left)[0]:
                answer += os.read(source, 256)
    finally:
        termios.tcsetattr(source, termios.TCSANOW, settings)
    return answer

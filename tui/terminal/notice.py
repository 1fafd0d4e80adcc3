"""A notice of the desktop through the terminal, for whoever looks elsewhere while a run ends."""

from __future__ import annotations

import os
from collections.abc import Mapping


def notice(title: str, text: str, environ: Mapping[str, str] = os.environ) -> str:
    """What makes a terminal ring its bell and show a notice: BEL, OSC 9 (iTerm2, Windows Terminal, kitty, WezTerm)
    and OSC 777 (urxvt, foot, Ghostty). A terminal that knows neither shows nothing.

    `title` and `text` are harmless already. tmux passes on what is wrapped for it, where `allow-passthrough` is on,
    and rings its own bell.
    """
    head, body = (part.replace(";", ",") for part in (title, text))
    sequences = f"\x1b]9;{head}: {body}\x1b\\\x1b]777;notify;{head};{body}\x1b\\"
    if environ.get("TMUX"):
        sequences = "".join(
            f"\x1bPtmux;{part.replace(chr(27), chr(27) * 2)}\x1b\\"
            for part in (f"\x1b]9;{head}: {body}\x07", f"\x1b]777;notify;{head};{body}\x07")
        )
    return f"\a{sequences}"

"""What must not stand in logs: the user's home folder and secrets."""

from __future__ import annotations

import os
import re
from functools import lru_cache

_KNOWN_SHAPES = r"hf_[A-Za-z0-9]{16,}|(?:sk|gh[opsu]|glpat)[-_][A-Za-z0-9_-]{16,}"
_SECRET_NAMES = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|API_KEY)$")
_SHORTEST_SECRET = 8


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    secrets = {
        value
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAMES.search(name.upper())
    }
    found = re.compile("|".join([_KNOWN_SHAPES, *(re.escape(value) for value in sorted(secrets, key=len)[::-1])]))
    home = os.path.expanduser("~").rstrip("/")
    return found, re.compile(r"(?<![\w.~-])" + re.escape(home) + r"(?![^/\s\"':;,)\]])") if len(home) > 1 else None


def scrub(text: str) -> str:
    """`text` with the home folder as `~`, and with access tokens (by their shape, or by the environment) as `***`."""
    secrets, home = _patterns()
    text = secrets.sub("***", text)
    return home.sub("~", text) if home is not None else text

"""Child processes whose lines are not counted: on Python 3.11 counting doubles their time, their imports' too.

For those that run nothing of ours, and for those that start in many tests what others count.
"""

from __future__ import annotations

import os

import pytest


def uncounted_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not _counts(name)}


def count_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be counted of what the test starts from here on."""
    for name in filter(_counts, list(os.environ)):
        monkeypatch.delenv(name)


def _counts(name: str) -> bool:
    return name.startswith("COVERAGE_")

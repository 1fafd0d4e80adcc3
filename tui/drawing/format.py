"""Numbers as short texts."""

from __future__ import annotations

import math


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def value_text(value: float | None, style: str) -> str:
    """A value as a short text of at most 7 characters."""
    if value is None or not math.isfinite(value):
        return "-"
    if style == "bytes":
        for unit in ("B", "KiB", "MiB", "GiB"):
            if abs(value) < 1024 or unit == "GiB":
                return f"{value:.0f}{unit}" if value >= 100 or unit == "B" else f"{value:.1f}{unit}"
            value /= 1024
    if style == "count":
        for unit, size in (("M", 1e6), ("k", 1e3)):
            if abs(value) >= size:
                return f"{value / size:.1f}{unit}"
        return f"{value:.0f}"
    if style == "rate":
        return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-") if value < 1e-2 else f"{value:.3f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"

"""EM and F1 over the epochs of a run as an SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from engine.events import metric_table
from engine.rundir.snapshot import SnapshotInfo

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 48, 84, 20, 44
LINES = (("f1", "#0b6bcb", "", "●"), ("exact_match", "#b3560b", "7 4", "■"))
"""Metric, colour, dashes and mark: the lines differ without colour too."""


def curve_svg(infos: Sequence[SnapshotInfo], chosen: SnapshotInfo) -> str:
    """The picture of snapshots in the order of time; the epoch of `chosen` is marked."""
    last = float(max(info.epoch for info in infos)) or 1.0
    table = metric_table()

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * epoch / last

    def y(percent: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * percent / 100

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>EM and F1 of the eval set over the epochs of training</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for percent in range(0, 101, 20):
        parts.append(
            f'<path d="M{LEFT} {y(percent):.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 8}" y="{y(percent) + 4:.1f}" text-anchor="end" fill="#333333">{percent}</text>'
        )
    for tick in _ticks(last):
        parts.append(
            f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#333333">{tick}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="#333333">epoch</text>'
        f'<path d="M{x(chosen.epoch):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#777777" stroke-dasharray="2 3"/>'
        f'<text x="{x(chosen.epoch):.1f}" y="{TOP - 6}" text-anchor="middle" fill="#333333">'
        f"{escape(chosen.label)}</text>"
    )
    ends: list[float] = []
    for name, colour, dashes, mark in LINES:
        values = [(info.epoch, float(getattr(info.metrics, name))) for info in infos]
        points = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in values)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>')
        for epoch, value in values:
            parts.append(
                f'<text x="{x(epoch):.1f}" y="{y(value) + 3:.1f}" font-size="9" text-anchor="middle" fill="{colour}">'
                f"{mark}</text>"
            )
        # Two labels need a line each, however close the ends lie.
        at = y(values[-1][1]) + 4
        if any(abs(end - at) < 14 for end in ends):
            at = ends[-1] + 14
        ends.append(at)
        text = f"{mark} {table[name].text(values[-1][1])}"
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{at:.1f}" fill="{colour}">{text}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _ticks(last: float) -> list[int]:
    """At most eleven whole epochs from 0 on."""
    step = max(1, -(-int(last) // 10))
    return list(range(0, int(last) + 1, step))

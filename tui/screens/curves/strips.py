"""Curves as lines of text: panels with a title, the values at the cursor, an axis, and levels to compare with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from tui.drawing.canvas import BRAILLE, CanvasCell, Stroke, draw
from tui.drawing.columns import fit_text
from tui.drawing.format import clock, value_text
from tui.drawing.frame import ASCII, UNICODE, ChartCell, Glyphs, floor, gutter, runs
from tui.drawing.theme import StyleOf
from tui.screens.curves.model import ROLES, Axis, Curves, Line, Panel, thin
from tui.screens.curves.zoom import path_on, values_on, within

GUTTER = 8
MARGIN = 2
LEAST_WIDTH, LEAST_HEIGHT = 34, 6
MOST_WIDTH = 100
MARKS_ALONG = 5
SAMPLED = "~"
"""Marks values of a sample."""


@dataclass(frozen=True)
class CurveGlyphs:
    """`line` marks joined values: BRAILLE, or one character; `sample` is a piece of it; `points` by role."""

    line: str
    sample: str
    points: tuple[str, str, str]
    level: str
    edge: str = ":"


CURVE_GLYPHS = {
    UNICODE: CurveGlyphs(line=BRAILLE, sample="⣀⣀", points=("o", "x", "+"), level="╌", edge="·"),
    ASCII: CurveGlyphs(line=".", sample="..", points=("o", "x", "+"), level="="),
}


@dataclass(frozen=True)
class Grid:
    """Panels `first` to `last - 1`, in `across` columns of panels, each `width` × `height` cells."""

    first: int
    last: int
    across: int
    width: int
    height: int


def share_grid(panels: int, chosen: int, width: int, height: int, *, zoomed: bool) -> Grid:
    """Room for as many panels as are readable; the page that holds panel `chosen`, or that panel alone."""
    if zoomed or panels <= 1:
        return Grid(chosen, min(panels, chosen + 1), 1, width, height)
    across = max(1, min(3, width // LEAST_WIDTH, panels))
    while across < 3 and width // across > MOST_WIDTH:
        across += 1
    down = max(1, min(height // LEAST_HEIGHT, -(-panels // across)))
    room = across * down
    first = chosen // room * room
    return Grid(first, min(panels, first + room), across, width // across, height // down)


def grid_strips(
    curves: Curves,
    chosen: int,
    step: float | None,
    width: int,
    height: int,
    style: StyleOf,
    glyphs: Glyphs = UNICODE,
    *,
    zoomed: bool = False,
) -> list[Strip]:
    """`height` lines with the panels that fit. `step` is the snapshot in view: a guide stands on it, and the
    titles show its values."""
    grid = share_grid(len(curves.panels), chosen, width, height, zoomed=zoomed)
    strips: list[Strip] = []
    for first in range(grid.first, grid.last, grid.across):
        row = [
            panel_strips(
                curves,
                curves.panels[number],
                step,
                grid.width,
                grid.height,
                style,
                glyphs,
                chosen=number == chosen and grid.last - grid.first > 1,
            )
            for number in range(first, min(first + grid.across, grid.last))
        ]
        strips += [Strip.join(parts).adjust_cell_length(width) for parts in zip(*row, strict=True)]
    if grid.last - grid.first < len(curves.panels) and not zoomed and len(strips) < height:
        words = f"  charts {grid.first + 1} to {grid.last} of {len(curves.panels)}: up and down show the others"
        strips.append(Strip([Segment(fit_text(words, width), style("dim"))]))
    return strips[:height] + [Strip.blank(width)] * (height - len(strips))


def panel_strips(
    curves: Curves,
    panel: Panel,
    step: float | None,
    width: int,
    height: int,
    style: StyleOf,
    glyphs: Glyphs = UNICODE,
    *,
    chosen: bool = False,
) -> list[Strip]:
    """One panel, `height` lines of `width` cells: title, canvas, axis."""
    columns, rows = max(1, width - GUTTER - MARGIN), max(1, height - 2)
    x_limits = curves.x_limits
    drawn = panel if curves.window is None else within(panel, x_limits)
    low, high = drawn.y_limits
    key = panel.name, columns, rows, CURVE_GLYPHS[glyphs].line
    if key not in curves.canvases:
        strokes, roles = _strokes(panel, x_limits, columns, glyphs)
        curves.canvases[key] = roles, draw(strokes, columns, rows, x_limits, (low, high))
    roles, cells = curves.canvases[key]
    guide = _column(step, x_limits, columns) if step is not None and x_limits[0] <= step <= x_limits[1] else -1
    levels = {_row(level.y, low, high, rows): level.name for level in panel.levels if low <= level.y <= high}
    strips = [_title(panel, step, width, style, glyphs, chosen=chosen)]
    for number, row in enumerate(cells):
        label = _label(number, rows, drawn)
        line = _with_level(row, roles, levels.get(number), guide, glyphs)
        strips.append(Strip([*gutter(label, GUTTER, style, glyphs), *runs(line, style)]).adjust_cell_length(width))
    if drawn.empty and rows:
        words = fit_text("no values yet" if panel.empty else "no values here", columns)
        middle = Strip([*gutter("", GUTTER, style, glyphs), Segment(words, style("dim"))])
        strips[1 + rows // 2] = middle.adjust_cell_length(width)
    strips.append(_floor(x_limits, curves.axis, guide, columns, width, style, glyphs))
    return strips[:height] + [Strip.blank(width)] * (height - len(strips))


def _with_level(
    row: Sequence[CanvasCell], roles: Sequence[str], name: str | None, guide: int, glyphs: Glyphs
) -> list[ChartCell]:
    """A row of the canvas; where curves leave room, a level (with its name at the end if that fits) and the guide."""
    columns = len(row)
    tail = f" {name}" if name else ""
    if any(cell.char != " " for cell in row[columns - len(tail) :]):
        tail = ""
    line: list[ChartCell] = []
    for column, cell in enumerate(row):
        if cell.stroke >= 0 and cell.char != " ":
            line.append((cell.char, roles[cell.stroke]))
        elif name and column >= columns - len(tail):
            line.append((tail[column - columns + len(tail)], "level"))
        elif name and column % 2 == 0:
            line.append((CURVE_GLYPHS[glyphs].level, "level"))
        elif column == guide:
            line.append((glyphs.guide, "dim"))
        else:
            line.append((" ", ""))
    return line


def _strokes(
    panel: Panel, x_limits: tuple[float, float], columns: int, glyphs: Glyphs
) -> tuple[list[Stroke], list[str]]:
    """Lines first, their points over them; and the role of each stroke. A joined line of several runs carries its mark
    some times along the way, for colour alone does not tell it apart."""
    strokes: list[Stroke] = []
    roles: list[str] = []
    own = CURVE_GLYPHS[glyphs]
    for line in panel.lines:
        if line.sample:
            continue
        few = thin(path_on(line, x_limits), x_limits, columns)
        strokes.append(Stroke(few.x.tolist(), few.y.tolist(), own.edge if line.edge else own.line, joined=True))
        roles.append(line.role)
    for number, line in enumerate(panel.lines):
        inside = values_on(line, x_limits)
        marked = inside if line.points else _some(inside, number)
        if line.points or (line.mark and not line.edge):
            strokes.append(Stroke(marked.x.tolist(), marked.y.tolist(), sign_of(line, glyphs), joined=False))
            roles.append(line.role)
    return strokes, roles


def _some(line: Line, number: int) -> Line:
    """About MARKS_ALONG values of a line, which differ from line to line."""
    apart = max(1, len(line.x) // MARKS_ALONG)
    first = min(number * apart // 3 % apart, max(0, len(line.x) - 1))
    return replace(line, x=line.x[first::apart], y=line.y[first::apart])


def sign_of(line: Line, glyphs: Glyphs) -> str:
    """What stands for a line in its title and on its values."""
    own = CURVE_GLYPHS[glyphs]
    if line.sample:
        return SAMPLED
    return line.mark or (own.points[ROLES.index(line.role)] if line.points else own.sample)


def _title(panel: Panel, step: float | None, width: int, style: StyleOf, glyphs: Glyphs, *, chosen: bool) -> Strip:
    segments = [
        Segment(f"{glyphs.pointer} " if chosen else "  "),
        Segment(panel.name, style("cursor" if chosen else "heading")),
    ]
    sampled = {line.name for line in panel.lines if line.sample and step in line.x}
    for line in panel.lines:
        if line.edge or line.sample != (line.name in sampled):
            continue
        name = f"{line.name} " if line.name else ""
        value = value_text(panel.real(value_at(line, step)), panel.style)
        gap = " " if line.mark else "  "
        segments.append(Segment(f"{gap}{sign_of(line, glyphs)} ", style(line.role)))
        segments.append(Segment(f"{name}{value}", style("text")))
    used = sum(segment.cell_length for segment in segments)
    for level in panel.levels:
        words = f" {level.name} {value_text(panel.real(level.y), panel.style)}"
        if used + 3 + len(words) <= width:
            segments += [Segment(f"  {CURVE_GLYPHS[glyphs].level}", style("level")), Segment(words, style("text"))]
            used += 3 + len(words)
    if panel.unit and used + 2 + len(panel.unit) <= width:
        segments.append(Segment(f"  {panel.unit}", style("dim")))
    return Strip(segments).adjust_cell_length(width)


def value_at(line: Line, step: float | None) -> float | None:
    """The line's last value not after `step` (None: its very last)."""
    if step is None:
        return line.last
    before = int((line.x <= step).sum())
    return float(line.y[before - 1]) if before else None


def _label(row: int, rows: int, panel: Panel) -> str:
    """The axis is labelled at its ends, and in the middle where there is room."""
    if row not in ({0, rows - 1} | ({rows // 2} if rows % 2 and rows >= 5 else set())):
        return ""
    low, high = panel.y_limits
    value = high - (high - low) * row / max(1, rows - 1) if rows > 1 else high
    return value_text(panel.real(value), panel.style)


def _row(value: float, low: float, high: float, rows: int) -> int:
    return rows - 1 - int(0.5 + (rows - 1) * (value - low) / (high - low))


def _column(value: float, limits: tuple[float, float], columns: int) -> int:
    low, high = limits
    return int(0.5 + (columns - 1) * (value - low) / (high - low))


def moved(
    value: float, by: int, limits: tuple[float, float], columns: int, extent: tuple[float, float] | None = None
) -> float:
    """The place on the x axis `by` columns right of the one of `value`, inside the axis (`limits`, or `extent` where
    those are a part of it)."""
    low, high = limits
    place = low + (high - low) * (_column(value, limits, columns) + by) / max(1, columns - 1)
    first, last = extent or limits
    return max(first, min(place, last))


def x_number(value: float, axis: Axis) -> str:
    """A place on the x axis, without its unit."""
    match axis:
        case "step":
            return f"{value:.0f}"
        case "epoch":
            return f"{value:.2f}".rstrip("0").rstrip(".")
        case "time":
            return clock(value)


def range_text(limits: tuple[float, float], axis: Axis) -> str:
    """A stretch of the x axis, for example `steps 120 to 480`."""
    unit = {"step": "steps ", "epoch": "epochs ", "time": ""}[axis]
    return f"{unit}{x_number(limits[0], axis)} to {x_number(limits[1], axis)}"


def x_text(value: float, axis: Axis) -> str:
    """A place on the x axis, with its unit."""
    match axis:
        case "step":
            return f"{value:.0f} steps"
        case "epoch":
            return f"{value:.1f}".removesuffix(".0") + " epochs"
        case "time":
            return clock(value)


def _floor(
    x_limits: tuple[float, float],
    axis: Axis,
    guide: int,
    columns: int,
    width: int,
    style: StyleOf,
    glyphs: Glyphs,
) -> Strip:
    """The axis, with its range written into it."""
    line = glyphs.floor * columns
    words = x_text(x_limits[1], axis)
    end = guide if guide >= columns - len(words) else columns
    if end > len(words):
        line = line[: end - len(words)] + words + line[end:]
    first = x_number(x_limits[0], axis)
    if guide < 0 or guide >= len(first):
        line = first + line[len(first) :]
    text = (" " * (GUTTER - 1) + glyphs.corner + line).ljust(width)
    return Strip(floor(text, GUTTER + guide if guide >= 0 else -1, style, glyphs)).adjust_cell_length(width)


def legend_strips(
    runs: Sequence[tuple[str, str, str]], words: str, width: int, height: int, style: StyleOf
) -> list[Strip]:
    """Which mark and colour is whose (mark, role and label of each line, wrapped), and below it `words`."""
    lines: list[list[Segment]] = [[]]
    for mark, role, label in runs:
        text = f"{label}   "
        used = sum(segment.cell_length for segment in lines[-1])
        if lines[-1] and used + 3 + cell_len(text) > width:
            lines.append([])
        lines[-1] += [Segment(f" {mark} ", style(role)), Segment(text, style("text"))]
    strips = [Strip(line) for line in lines if line]
    if words:
        strips = [*strips[: height - 1], Strip([Segment(fit_text(f" {words}", width), style("dim"))])]
    return [strip.adjust_cell_length(width) for strip in strips[:height]]

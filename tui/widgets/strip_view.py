"""A widget that shows lines made elsewhere and sends only the parts of them that changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.terminal.ascii_filter import AsciiFilter

_PLAIN = Style.null()
JUMP_BYTES = 18
"""Cells that stayed are sent again where they take fewer bytes than the cursor's jump past them, with the style."""

Cell = tuple[str, Style]

BLACK = Color(0, 0, 0)
"""What a filter is given as the background; the guard does not look at it."""


class StripView(Widget):
    """Shows what `build` makes. `redraw` builds again and refreshes the stretches of each row that differ, nothing
    else.

    Textual does not compare frames: a plain refresh sends the whole widget again, which a slow link shows. Its way
    from a widget to the screen would also paint a background behind every segment; lines go out as they are.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Strip] = []
        self._built_for = (0, 0)

    def build(self, width: int, height: int) -> Sequence[Strip]:
        """The lines to show, at most `height` of `width` cells."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw what changed."""
        width, height = self.size
        if not width or not height or not self.is_on_screen:
            self._built_for = (0, 0)  # built when it is seen
            return
        fresh = self._built_for == (width, height)
        lines = self._build(width, height)
        for y in range(height):
            for lo, hi in changed_stretches(self._lines[y], lines[y]) if fresh else [(0, width)]:
                self.refresh(Region(lo, y, hi - lo, 1))
        self._lines = lines

    def _build(self, width: int, height: int) -> list[Strip]:
        self._built_for = (width, height)
        lines = [merge_blanks(line.adjust_cell_length(width)) for line in list(self.build(width, height))[:height]]
        return [guarded(line, self) for line in lines] + [Strip.blank(width)] * (height - len(lines))

    @property
    def is_on_screen(self) -> bool:
        return self.is_mounted and self.display

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines inside `crop`, for the compositor."""
        if self._built_for != tuple(self.size):
            self._lines = self._build(*self.size)
        blank = Strip.blank(self.size.width)
        lines = [self._lines[y] if y < len(self._lines) else blank for y in range(crop.y, crop.bottom)]
        if crop.column_span == (0, self.size.width):
            return lines
        return [line.crop(crop.x, crop.right) for line in lines]


def ascii_guard(widget: Widget) -> AsciiFilter | None:
    """The filter that every line has to pass, where the app draws with ASCII alone."""
    return next((guard for guard in widget.get_line_filters() if isinstance(guard, AsciiFilter)), None)


def guarded(strip: Strip, widget: Widget) -> Strip:
    """A line of `widget` as it may be shown: lines that a widget makes itself go past Textual's filters."""
    guard = ascii_guard(widget)
    return strip if guard is None else Strip(guard.apply(list(strip), BLACK), strip.cell_length)


def merge_blanks(strip: Strip) -> Strip:
    """The same picture in fewer segments: blanks take the style of what stands beside them where it can't be seen."""
    segments: list[Segment] = []
    for text, style, _ in strip:
        look = style or _PLAIN
        if segments:
            before, its_look = segments[-1].text, segments[-1].style or _PLAIN
            unseen = _unseen_on_blanks(look) and _unseen_on_blanks(its_look)
            if look == its_look or (unseen and not text.strip(" ")):
                segments[-1] = Segment(before + text, its_look)
                continue
            if unseen and not before.strip(" "):
                segments[-1] = Segment(before + text, look)
                continue
        segments.append(Segment(text, look))
    return Strip(segments, strip.cell_length)


@lru_cache(maxsize=256)
def _unseen_on_blanks(style: Style) -> bool:
    return not (style.bgcolor or style.reverse or style.underline or style.strike or style.overline or style.blink)


def changed_stretches(before: Strip, after: Strip) -> list[tuple[int, int]]:
    """Stretches of cells, first and one past the last, in which two lines differ; wide characters are kept whole."""
    if before == after:
        return []
    old, new = _cells(before), _cells(after)
    if len(old) != len(new):
        return [(0, max(len(old), len(new)))]
    stretches: list[tuple[int, int]] = []
    for at in [n for n, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]:
        if stretches and sum(len(char.encode()) for char, _ in new[stretches[-1][1] : at]) < JUMP_BYTES:
            stretches[-1] = (stretches[-1][0], at + 1)
        else:
            stretches.append((at, at + 1))
    return stretches


def _cells(strip: Strip) -> list[Cell]:
    """Character and style of each cell; both cells of a wide character hold it, each with its own mark, so that one
    never changes without the other."""
    cells: list[Cell] = []
    for text, style, _ in strip:
        look = style or _PLAIN
        blank = (" ", _PLAIN if _unseen_on_blanks(look) else look)
        if text.isascii():
            cells += [blank if char == " " else (char, look) for char in text]
            continue
        for char in text:
            size = get_character_cell_size(char)
            if size == 1:
                cells.append(blank if char == " " else (char, look))
            elif size == 0 and cells:
                cells[-1] = (cells[-1][0] + char, look)
            else:
                cells += [(f"{char}{part}", look) for part in range(size)]
    return cells

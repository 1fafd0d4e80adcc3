"""The table that draws only the rows in view: layout, cursor, mouse, and what is sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style
from textual.app import App, ComposeResult
from textual.geometry import Region

from tui.drawing.columns import GAP, Column, fit_columns, fit_text
from tui.widgets.row_list import CellText, Row, RowList

COLUMNS = (
    Column("n", "#", 6, align="right"),
    Column("text", "text", 4, share=1),
    Column("wide", "w", 5, from_width=60),
)


class Rows(App[None]):
    def __init__(self, cells: Callable[[int], Row]) -> None:
        super().__init__()
        self.cells = cells
        self.moved: list[int] = []
        self.opened: list[int] = []
        self.headings: list[str] = []

    def compose(self) -> ComposeResult:
        yield RowList(COLUMNS, self.cells, lambda role: Style.null(), empty="nothing here")

    @property
    def rows(self) -> RowList:
        return self.query_one(RowList)

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        self.moved.append(event.row)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        self.opened.append(event.row)

    def on_row_list_heading_pressed(self, event: RowList.HeadingPressed) -> None:
        self.headings.append(event.column)

    def lines(self) -> list[str]:
        size = self.rows.size
        return [line.text.rstrip() for line in self.rows.render_lines(size.region)]


async def test_only_rows_in_view_are_asked_for() -> None:
    asked: list[int] = []

    def cells(row: int) -> Row:
        asked.append(row)
        return {"n": CellText(str(row)), "text": CellText(f"row {row}")}

    app = Rows(cells)
    async with app.run_test(size=(40, 10)) as pilot:
        app.rows.renew(10_570, 5_000)
        await pilot.pause()
        assert app.lines()[9] == "›   5000 row 5000"
        assert max(asked) <= 5_000
        assert len(set(asked)) <= 20
        app.rows.move(10_569)
        await pilot.pause()
        assert app.lines()[9].startswith("›  10569")
        assert app.moved == [10_569]
        assert len(set(asked)) <= 40


async def test_a_change_is_asked_for_once_a_row_and_drawn_in_its_place() -> None:
    words = ["old"] * 100
    app = Rows(lambda row: {"text": CellText(words[row])})
    async with app.run_test(size=(40, 10)) as pilot:
        app.rows.renew(100, 0)
        await pilot.pause()
        sent: list[object] = []
        refresh = app.rows.refresh

        def record(*regions: Region, **how: bool) -> Any:
            sent.append(regions)
            return refresh(*regions, **how)

        app.rows.refresh = record  # type: ignore[method-assign]
        words[3] = "new"
        app.rows.renew(100, 0)
        assert len(sent) == 1
        app.rows.renew(100, 2)
        assert len(sent) == 3, "the row left and the row entered"


async def test_mouse_moves_opens_and_sorts() -> None:
    app = Rows(lambda row: {"n": CellText(str(row))})
    async with app.run_test(size=(80, 10)) as pilot:
        app.rows.renew(50, 0)
        await pilot.pause()
        await pilot.click(RowList, offset=(5, 4))
        assert app.moved == [3]
        await pilot.click(RowList, offset=(5, 4))
        assert app.opened == [3]
        await pilot.click(RowList, offset=(3, 0))
        await pilot.click(RowList, offset=(12, 0))
        assert app.headings == ["n", "text"]
        await pilot.click(RowList, offset=(5, 9))
        assert app.rows.cursor == 8


async def test_no_rows_say_so() -> None:
    app = Rows(lambda row: {})
    async with app.run_test(size=(40, 5)) as pilot:
        app.rows.renew(0, 0)
        await pilot.pause()
        assert app.lines()[1] == "  nothing here"
        app.rows.open_row()
        app.rows.move(3)
        await pilot.pause()
        assert app.opened == app.moved == []


async def test_the_cursor_stays_in_view_when_the_size_changes() -> None:
    app = Rows(lambda row: {"n": CellText(str(row))})
    async with app.run_test(size=(40, 20)) as pilot:
        app.rows.renew(100, 18)
        await pilot.pause()
        await pilot.resize_terminal(40, 6)
        await pilot.pause()
        assert any(line.startswith("›     18") for line in app.lines())


columns = st.lists(
    st.builds(Column, st.just("c"), st.just("t"), st.integers(1, 20), st.integers(0, 4), from_width=st.integers(0, 90)),
    max_size=9,
)


@settings(deadline=None)
@given(columns, st.integers(0, 250))
def test_columns_fill_the_width_and_never_more(made: list[Column], width: int) -> None:
    fitted = fit_columns(made, width)
    taken = sum(wide for _, wide in fitted) + GAP * max(0, len(fitted) - 1)
    assert taken <= width
    if any(column.share for column, _ in fitted):
        assert taken == width
    assert all(wide >= column.width for column, wide in fitted)


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Mn", "Me", "Zl", "Zp"]), max_size=40),
    st.integers(0, 30),
)
def test_text_is_cut_to_whole_cells(text: str, width: int) -> None:
    for align in ("left", "right"):
        fitted = fit_text(text, width, align)
        assert cell_len(fitted) == width

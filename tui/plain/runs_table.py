"""All runs of a folder as a table."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tui.drawing.text import plain


def print_runs(runs_dir: Path, *, as_json: bool = False) -> None:
    """Print a table of all runs in `runs_dir`, or one JSON object for each."""
    from engine.rundir.removal import disk_use
    from tui.model.followed_runs import RunsFolder

    rows = [msgspec.structs.replace(row, size=disk_use(Path(row.path))) for row in RunsFolder(runs_dir).poll()]
    if as_json:
        for row in rows:
            print(msgspec.json.encode(row).decode())
        return
    if not rows:
        print(f"no runs in {plain(str(runs_dir))}; start one: bertqa-tui DATASET (sample data: bertqa-tui remedies)")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tui.drawing.format import value_text
    from tui.model.run_rows import apart_text, notes_text

    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    whole = {"run", "state", "epoch", "size"}  # the name is what one types
    for name in ("run", "state", "data", "model", "epoch", "best", "size"):
        table.add_column(name, overflow="fold", no_wrap=name in whole, min_width=5)
    for row in rows:
        best = f"{row.best:.3f}" if row.best is not None else "-"
        best += f" ({apart})" if (apart := apart_text(row)) else ""
        size = value_text(row.size, "bytes")
        cells = (row.name, row.state, row.dataset, row.model, f"{row.epoch:.1f}/{row.epochs}", best, size)
        table.add_row(*(Text(plain(str(cell))) for cell in cells))
    console = Console()
    console.print(table)
    for row in rows:
        if noted := " ".join(part for part in (row.title, notes_text(row)) if part):
            console.print(f"{plain(row.name)}: {plain(noted)}", markup=False, highlight=False, soft_wrap=True)
        if row.reason and row.state in ("dead", "failed", "silent"):
            console.print(f"{plain(row.name)}: {plain(row.reason)}", markup=False, highlight=False, soft_wrap=True)

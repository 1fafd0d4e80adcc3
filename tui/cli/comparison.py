"""How runs compare, in print: a row for each setting, and what the difference of the best two is worth."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec
from msgspec import Struct

from engine.insight.seed_spread import Spread
from engine.rundir.comparison import SCORES, Setting, difference, read_score, same_data, settings_of
from engine.rundir.layout import RunDir
from tui.drawing.text import plain

NAMES = {"exact_match": "EM", "f1": "F1"}
RULE = "95 % interval by Welch"
LABEL_LIMIT = 300


class SettingRecord(Struct, frozen=True):
    """A setting for programs: its runs, and mean, std, least and greatest of each score over seeds."""

    setting: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    exact_match: Spread | None
    f1: Spread | None


def print_comparison(runs: Sequence[RunDir], *, as_json: bool = False) -> None:
    """Print how `runs` compare after their last snapshot: a table and sentences, or one JSON object."""
    settings = settings_of(read_score(run) for run in runs)
    if as_json:
        print(msgspec.json.encode(_record(settings)).decode())
        return
    _print_table(settings)
    for line in sentences(settings):
        click.echo(plain(line, 2000))


def sentences(settings: Sequence[Setting]) -> list[str]:
    """What the table says, in words: which setting is better, by how much, and whether seeds alone explain it."""
    lines = [
        f"{run.name} is not finished ({run.state}, epoch {run.epoch:.1f} of {run.config.epochs}): its scores are "
        "those so far."
        for setting in settings
        for run in setting.runs
        if not run.whole
    ]
    if len(settings) < 2:
        return [*lines, *_alone(settings)]
    if not same_data(settings):
        return [*lines, "The runs are scored on different examples: their scores do not compare."]
    best, second = settings[:2]
    return [*lines, *(_verdict(best, second, score) for score in reversed(SCORES))]


def _alone(settings: Sequence[Setting]) -> list[str]:
    if not settings or (found := settings[0].spread("f1")) is None or found.std is None:
        return []
    return [f"The runs differ in their seed alone: F1 from {found.low:.1f} to {found.high:.1f}."]


def _verdict(best: Setting, second: Setting, score: str) -> str:
    name, found = NAMES[score], difference(best, second, score)
    if found is None:
        return f"{name}: not every setting has a score yet."
    ahead, behind = (best, second) if found.value >= 0 else (second, best)
    sign = 1 if found.value >= 0 else -1
    words = f"{name}: {ahead.label} is {abs(found.value):.1f} above {behind.label}"
    if found.low is None or found.high is None:
        return f"{words}. Whether that is more than seeds do is unknown with one seed: use --seeds 1,2,3."
    low, high = sorted((sign * found.low, sign * found.high))
    if found.beyond_spread:
        return f"{words}, more than the seeds' spread ({RULE}: {low:.1f} to {high:.1f})."
    return f"{words}, which is within the seeds' spread ({RULE}: {low:.1f} to {high:.1f}): no setting is shown better."


def _print_table(settings: Sequence[Setting]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    table.add_column("setting", overflow="fold")
    table.add_column("runs", justify="right")
    for name in NAMES.values():
        table.add_column(name, justify="right", no_wrap=True)
        table.add_column("least to greatest", justify="right")
    for setting in settings:
        cells = [setting.label or "the same", str(len(setting.runs))]
        for score in NAMES:
            found = setting.spread(score)
            cells += [spread_text(found), "-" if found is None else f"{found.low:.1f} to {found.high:.1f}"]
        table.add_row(*(Text(plain(cell, LABEL_LIMIT)) for cell in cells))
    Console().print(table)


def spread_text(found: Spread | None) -> str:
    """For example `81.2 ± 0.4`, mean and standard deviation."""
    if found is None:
        return "-"
    return f"{found.mean:.1f}" if found.std is None else f"{found.mean:.1f} ± {found.std:.1f}"


def _record(settings: Sequence[Setting]) -> dict[str, object]:
    """The comparison for programs. `differences` are of the first setting and each other one."""
    records = [
        SettingRecord(
            setting.label,
            tuple(run.name for run in setting.runs),
            tuple(sorted({run.config.seed for run in setting.runs})),
            setting.spread("exact_match"),
            setting.spread("f1"),
        )
        for setting in settings
    ]
    differences = [
        {
            "of": settings[0].label,
            "and": other.label,
            **{score: difference(settings[0], other, score) for score in SCORES},
        }
        for other in settings[1:]
    ]
    return {"type": "comparison", "settings": records, "differences": differences}

"""A run as one page that any browser opens, without network: journey, spans, curves, map, suspects, configuration."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePath
from typing import Any

import msgspec

from engine.config import RunConfig, described_options
from engine.events import Finished, metric_table
from engine.export.contents import Contents, open_contents
from engine.export.kinds import Request
from engine.export.report_curves import panels
from engine.export.report_payload import (
    ENCODED,
    LARGEST,
    LEVELS,
    MOST_SNAPSHOTS,
    build,
    fitting,
    order_of_choice,
    spread,
)
from engine.rundir.privacy import scrub
from engine.storage.atomic_io import create_stream

SCRIPTS = (
    "data",
    "elements",
    "state",
    "bars",
    "passage",
    "journey",
    "examples",
    "spans",
    "curves",
    "map",
    "fails",
    "main",
)
"""The page's scripts, in the order in which they are joined."""
BEST_RATIO = 0.6
"""To how much a payload is compressed at best: as much is tried first, and then less."""
PATHS = frozenset({"dataset", "eval", "model", "run_dir", "runs_dir"})
"""Options that hold paths of the machine: a report names the last part alone."""


def write(request: Request) -> list[str]:
    """Write the report of a run, of LARGEST bytes at most; returns what the page says of what it leaves out.

    Where the run holds more, suspects and failures come first. Raises UsageError, DataError for a run that can't be
    read, WriteError where the file exists or can't be written.
    """
    with open_contents(request.run) as contents, create_stream(request.path) as file:
        moments = spread(len(contents.snapshots), MOST_SNAPSHOTS)
        order = order_of_choice(contents)
        room = LARGEST - len(page("", "").encode("utf-8"))
        budget = int(room / ENCODED / BEST_RATIO)
        while True:
            chosen = fitting(contents, order, len(moments), budget)
            notes = _notes(contents, chosen, moments)
            packed = build(contents, chosen, moments, _header(contents, moments, notes)).packed()
            if len(packed) * ENCODED <= room or len(chosen) == 1:
                break
            budget = int(budget * 0.98 * room / (len(packed) * ENCODED))
        data = base64.b64encode(packed).decode("ascii")
        file.write(page(contents.run.name, data).encode("utf-8"))
        return [note.text for note in notes if note.printed]


def page(name: str, data: str) -> str:
    """The page of the run `name` around `data`, base64 of a payload. All else that is of the run is in it, so that
    no text of it is ever read as HTML; its own script and style are allowed by their hashes, and nothing else is."""
    folder = resources.files("engine.export") / "page"
    script = "".join((folder / f"{part}.js").read_text("utf-8") for part in SCRIPTS)
    style = (folder / "style.css").read_text("utf-8")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {"POLICY": policy, "TITLE": html.escape(name), "STYLE": style, "SCRIPT": script, "DATA": data}
    text = (folder / "page.html").read_text("utf-8")
    return re.sub("@(POLICY|TITLE|STYLE|SCRIPT|DATA)@", lambda mark: parts[mark[1]], text)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _header(contents: Contents, moments: Sequence[int], notes: Sequence[Note]) -> dict[str, Any]:
    """What the page says of the run as a whole."""
    shown = [contents.snapshots[position] for position in moments]
    info = contents.run.info
    return {
        "name": contents.run.name,
        "written": time.time(),
        "total": contents.count,
        "notes": [note.text for note in notes],
        "levels": LEVELS,
        "maxAnswer": contents.eval_set.max_answer_length,
        "allowNull": contents.eval_set.allow_null,
        "specials": contents.eval_set.special_names,
        "snapshots": [
            {
                "index": info.index,
                "label": info.label,
                "step": info.step,
                "metrics": _metrics(info.metrics),
                "sample": info.sample_text,
            }
            for info in shown
        ],
        "metrics": {name: [metric.label, metric.scale] for name, metric in metric_table().items()},
        "counted": list(contents.dynamics.labels) if contents.dynamics is not None else [],
        "curves": panels(contents.steps, contents.snapshots),
        "facts": _facts(contents),
        "options": _options(contents.run.config),
        "versions": [] if info is None else [list(pair) for pair in info.versions.items()],
    }


def _metrics(metrics: msgspec.Struct) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name in metric_table() if (value := getattr(metrics, name)) is not None}


@dataclass(frozen=True)
class Note:
    """What a reader must know of what the page holds; `printed`: in the terminal too."""

    text: str
    printed: bool = True


def _notes(contents: Contents, chosen: Sequence[int], moments: Sequence[int]) -> list[Note]:
    notes = [
        Note(
            f"Scores are drawn in {LEVELS} steps between the lowest and the highest of their window (8 bits): scores, "
            "probabilities and lower answers on this page are near the run's own. Predictions, EM, F1 and IoU are "
            "exact.",
            printed=False,
        )
    ]
    if len(chosen) < contents.count:
        notes.append(
            Note(
                f"The page holds {len(chosen):,} of {contents.count:,} examples: suspects and failures first, then "
                "others spread evenly. Scores of snapshots and curves are over all of them."
            )
        )
    if len(moments) < len(contents.snapshots):
        notes.append(
            Note(
                f"The slider walks over {len(moments)} of {len(contents.snapshots)} snapshots, spread evenly; the "
                "curves show all of them."
            )
        )
    if contents.by_character:
        notes.append(
            Note("EM and F1 count characters: most answers are in a script written without spaces.", printed=False)
        )
    return [*notes, *(Note(text) for text in contents.notes)]


def _facts(contents: Contents) -> list[list[str]]:
    """Name and value of what is known of the run, for people."""
    info, started = contents.run.info, contents.started
    facts = [["data", PurePath(contents.run.config.dataset).name]]
    if info is not None:
        facts.append(["model", f"{PurePath(info.model.name).name if '/' in info.model.name[:1] else info.model.name}"])
        facts.append(["parameters", f"{info.model.parameters:,}"])
        facts.append(["device", f"{info.device}, {info.precision}"])
        facts.append(["learning rate", f"{info.lr:g}"])
        facts.append(["begun", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(info.created))])
    if started is not None:
        facts.append(["training examples", f"{started.train_examples:,}"])
    facts.append(["evaluated examples", f"{contents.count:,}"])
    ending = next((event for event in reversed(contents.events) if isinstance(event, Finished)), None)
    if ending is not None:
        facts.append(["time", f"{ending.seconds:,.0f} s"])
    return [[name, scrub(value)] for name, value in facts]


def _options(config: RunConfig) -> list[list[str]]:
    """Name, value and meaning of every option; of a path the last part."""
    rows = []
    for name, (_, meaning) in described_options().items():
        value = getattr(config, name)
        if value is None:
            text = ""
        elif name in PATHS:
            text = (
                str(value) if name == "model" and not str(value).startswith(("/", ".", "~")) else PurePath(value).name
            )
        else:
            text = msgspec.json.encode(value).decode() if not isinstance(value, str) else value
        rows.append([name, scrub(text), meaning])
    return rows

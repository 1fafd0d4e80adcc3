"""The findings about a data set."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ExitCode
from tui.drawing.text import plain

if TYPE_CHECKING:
    from engine.config import RunConfig


def print_check(config: RunConfig, *, repair: Path | None, as_json: bool = False) -> int:
    """Print the findings about a data set, `as_json` a record for each issue; BAD_DATA where errors are left."""
    from engine.data.check import check_dataset, issue_records, refusal_record, repair_dataset
    from engine.data.check_text import report_lines
    from engine.data.samples import find_dataset
    from engine.errors import DataError, ModelError
    from engine.models import locate_model

    path = find_dataset(config.dataset)
    try:
        tokenizer = locate_model(config).tokenizer_file
    except ModelError as error:
        print(f"windows are not counted: {plain(str(error))}", file=sys.stderr)
        tokenizer = None
    try:
        report = check_dataset(path, config, tokenizer)
    except DataError as error:
        if as_json:
            print(json.dumps(refusal_record(config.dataset, error)))
        raise
    if as_json:
        for record in issue_records(report, config.dataset, config.eval):
            print(json.dumps(record))  # ASCII alone: no control character of a data set reaches the terminal
    else:
        for line in report_lines(report):
            print(plain(line))
    if repair is not None:
        written, left_out = repair_dataset(path, repair, config.columns)
        where = sys.stderr if as_json else sys.stdout
        print(
            plain(f"wrote {written} questions to {repair}; {left_out} could not be repaired and are left out"),
            file=where,
        )
    return int(ExitCode.BAD_DATA if report.errors and repair is None else ExitCode.OK)

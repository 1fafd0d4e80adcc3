"""`python -m tui.web.visitor`: the app for one visitor of the server. It remembers no place: that is others' too."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tui.app import BertQAApp
from tui.terminal.memory import give_back_large_blocks


def main(arguments: list[str]) -> int:
    """Run the app on the run, or the folder of runs, that the server serves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path)
    parser.add_argument("--runs-dir", type=Path, required=True)
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--theme")
    given = parser.parse_args(arguments)
    give_back_large_blocks()
    app = BertQAApp(
        given.run,
        runs_dir=given.runs_dir,
        theme_name=given.theme,
        few_colours=False,
        remember=False,
        look_only=not given.control,
        only=given.run is not None,
    )
    app.run()
    return int(app.return_code or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

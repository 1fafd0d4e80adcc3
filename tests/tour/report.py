"""Takes the README's picture of a report: the recorded run, exported and opened in a headless Chromium.

python -m tests.tour.report [report.png]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from engine.export.kinds import Request, write_export
from tests.browser import find_chromium, open_browser
from tests.recorded import recorded_run

PICTURE = Path(__file__).with_name("report.png")
SIZE = 1180, 940
KEYS = ("Home", *["ArrowRight"] * 5, "m")
"""From the first snapshot to the end of epoch 1; the cursor on the expected start."""


def main() -> int:
    if find_chromium() is None:
        sys.exit("Chromium is not installed.")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = folder / "report.html"
        write_export(Request(recorded_run(folder), report))
        with open_browser(folder) as page:
            page.media(prefers_color_scheme="dark")
            page.size(*SIZE)
            page.open(report.as_uri())
            page.until("document.documentElement.dataset.ready === 'true'")
            for key in KEYS:
                page.key(key)
            page.drawn()
            page.picture(path)
    print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

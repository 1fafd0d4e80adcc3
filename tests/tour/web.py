"""Takes the README's picture of the app in a browser: the recorded run, served and opened in a headless Chromium.

python -m tests.tour.web [web.png]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.browser import find_chromium, open_browser
from tests.recorded import recorded_run
from tests.serving import HAS_KEYS, serve

PICTURE = Path(__file__).with_name("web.png")
SIZE = 1000, 612
KEYS = ("Home", *["ArrowRight"] * 5, "m")
"""From the first snapshot to the end of epoch 1; the cursor on the expected start."""
QUIET_SECONDS = 2.0
"""After so long a terminal has drawn what was asked of it."""


def main() -> int:
    if find_chromium() is None:
        sys.exit("Chromium is not installed.")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serve(recorded_run(folder).path, folder / "state") as said, open_browser(folder) as page:
            page.size(*SIZE)
            page.open(said[0].removeprefix("open "))
            page.until(HAS_KEYS)
            time.sleep(QUIET_SECONDS)
            for key in KEYS:
                page.key(key)
            time.sleep(QUIET_SECONDS)
            page.picture(path)
    print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

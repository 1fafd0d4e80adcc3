"""What a report and tables cost: size, time to write, to open in a browser, to move the slider.

    python -m tests.benchmarks.report [--run DIR]

Writes a run of 1,000 examples of about 180 tokens with 10 snapshots, its scores as noisy as a real run's, exports it,
and opens the page in a headless Chromium. A flip is timed from the slider's event to the frame that shows it, up to
16 ms of which are waiting for the frame; beside it stands the processor time of the page's main thread, which other
work on the machine does not stretch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from engine.export.kinds import Request, write_export
from engine.rundir.layout import RunDir
from tests.benchmarks.terminal import NOISE, Row, print_table
from tests.browser import Page, find_chromium, open_browser
from tests.fake_run import make_run

EXAMPLES, SNAPSHOTS, TOKENS = 1000, 10, 180
FLIPS, OPENINGS = 60, 5
READY = "document.documentElement.dataset.ready === 'true'"
TIMED = """
(async (act, count) => {
  const frame = () => new Promise(done => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }));
  const times = [];
  for (let n = 0; n < count; n++) {
    await frame();
    const began = performance.now();
    act(n);
    await frame();
    times.push(performance.now() - began);
  }
  return times;
})
"""
SLIDE = """n => {
  const slider = document.getElementById('slider');
  slider.value = n % 10;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
}"""
NEXT = "n => document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}))"


def main() -> int:
    """Measure all, print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run to export, instead of a made-up one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = RunDir(options.run) if options.run else large_run(folder)
        rows = exports(run, folder)
        if find_chromium() is None:
            print("Chromium is not installed: the page is not opened.", file=sys.stderr)
        else:
            with open_browser(folder) as page:
                rows += in_browser(page, folder / "report.html")
    return 1 if print_table(rows) else 0


def large_run(folder: Path) -> RunDir:
    return make_run(folder, examples=EXAMPLES, snapshots=SNAPSHOTS, tokens=TOKENS, noise=NOISE)


def exports(run: RunDir, folder: Path) -> list[Row]:
    """Size and time of each kind of file."""
    rows: list[Row] = []
    for name, tokens in (("report.html", False), ("spans.parquet", False), ("spans.csv", False), ("spans.json", False),
                         ("tokens.parquet", True)):  # fmt: skip
        began = time.perf_counter()
        done = write_export(Request(run, folder / name, tokens=tokens))
        seconds = time.perf_counter() - began
        for note in done.notes:
            print(f"{name}: {note}", file=sys.stderr)
        most = 5e6 if name == "report.html" else float("inf")
        rows.append((f"{name}: size", (folder / name).stat().st_size, "bytes", most))
        rows.append((f"{name}: written in", 1000 * seconds, "ms", float("inf")))
    return rows


def in_browser(page: Page, report: Path) -> list[Row]:
    """How long the page takes to open, and to move."""
    rows: list[Row] = []
    for name, width, height in (("laptop", 1440, 900), ("phone", 390, 844)):
        page.size(width, height)
        times = []
        for _ in range(OPENINGS):
            began = time.perf_counter()
            page.open(report.as_uri())
            page.until(READY)
            page.drawn()
            times.append(1000 * (time.perf_counter() - began))
        rows.append((f"{name}: opens, median of {OPENINGS}", statistics.median(times), "ms", 2000))
        page.call("Performance.enable", timeDomain="threadTicks")
        for what, act in (("slider", SLIDE), ("next example", NEXT)):
            busy = -main_thread_seconds(page)
            flips = page.run(f"{TIMED}({act}, {FLIPS})")
            busy += main_thread_seconds(page)
            rows.append((f"{name}: {what}, processor time, mean", 1000 * busy / FLIPS, "ms", 50))
            rows.append((f"{name}: {what}, median", statistics.median(flips), "ms", 50))
            rows.append((f"{name}: {what}, p95", statistics.quantiles(flips, n=20)[-1], "ms", 50))
    return rows


def main_thread_seconds(page: Page) -> float:
    """Processor time that the page's main thread has used: script, style, layout and paint."""
    metrics = page.call("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


if __name__ == "__main__":
    sys.exit(main())

"""What a report, tables and pictures cost: size, time to write, to open in a browser, to move the slider.

    python -m tests.benchmarks.report [--run DIR] [--onnx]

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
from typing import Any

from engine.config import RunConfig
from engine.export.kinds import Request, write_export
from engine.launch import start
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from tests.benchmarks.terminal import NOISE, Row, print_table
from tests.browser import Page, find_chromium, open_browser
from tests.fake_run import make_run
from tui.cli.picture import draw

EXAMPLES, SNAPSHOTS, TOKENS = 1000, 10, 180
FILES: dict[str, dict[str, Any]] = {
    "report.html": {},
    "spans.parquet": {},
    "spans.csv": {},
    "spans.json": {},
    "tokens.parquet": {"tokens": True},
    "tokens.csv": {"tokens": True},
    "journey.svg": {},
    "curves.svg": {"screen": "curves"},
}
"""Files and the options of their export."""
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
    parser.add_argument(
        "--onnx", action="store_true", help="also the default model as ONNX, after training it for an epoch"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = RunDir(options.run) if options.run else large_run(folder)
        rows = exports(run, folder)
        if options.onnx:
            rows += onnx(folder)
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
    for name, options in FILES.items():
        rows += export(Request(run, folder / name, draw=draw, **options))
    return rows


def onnx(folder: Path) -> list[Row]:
    """Size and time of the default model as ONNX: of a run of one epoch on the sample data."""
    config = RunConfig(
        dataset="remedies", epochs=1, early_snapshots=False, keep_weights="last", run_dir=str(folder / "trained")
    )
    run = start(config)
    if run.wait() is not State.FINISHED:
        sys.exit(f"The run for the ONNX file ended badly: {run.state()[1]}")
    return export(Request(run.directory, folder / "model.onnx"))


def export(request: Request) -> list[Row]:
    """Write a file; how large it is, and how long that took."""
    name = request.path.name
    began = time.perf_counter()
    done = write_export(request)
    seconds = time.perf_counter() - began
    for note in done.notes:
        print(f"{name}: {note}", file=sys.stderr)
    most = 5e6 if name == "report.html" else float("inf")
    return [
        (f"{name}: size", request.path.stat().st_size, "bytes", most),
        (f"{name}: written in", 1000 * seconds, "ms", float("inf")),
    ]


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

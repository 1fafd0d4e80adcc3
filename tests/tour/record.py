"""Records a tour of the app on a real training run, as one animated SVG.

    python -m tests.tour.record                       # fine-tunes the sample data, minutes on two cores
    python -m tests.tour.record --run runs/some-run   # a run that is there already

The app is the real one, the keys are pressed, and every picture is what it drew.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.config import RunConfig
from engine.data.samples import find_dataset
from engine.launch import attach, start
from engine.rundir.liveness import OVER
from tui.app import BertQAApp

HERE = Path(__file__).parent
SIZE = (100, 30)
WALK: tuple[tuple[str, str, float], ...] = (
    ("home", "before training the bars are noise", 2.5),
    ("right", "the first steps", 0.8),
    ("right", "the first steps", 0.8),
    ("right", "the first steps", 0.8),
    ("right", "the first steps", 0.8),
    ("right", "epoch after epoch the bars come to the markers", 1.5),
    ("right", "epoch after epoch the bars come to the markers", 1.5),
    ("end", "after the last epoch", 3.0),
    ("y", "the logits themselves: negative ones hang from zero", 2.0),
    ("y", "the same as probabilities", 3.0),
    ("y", "logit − minimum again: differences are what counts", 1.0),
    ("m", "the token under the cursor, in both charts and in the passage", 3.0),
    ("down", "another example", 2.0),
    ("2", "all examples: expected and predicted spans", 4.0),
    ("3", "the curves", 4.0),
    ("5", "two snapshots compared", 4.0),
    ("x", "one example's whole journey", 4.0),
    ("1", "back to the journey; q leaves, training goes on", 2.0),
)


@dataclass
class Frame:
    """One picture and how long it is shown."""

    svg: str
    seconds: float


async def record(run: Path, *, live: bool) -> list[Frame]:
    """Show `run`; while it trains a picture for each new snapshot, afterwards the walk."""
    frames: list[Frame] = []
    app = BertQAApp(run, theme_name="dark", few_colours=False, remember=False)
    async with app.run_test(size=SIZE) as pilot:

        async def shoot(caption: str, seconds: float) -> None:
            await pilot.pause(0.3)
            frames.append(Frame(app.export_screenshot(title=f"bertqa-tui: {caption}"), seconds))

        if live:
            await pilot.pause(1.0)
            await shoot("the engine starts", 2.0)
            seen = 0
            while app.viewer is not None and app.viewer.state not in OVER:
                await pilot.pause(0.5)
                if len(app.viewer.snapshots) > seen:
                    seen = len(app.viewer.snapshots)
                    await shoot("training goes on, each snapshot is shown as it comes", 1.0)
        await pilot.pause(1.5)
        for key, caption, seconds in WALK:
            await pilot.press(key)
            await pilot.pause(0.4)
            await shoot(caption, seconds)
    return frames


def animate(frames: list[Frame]) -> str:
    """The frames as one SVG that shows them in turn, for ever."""
    total = sum(frame.seconds for frame in frames)
    view = re.search(r'viewBox="([^"]+)"', frames[0].svg)
    assert view is not None
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view.group(1)}">']
    at = 0.0
    for number, frame in enumerate(frames):
        # Textual gives each picture ids of its own; they must not meet in one document.
        body = re.sub(r"terminal-\d+", f"f{number}", frame.svg)
        lo, hi = at / total, min(1.0, (at + frame.seconds) / total)
        at += frame.seconds
        values, times = (
            ("visible;hidden", f"0;{hi:.4f}") if number == 0 else ("hidden;visible;hidden", f"0;{lo:.4f};{hi:.4f}")
        )
        if number and hi >= 1.0:
            values, times = "hidden;visible", f"0;{lo:.4f}"
        parts.append(
            f'<g visibility="{"visible" if number == 0 else "hidden"}">{body}'
            f'<animate attributeName="visibility" calcMode="discrete" repeatCount="indefinite" '
            f'dur="{total:.2f}s" values="{values}" keyTimes="{times}"/></g>'
        )
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Record a tour of the app as an animated SVG.")
    parser.add_argument("--run", type=Path, help="an existing run (default: fine-tune the sample data now)")
    parser.add_argument("--out", type=Path, default=HERE / "tour.svg")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.run is not None:
            run = attach(options.run)
        else:
            config = RunConfig(
                dataset=str(find_dataset("remedies")), probe="chilblains-eval-symptoms-1", run_dir=f"{folder}/remedies"
            )
            run = start(config)
        frames = asyncio.run(record(run.path, live=options.run is None))
    options.out.write_text(animate(frames), "utf-8")
    print(f"{options.out}: {len(frames)} pictures, {options.out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()

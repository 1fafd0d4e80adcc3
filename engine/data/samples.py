"""Finds the sample data sets that come with the program."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDERS = (HERE.parents[1] / "bertqa_tui_datasets", HERE.parents[1] / "datasets")
"""Where samples lie: next to the installed packages, or in a checkout."""


def sample_names() -> list[str]:
    """Names of the sample data sets, sorted."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.json")})


def find_dataset(name: str | Path) -> Path:
    """The file that `name` means: itself where it exists, else the sample data set of that name.

    `remedies`, `remedies.json` and `datasets/remedies.json` all name the packaged sample. A name that fits
    nothing comes back unchanged, so that reading it says what is missing.
    """
    path = Path(name)
    try:
        there = path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return path
    if there or path.is_absolute() or len(path.parts) > 2:
        return path
    if len(path.parts) == 2 and path.parts[0] != "datasets":
        return path
    if path.suffix not in ("", ".json") or path.name.startswith("."):
        return path
    for folder in FOLDERS:
        sample = folder / f"{path.stem}.json"
        if sample.is_file():
            return sample
    return path

"""Fine-tunes extractive question-answering models, and says what it sees.

from engine import RunConfig, start

run = start(RunConfig(dataset="datasets/remedies.json", epochs=5))
async for event in run.events():
    ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.config import RunConfig

if TYPE_CHECKING:
    from engine.launch import Run, attach, resume, start
    from engine.reader import Reader

__all__ = ["Reader", "Run", "RunConfig", "attach", "resume", "start"]


def __getattr__(name: str) -> object:
    # Loaded on demand: `bertqa-tui --help` imports this package and needs no processes and no numpy.
    if name == "Reader":
        from engine.reader import Reader

        return Reader
    if name in __all__:
        from engine import launch

        return getattr(launch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""A screen of the app as a picture. The engine knows no screen: whoever asks gives the function that draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.storage.atomic_io import create_file

if TYPE_CHECKING:
    from engine.export.kinds import Request


def write(request: Request) -> list[str]:
    """Write the picture that `request.draw` makes. Raises UsageError, DataError, WriteError."""
    if request.draw is None:
        raise UsageError("pictures of screens are made by the app.", hint="bertqa-tui export RUN -o screen.svg")
    create_file(request.path, request.draw(request))
    return []

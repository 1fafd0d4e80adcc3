"""Where the user is in a run, which all screens share, and how runs are listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Scale = Literal["logit", "shifted", "probability"]
SCALES: tuple[Scale, ...] = ("shifted", "logit", "probability")
SCALE_NAMES = {
    "logit": "logits",
    "shifted": "logit − minimum",
    "probability": "probability among the tokens that may be chosen",
}
SCALE_WORDS = {"logit": "logit", "shifted": "logit − minimum", "probability": "probability"}


Sort = Literal["date", "score", "state", "size", "name"]
Shown = Literal["all", "training", "resumable", "finished"]
SORTS: tuple[Sort, ...] = get_args(Sort)
SHOWN: tuple[Shown, ...] = get_args(Shown)


@dataclass(frozen=True)
class RunsView:
    """In which order runs are listed, and which of them."""

    sort: Sort = "date"
    shown: Shown = "all"


@dataclass
class ViewState:
    """`snapshot` is a position on the timeline; `window` the example's window, None for the first one that holds the
    expected answer whole, else the one with the predicted answer; `token` is the token cursor, -1 where it is off;
    `span_from` the token where the right answer begins, while the user chooses one, else -1. `group` names some of the
    examples, by their numbers: those that the user asked to see in Spans."""

    snapshot: int = 0
    following: bool = True
    example: int = 0
    window: int | None = None
    token: int = -1
    span_from: int = -1
    scale: Scale = "shifted"
    fixed_scale: bool = True
    overview: bool = False
    change: bool = False
    group: tuple[str, NDArray[np.int32]] | None = None

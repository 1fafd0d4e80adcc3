"""Examples whose labels deserve a look: two ranked lists, wrong places and wrong boundaries. NumPy only.

The lists rank for a person to review; nothing is ever removed by itself. Data maps and margins also point at examples
that are right and merely hard (Talukdar et al. 2021, "Training Dynamic based data filtering may not work for NLP
datasets").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from engine.insight.dynamics import Dynamics
from engine.insight.evidence import Kind

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Suspect:
    """One entry of a list.

    `example` is its number among the examples, `score` what it is ranked by (higher: more suspicious; comparable
    within one list only). The model's answer instead of the label: `answer`, characters (start, end) of the passage,
    (-1, -1) for "no answer", None where the model answered as labelled at every snapshot that counts; one that speaks
    for this kind of error comes first, else it is any other answer. `probability`, of all spans, at the last snapshot
    at which it was given; `since` and `until`, numbers of the first and the last snapshot of the stretch in which it
    was. `confidence` is the label's mean probability.
    """

    kind: Kind
    example: int
    score: float
    answer: tuple[int, int] | None
    probability: float
    since: int
    until: int
    confidence: float


class Suspects(Sequence[Suspect]):
    """A list of suspects, most suspicious first: the numbers of its `examples` int32[M]. Entries are made when they are
    asked for, as most are never looked at."""

    def __init__(self, kind: Kind, dynamics: Dynamics, scores: Floats) -> None:
        """`scores` float64[N], NaN for examples that are not in the list."""
        self._kind, self._dynamics, self._scores = kind, dynamics, scores
        order = np.argsort(-scores, kind="stable")
        self.examples = order[np.isfinite(scores[order])].astype(np.int32)
        self._place = np.full(len(scores), -1, np.int32)
        self._place[self.examples] = np.arange(len(self.examples), dtype=np.int32)

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, place: int) -> Suspect: ...

    @overload
    def __getitem__(self, place: slice) -> list[Suspect]: ...

    def __getitem__(self, place: int | slice) -> Suspect | list[Suspect]:
        if isinstance(place, slice):
            return [self._entry(example) for example in self.examples[place].tolist()]
        return self._entry(int(self.examples[place]))

    def of(self, example: int) -> Suspect | None:
        """The entry of an example; None where it is not in the list."""
        return self._entry(example) if 0 <= example < len(self._place) and self._place[example] >= 0 else None

    def _entry(self, example: int) -> Suspect:
        rivals, numbers = self._dynamics.evidence.rivals(self._kind), self._dynamics.snapshots
        at = int(rivals.last[example])
        return Suspect(
            kind=self._kind,
            example=example,
            score=float(self._scores[example]),
            answer=(int(rivals.start[example]), int(rivals.end[example])) if at >= 0 else None,
            probability=float(rivals.probability[example]),
            since=numbers[int(rivals.since[example])] if at >= 0 else -1,
            until=numbers[at] if at >= 0 else -1,
            confidence=float(self._dynamics.confidence[example]),
        )


def wrong_place(dynamics: Dynamics, verdicts: Mapping[int, bool] | None = None) -> Suspects:
    """Examples whose label may stand in the wrong place, or should be "no answer"; most suspicious first.

    `verdicts` says of reviewed examples whether the label was wrong (changed or dropped) or is kept. They are not in
    the list, and the other labels of their passages are ranked again by `reranked`.
    """
    return _suspects("place", dynamics, verdicts or {})


def wrong_boundary(dynamics: Dynamics, verdicts: Mapping[int, bool] | None = None) -> Suspects:
    """Examples whose label may begin or end in the wrong place, as `wrong_place`."""
    return _suspects("boundary", dynamics, verdicts or {})


def reason(suspect: Suspect, dynamics: Dynamics, context: str, label: str | None) -> str:
    """Why it is in the list, in words; `label` is the labelled text, None for "no answer". Text from outside."""
    return _by_the_journey(suspect, dynamics, context, label) + _by_held_out(suspect, dynamics, context)


def _by_held_out(suspect: Suspect, dynamics: Dynamics, context: str) -> str:
    """What the model answers in the end that never saw the label; "" where there is none."""
    if dynamics.held_out is None:
        return ""
    found, number = dynamics.held_out, suspect.example
    if found.answer_iou[number] >= 1:
        return "; held out, the model answers as labelled"
    answer = _quoted(context, int(found.answer_start[number]), int(found.answer_end[number]))
    return f"; held out, the model answers {answer}"


def _quoted(context: str, start: int, end: int) -> str:
    return f"“{context[start:end]}”" if start >= 0 else "“no answer”"


def _by_the_journey(suspect: Suspect, dynamics: Dynamics, context: str, label: str | None) -> str:
    labelled = "the label says no answer" if label is None else f"the label says “{label}”"
    if suspect.answer is None:
        return f"gives the label a probability of {_share(suspect.confidence)} on average; {labelled}"
    answer = _quoted(context, *suspect.answer)
    names = dict(zip(dynamics.snapshots, dynamics.labels, strict=True))
    if suspect.until == dynamics.snapshots[-1]:
        return f"answers {answer} with {_share(suspect.probability)} since {names[suspect.since]}; {labelled}"
    when = f"from {names[suspect.since]} to {names[suspect.until]}"
    if suspect.since == suspect.until:
        when = f"at {names[suspect.since]}"
    return f"answered {answer} with {_share(suspect.probability)} {when}; {labelled}"


def _share(probability: float) -> str:
    return f"{probability:.2f}" if probability >= 0.005 else "less than 0.01"


PLACE_LIMIT = 3.0
"""How many deviations the place counts at most in the list of boundaries: where nearly all labels are learned, the
deviation is tiny."""


def suspicion(kind: Kind, dynamics: Dynamics) -> Floats:
    """What a list is ranked by, float64[N], higher where a label is more suspicious; NaN where it can't be judged.

    Where models that never saw the labels have scored them too, the mean of what the journey says and what they say:
    the journey's model knows more, theirs learned no label by heart. What either can't judge the other does alone.
    """
    journey = _suspicion(kind, dynamics)
    if dynamics.held_out is None:
        return journey
    held_out = _suspicion(kind, dynamics.held_out)
    both = (journey + held_out) / 2
    return np.where(np.isnan(journey), held_out, np.where(np.isnan(held_out), journey, both))


def _suspicion(kind: Kind, dynamics: Dynamics) -> Floats:
    """`suspicion` by one journey.

    Wrong place: the overlap with the label that is expected of the model's answers, the far margin (or the one to "no
    answer", if that is smaller) and the label's log probability, each as logit of its rank, since their tails differ.
    Wrong boundary: the near margin, and half as much that the model puts its answer where the label is
    (`boundary_parts`). What else was tried: tests/benchmarks/README.md.
    """
    found = dynamics.evidence
    if kind == "place":
        parts = [rank_logit(-dynamics.overlap), rank_logit(-found.margin), rank_logit(-dynamics.log_prob)]
        return np.asarray(np.mean(parts, axis=0))
    return np.average(boundary_parts(dynamics), axis=0, weights=[1.0, 0.5])


def boundary_parts(dynamics: Dynamics) -> tuple[Floats, Floats]:
    """float64[N] each, in robust deviations: how far the best other span that overlaps the label lies above it, and how
    surely the model puts its answer where the label is. Later epochs weigh more, as a model first learns where answers
    are and then where they end."""
    found = dynamics.evidence
    return robust_z(-found.near), np.clip(robust_z(found.touching), -PLACE_LIMIT, PLACE_LIMIT)


def rank_logit(values: NDArray[np.floating[Any]]) -> Floats:
    """log(r / (1 - r)) of each value's rank r among all, from 0 to 1, its middle where values are equal. NaN stays."""
    known = np.isfinite(values)
    _, inverse, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks = ((np.cumsum(counts) - counts / 2) / max(1, int(known.sum())))[inverse]
    result = np.full(len(values), np.nan)
    result[known] = np.log(ranks / (1 - ranks))
    return result


def robust_z(values: NDArray[np.floating[Any]]) -> Floats:
    """Distance from the median in standard deviations, these estimated by 1.4826 × the median absolute deviation, as
    few examples are wrong and they should not set the scale. NaN stays NaN."""
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return np.full(len(values), np.nan)
    middle = np.median(known)
    deviation = 1.4826 * np.median(np.abs(known - middle))
    scale = deviation if deviation > 0 else known.std() or 1.0
    return np.asarray((values - middle) / scale, np.float64)


PRIOR_ERRORS, PRIOR_LABELS = 20.0, 100.0
"""What is assumed of a passage before any verdict: as if 20 of 100 labels had been found wrong. The smaller the
numbers, the more one verdict says of its neighbours."""


def reranked(scores: Floats, passages: NDArray[np.int32] | None, verdicts: Mapping[int, bool]) -> Floats:
    """Scores float64[N] in the light of verdicts on other labels of the same passage; `passages` int32[N] numbers them.

    Who labels a passage labels all its questions: of SQuAD v1.1's dev set, where a first annotator's label stands apart
    from all others, 9.4 % of the other labels of the passage do too, and 3.3 % of all labels. So the score is raised by
    the log odds of an error in the passage, over those before any verdict: the mean of a beta distribution that begins
    with PRIOR_ERRORS of PRIOR_LABELS and counts the verdicts.
    """
    known = np.array([number for number in verdicts if 0 <= number < len(scores)], np.int64)
    if passages is None or not len(known):
        return scores
    wrong = np.array([verdicts[number] for number in known.tolist()], np.float64)
    count = int(passages.max()) + 1
    errors = PRIOR_ERRORS + np.bincount(passages[known], wrong, count)
    labels = PRIOR_LABELS + np.bincount(passages[known], minlength=count)
    before = np.log(PRIOR_ERRORS / (PRIOR_LABELS - PRIOR_ERRORS))
    return np.asarray(scores + (np.log(errors / (labels - errors)) - before)[passages])


def _suspects(kind: Kind, dynamics: Dynamics, verdicts: Mapping[int, bool]) -> Suspects:
    scores = reranked(suspicion(kind, dynamics), dynamics.passages, verdicts).copy()
    scores[[number for number in verdicts if 0 <= number < len(scores)]] = np.nan
    return Suspects(kind, dynamics, scores)

"""Examples whose labels deserve a look: two ranked lists, wrong places and wrong boundaries. NumPy only.

The lists rank for a person to review; nothing is ever removed by itself. Data maps and margins also point at examples
that are right and merely hard (Talukdar et al. 2021, "Training Dynamic based data filtering may not work for NLP
datasets").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.insight.dynamics import Dynamics, mean_over_snapshots

Floats = NDArray[np.float64]
Kind = Literal["place", "boundary"]


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


def wrong_place(dynamics: Dynamics, verdicts: Mapping[int, bool] | None = None) -> list[Suspect]:
    """Examples whose label may stand in the wrong place, or should be "no answer"; most suspicious first.

    `verdicts` says of reviewed examples whether the label was wrong (changed or dropped) or is kept. They are not in
    the list, and the other labels of their passages are ranked again by `reranked`.
    """
    return _suspects("place", dynamics, verdicts or {})


def wrong_boundary(dynamics: Dynamics, verdicts: Mapping[int, bool] | None = None) -> list[Suspect]:
    """Examples whose label may begin or end in the wrong place, as `wrong_place`."""
    return _suspects("boundary", dynamics, verdicts or {})


def reason(suspect: Suspect, dynamics: Dynamics, context: str, label: str | None) -> str:
    """Why it is in the list, in words; `label` is the labelled text, None for "no answer". Text from outside."""
    return _by_the_journey(suspect, dynamics, context, label) + _by_held_out(suspect, dynamics, context)


def _by_held_out(suspect: Suspect, dynamics: Dynamics, context: str) -> str:
    """What the model answers in the end that never saw the label; "" where there is none."""
    if dynamics.held_out is None:
        return ""
    columns = dynamics.held_out.columns
    start, end, overlap = (columns[name][-1, suspect.example] for name in ("pred_char_start", "pred_char_end", "iou"))
    if overlap >= 1:
        return "; held out, the model answers as labelled"
    return f"; held out, the model answers {_quoted(context, int(start), int(end))}"


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
    Wrong boundary: the near margin, and half as much that the model puts its answer where the label is, in robust
    deviations; later epochs weigh more, as a model first learns where answers are and then where they end. What else
    was tried: tests/benchmarks/README.md.
    """
    columns = dynamics.columns
    if kind == "place":
        margin = mean_over_snapshots(np.fmin(columns["far_margin"], columns["null_margin"]))
        parts = [rank_logit(-dynamics.overlap), rank_logit(-margin), rank_logit(-dynamics.log_prob)]
        return np.asarray(np.mean(parts, axis=0))
    later = np.arange(1, len(dynamics.snapshots) + 1)
    near = columns["near_margin"]
    # The gold answer and its best near rival together: nearly all that the model puts on spans that touch the label.
    with np.errstate(invalid="ignore"):
        touching = np.minimum(columns["gold_log_prob"] + np.logaddexp(0, -near), 0.0)
    place = np.clip(robust_z(mean_over_snapshots(touching, later)), -PLACE_LIMIT, PLACE_LIMIT)
    return np.average([robust_z(mean_over_snapshots(-near, later)), place], axis=0, weights=[1.0, 0.5])


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


def _suspects(kind: Kind, dynamics: Dynamics, verdicts: Mapping[int, bool]) -> list[Suspect]:
    scores = reranked(suspicion(kind, dynamics), dynamics.passages, verdicts).copy()
    scores[[number for number in verdicts if 0 <= number < len(scores)]] = np.nan
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    last, since, probability = _instead(kind, dynamics)
    starts, ends = dynamics.columns["pred_char_start"], dynamics.columns["pred_char_end"]
    numbers: Sequence[int] = dynamics.snapshots
    found = []
    for number in order.tolist():
        at = int(last[number])
        found.append(
            Suspect(
                kind=kind,
                example=number,
                score=float(scores[number]),
                answer=(int(starts[at, number]), int(ends[at, number])) if at >= 0 else None,
                probability=float(probability[number]),
                since=numbers[int(since[number])] if at >= 0 else -1,
                until=numbers[at] if at >= 0 else -1,
                confidence=float(dynamics.confidence[number]),
            )
        )
    return found


def _instead(kind: Kind, dynamics: Dynamics) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """For each example the last of the S snapshots whose prediction is a rival of the kind, or else any other than the
    label (-1: none), the first of the stretch up to it with the same prediction, and the prediction's probability
    there; `[N]` each."""
    columns = dynamics.columns
    far, near, null = (
        np.where(np.isnan(columns[name]), np.inf, columns[name])
        for name in ("far_margin", "near_margin", "null_margin")
    )
    elsewhere = np.minimum(far, null)
    other = np.minimum(elsewhere, near) < 0
    of_kind = other & ((elsewhere <= near) if kind == "place" else (near < elsewhere))
    rival = np.where(of_kind.any(axis=0), of_kind, other)
    count = len(rival)
    last = np.where(rival.any(axis=0), count - 1 - rival[::-1].argmax(axis=0), -1)
    examples = np.arange(rival.shape[1])
    starts, ends = columns["pred_char_start"], columns["pred_char_end"]
    same = (starts == starts[last, examples]) & (ends == ends[last, examples])
    since = last.copy()
    for at in range(count - 2, -1, -1):
        since = np.where(same[at] & (since == at + 1), at, since)
    # The prediction beats the gold answer by the least of the margins; with several golds, which share their
    # probability, this is a little too much.
    lead = -np.minimum(elsewhere, near)[last, examples]
    probability = np.exp(np.minimum(columns["gold_log_prob"][last, examples].astype(np.float64) + lead, 0.0))
    return last, since, np.where(last >= 0, probability, np.nan)

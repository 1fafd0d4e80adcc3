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
    the list, and the others are ranked anew by `reranked`.
    """
    return _suspects("place", dynamics, verdicts or {})


def wrong_boundary(dynamics: Dynamics, verdicts: Mapping[int, bool] | None = None) -> list[Suspect]:
    """Examples whose label may begin or end in the wrong place, as `wrong_place`."""
    return _suspects("boundary", dynamics, verdicts or {})


def reason(suspect: Suspect, dynamics: Dynamics, context: str, label: str | None) -> str:
    """Why it is in the list, in words; `label` is the labelled text, None for "no answer". Text from outside."""
    labelled = "the label says no answer" if label is None else f"the label says “{label}”"
    if suspect.answer is None:
        return f"gives the label a probability of {_share(suspect.confidence)} on average; {labelled}"
    start, end = suspect.answer
    answer = f"“{context[start:end]}”" if start >= 0 else "“no answer”"
    names = dict(zip(dynamics.snapshots, dynamics.labels, strict=True))
    if suspect.until == dynamics.snapshots[-1]:
        return f"answers {answer} with {_share(suspect.probability)} since {names[suspect.since]}; {labelled}"
    when = f"from {names[suspect.since]} to {names[suspect.until]}"
    if suspect.since == suspect.until:
        when = f"at {names[suspect.since]}"
    return f"answered {answer} with {_share(suspect.probability)} {when}; {labelled}"


def _share(probability: float) -> str:
    return f"{probability:.2f}" if probability >= 0.005 else "less than 0.01"


def features(kind: Kind, dynamics: Dynamics) -> tuple[Floats, Floats]:
    """What a list is ranked by: float64[N, K] robust z-scores, each higher where a label is more suspicious, and
    float64[K], their weights. NaN rows are not ranked."""
    columns = dynamics.columns
    if kind == "place":
        margin = mean_over_snapshots(np.fmin(columns["far_margin"], columns["null_margin"]))
        parts = [-margin, -dynamics.log_prob, 1 - mean_over_snapshots(columns["iou"])]
        weights = [1.0, 1.0, 1.0]
    else:
        parts = [-dynamics.near, -dynamics.log_prob]
        weights = [1.0, 0.5]
    return np.stack([robust_z(part) for part in parts], axis=1), np.array(weights)


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


PRIOR_VARIANCE = 1.0
"""How far verdicts may move the weight of a feature, in logits for each robust deviation, squared."""
UNREVIEWED = 1.0
"""What all examples without a verdict count together, as labels that are right, for each one with a verdict."""


def reranked(features: Floats, weights: Floats, verdicts: Mapping[int, bool]) -> Floats:
    """Scores float64[N] in the light of verdicts: `features` times weights that fit the verdicts better.

    A logistic regression of "the label is wrong" on the features, with a prior that is the ranking without verdicts:
    weights are normal around `weights`, the intercept is nearly free (MAP estimate by Newton's method). Reviewed
    examples come from the top of the list; among them alone a higher score may mean little. So the examples without a
    verdict, most of which are right, take part with a small weight as labels that are right (learning from positive
    and unlabelled examples: Elkan & Noto 2008, https://doi.org/10.1145/1401890.1401920).
    """
    ranked = np.isfinite(features).all(axis=1)
    reviewed = np.zeros(len(features), np.bool_)
    wrong = np.zeros(len(features))
    for number, is_wrong in verdicts.items():
        if 0 <= number < len(features):
            reviewed[number], wrong[number] = True, is_wrong
    reviewed &= ranked
    count = int(reviewed.sum())
    if not count:
        return np.asarray(features @ weights)
    inputs = np.concatenate([features[ranked], np.ones((int(ranked.sum()), 1))], axis=1)
    share = np.where(reviewed, 1.0, UNREVIEWED * count / max(1, len(inputs) - count))[ranked]
    target = wrong[ranked]
    prior = np.append(weights, 0.0)
    precision = np.append(np.full(len(weights), 1 / PRIOR_VARIANCE), 1e-2)
    fitted = prior.copy()
    for _ in range(100):
        odds = np.clip(inputs @ fitted, -30, 30)
        probability = 1 / (1 + np.exp(-odds))
        gradient = inputs.T @ (share * (target - probability)) - precision * (fitted - prior)
        spread = share * probability * (1 - probability)
        step = np.linalg.solve((inputs * spread[:, None]).T @ inputs + np.diag(precision), gradient)
        fitted += step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(features @ fitted[:-1])


def _suspects(kind: Kind, dynamics: Dynamics, verdicts: Mapping[int, bool]) -> list[Suspect]:
    inputs, weights = features(kind, dynamics)
    scores = reranked(inputs, weights, verdicts)
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

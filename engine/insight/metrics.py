"""EM and F1 as the official SQuAD scripts compute them, to the last digit.

Rules: evaluate-v1.1.py and evaluate-v2.0.py of https://rajpurkar.github.io/SQuAD-explorer. The two differ where
a text normalises to nothing: v1.1 gives F1 0, v2.0 compares the empty token lists; v2.0 also leaves out golds
that normalise to nothing. EM and F1 are best over the golds, each by itself.

Where answers are written without spaces between words, F1 of words says no more than EM. Such answers are scored by
character, as MLQA's mlqa_evaluation_v1.py scores Chinese (Lewis et al. 2020, arXiv 1910.07475; the segmentation comes
from the script of CMRC 2018, Cui et al. 2019): each character of such a script is a word, and all punctuation of
Unicode goes. CMRC's own F1 is of longest common subsequences and is not this one.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.characters import UNSPACED, count_unspaced

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_UNITS = re.compile(f"[{UNSPACED}]|[^\\s{UNSPACED}]+")


def normalize_answer(text: str, *, by_character: bool = False) -> str:
    """Lower case, without ASCII punctuation, without articles, with single spaces: in this order. With `by_character`
    without any punctuation, articles stay, and spaces stand around each character of a script without spaces."""
    if by_character:
        kept = "".join(c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P")
        return " ".join(_UNITS.findall(kept))
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _f1(gold: list[str], predicted: list[str], *, v2: bool) -> float:
    if v2 and not (gold and predicted):
        return float(gold == predicted)
    common = sum((Counter(gold) & Counter(predicted)).values())
    if common == 0:
        return 0.0
    precision, recall = 1.0 * common / len(predicted), 1.0 * common / len(gold)
    return (2 * precision * recall) / (precision + recall)


@dataclass(frozen=True)
class Golds:
    """Gold answers of a set of questions, normalised once; `[""]` stands for "no answer".

    `normalized` has what became of each gold text: most predictions are one of them.
    """

    texts: list[list[str]]
    normalized: Mapping[str, str]
    has_answer: NDArray[np.bool_]
    v2: bool
    by_character: bool = False

    def score(self, predictions: Sequence[str | None]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """EM and F1 (0 or 1, 0 to 1) of each prediction, float64[N]; "" is the null answer, None a missing one."""
        exact, f1 = np.zeros(len(self.texts)), np.zeros(len(self.texts))
        for number, (golds, prediction) in enumerate(zip(self.texts, predictions, strict=True)):
            if prediction is None:
                continue
            text = self.normalized.get(prediction)
            if text is None:
                text = normalize_answer(prediction, by_character=self.by_character)
            if text in golds and (text or self.v2):
                exact[number] = f1[number] = 1.0
                continue
            exact[number] = text in golds
            units = text.split()
            f1[number] = max(_f1(gold.split(), units, v2=self.v2) for gold in golds)
        return exact, f1


def prepare_golds(answers: Sequence[Sequence[str]], *, v2: bool, by_character: bool = False) -> Golds:
    """Golds of questions whose answer texts are given; no answer at all stands for an unanswerable question.

    F1 is of words, as officially; with `by_character` each character of a script that is written without spaces
    (Chinese, Japanese, Thai, Lao, Khmer, Burmese) counts as a word.
    """
    normalized = {gold: normalize_answer(gold, by_character=by_character) for golds in answers for gold in golds}
    texts = []
    for golds in answers:
        distinct = dict.fromkeys(normalized[gold] for gold in golds)
        texts.append([gold for gold in distinct if gold or not v2] or [""])
    return Golds(texts, normalized, np.array([len(golds) > 0 for golds in answers], np.bool_), v2, by_character)


def written_without_spaces(texts: Iterable[str]) -> bool:
    """Whether most letters of the texts are Chinese, Japanese, Thai, Lao, Khmer or Burmese."""
    texts = list(texts)
    unspaced = sum(map(count_unspaced, texts))
    return unspaced > 0 and 2 * unspaced > sum(sum(map(str.isalpha, text)) for text in texts)


def percentage(scores: NDArray[np.float64], scale: float = 100.0) -> float:
    """`scale` times the mean of per-question scores, added up in order as the official scripts do; 0 for none."""
    total = 0.0
    for score in scores.tolist():
        total += score
    return scale * total / len(scores) if len(scores) else 0.0


def best_threshold(
    scores: NDArray[np.float64],
    predictions: Sequence[str],
    no_answer: NDArray[np.float64],
    has_answer: NDArray[np.bool_],
) -> tuple[float, float]:
    """The best score (0 to 100) over all no-answer thresholds, and that threshold.

    A prediction counts as "no answer" where `no_answer` exceeds the threshold. `predictions` are best non-null
    texts, `scores` theirs. It is tuned on the labels it is scored with: an upper bound, as in evaluate-v2.0.py.
    """
    current = best = float(np.count_nonzero(~has_answer))
    threshold = 0.0
    for number in np.argsort(no_answer, kind="stable").tolist():
        on_no_answer = -1.0 if predictions[number] else 0.0
        change = float(scores[number]) if has_answer[number] else on_no_answer
        current += change
        if current > best:
            best, threshold = current, float(no_answer[number])
    return 100.0 * best / len(scores), threshold


def evaluate_v2(
    golds: Golds, predictions: Sequence[str], no_answer: NDArray[np.float64] | None = None, *, threshold: float = 1.0
) -> Mapping[str, float]:
    """What evaluate-v2.0.py prints, by the same names; `best_…` only with `no_answer` probabilities."""
    exact_raw, f1_raw = golds.score(predictions)
    given = np.zeros(len(predictions)) if no_answer is None else no_answer
    null = given > threshold
    exact, f1 = (np.where(null, (~golds.has_answer).astype(float), raw) for raw in (exact_raw, f1_raw))
    # Python 3.12's sum() rounds better than the plain additions of `percentage`: there the official script may
    # differ from itself under 3.11 in the last digit.
    result: dict[str, float] = {"exact": percentage(exact), "f1": percentage(f1), "total": len(predictions)}
    for name, rows in (("HasAns", golds.has_answer), ("NoAns", ~golds.has_answer)):
        if rows.any():
            result |= {
                f"{name}_exact": percentage(exact[rows]),
                f"{name}_f1": percentage(f1[rows]),
                f"{name}_total": int(rows.sum()),
            }
    if no_answer is not None:
        for name, raw in (("exact", exact_raw), ("f1", f1_raw)):
            result[f"best_{name}"], result[f"best_{name}_thresh"] = best_threshold(
                raw, predictions, no_answer, golds.has_answer
            )
    return result


def human_line(answers: Sequence[Sequence[str]], *, by_character: bool = False) -> tuple[float, float, int] | None:
    """EM and F1 (0 to 100) of people, and over how many questions: the second annotator's answer as if it were
    a prediction, against the others'. None where no question has several answers."""
    several = [golds for golds in answers if len(golds) > 1]
    if not several:
        return None
    others = prepare_golds([[*golds[:1], *golds[2:]] for golds in several], v2=False, by_character=by_character)
    exact, f1 = others.score([golds[1] for golds in several])
    return percentage(exact), percentage(f1), len(several)

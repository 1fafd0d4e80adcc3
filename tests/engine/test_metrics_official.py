"""EM and F1 against the official scripts' rules: every known trap as a row, and slow readings of the rules."""

from __future__ import annotations

import random
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.examples import Answer, Example
from engine.data.squad import read_dataset
from engine.insight.metrics import (
    best_threshold,
    evaluate_v2,
    human_line,
    normalize_answer,
    percentage,
    prepare_golds,
    written_without_spaces,
)
from engine.insight.scoring import is_by_character, prepared

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Cat", "cat"),
        ("a an the", ""),
        ("A.", ""),
        ("the-cat", "thecat"),  # punctuation goes first: no article is left to find
        ("U.S.A.", "usa"),
        ("a.n apple", "apple"),  # and an article may appear by it
        ("theatre and a nation", "theatre and nation"),
        ("1990\N{EN DASH}1995", "1990\N{EN DASH}1995"),  # only ASCII punctuation is deleted
        ("\N{LEFT DOUBLE QUOTATION MARK}the\N{RIGHT DOUBLE QUOTATION MARK} end", "\u201c \u201d end"),
        ("$100 + 5%", "100 5"),
        ("tab\tnew\nline\u00a0space\u3000wide", "tab new line space wide"),
        ("Élan ÀLA", "élan àla"),  # no word boundary inside letters beyond ASCII
        ("the_end a_b", "theend ab"),
        ("İstanbul", "i̇stanbul"),  # lower() may lengthen a text
        ("ΣΑΣ", "σας"),
        ("", ""),
    ],
)
def test_normalisation(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


@pytest.mark.parametrize(
    ("golds", "prediction", "v1", "v2"),
    [
        (["cat"], "The cat.", (1, 1), (1, 1)),
        (["black cat"], "cat", (0, 2 / 3), (0, 2 / 3)),
        (["black cat", "a cat sat"], "sat cat sat", (0, 2 * (2 / 3) / (2 / 3 + 1)), (0, 2 * (2 / 3) / (2 / 3 + 1))),
        # EM and F1 may come from different golds, and repeated words count as often as both have them.
        (["yes yes", "yes no"], "yes yes no", (0, 0.8), (0, 0.8)),
        (["b a c", "b c"], "b c", (1, 1), (1, 1)),
        # Nothing left on one side, or on both: EM 1 with F1 0 in v1.1.
        (["a"], "the", (1, 0), (1, 1)),
        (["the"], "", (1, 0), (1, 1)),
        (["cat"], "", (0, 0), (0, 0)),
        (["cat"], "the", (0, 0), (0, 0)),
        # v2.0 leaves golds that normalise to nothing out where others remain.
        (["the", "cat"], "the", (1, 0), (0, 0)),
        (["the", "cat"], "cat", (1, 1), (1, 1)),
        (["1990\N{EN DASH}95"], "1990-95", (0, 0), (0, 0)),
        (["Zürich"], "zürich", (1, 1), (1, 1)),
        (["Zu\u0308rich"], "Zürich", (0, 0), (0, 0)),  # composed and decomposed letters are different
    ],
)
def test_traps(golds: list[str], prediction: str, v1: tuple[float, float], v2: tuple[float, float]) -> None:
    for rules, expected in ((False, v1), (True, v2)):
        exact, f1 = prepare_golds([golds], v2=rules).score([prediction])
        assert (exact[0], f1[0]) == expected


def test_a_missing_prediction_scores_nothing() -> None:
    exact, f1 = prepare_golds([["cat"], ["the"], []], v2=True).score([None, None, None])
    assert exact.tolist() == f1.tolist() == [0, 0, 0]


def test_unanswerable_questions_want_an_empty_answer() -> None:
    golds = prepare_golds([[], [], ["the"]], v2=True)
    exact, f1 = golds.score(["", "cat", ""])
    assert exact.tolist() == f1.tolist() == [1, 0, 1]
    assert golds.has_answer.tolist() == [False, False, True]  # by the labels, though "the" normalises to nothing


def test_characters_of_scripts_without_spaces_count_as_words() -> None:
    answers, predictions = [["北京市"], ["2008年"], ["กรุงเทพ"]], ["在北京", "2008 年", "กรุง"]
    _, words = prepare_golds(answers, v2=False).score(predictions)
    _, characters = prepare_golds(answers, v2=False, by_character=True).score(predictions)
    assert words.tolist() == [0, 0, 0]
    assert characters.tolist() == pytest.approx([2 / 3, 1, 2 * 4 / (4 + 7)])
    assert prepare_golds([["black cat"]], v2=False, by_character=True).score(["cat"])[1][0] == 2 / 3


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("《红楼梦》，曹雪芹。", "红 楼 梦 曹 雪 芹"),
        ("在 iPhone 4S 上市", "在 iphone 4s 上 市"),
        ("The A・B、「東京タワー」", "the ab 東 京 タ ワ ー"),
        ("2,008年", "2008 年"),
    ],
)
def test_texts_by_character_are_normalised_as_mlqa_does(text: str, normal: str) -> None:
    """Worked out by the rules of mlqa_evaluation_v1.py: lower case, no punctuation, segments of one character."""
    assert normalize_answer(text, by_character=True) == normal


def test_f1_by_character_on_hand_worked_vectors() -> None:
    cases = [
        ("北京市", "北京", 2 * 1 * (2 / 3) / (1 + 2 / 3), 0.0),
        ("《北京市》", "北京市。", 1.0, 1.0),
        ("1998年 9月", "1998年9月", 1.0, 1.0),
        ("苹果公司", "公司苹果", 1.0, 0.0),  # a bag of characters, where CMRC's longest common subsequence gives 0.5
        ("iPhone 手机", "手机", 2 * 1 * (2 / 3) / (1 + 2 / 3), 0.0),
        ("漢字", "かな", 0.0, 0.0),
    ]
    golds = prepare_golds([[gold] for gold, *_ in cases], v2=False, by_character=True)
    exact, f1 = golds.score([given for _, given, *_ in cases])
    assert f1.tolist() == pytest.approx([f1 for _, _, f1, _ in cases])
    assert exact.tolist() == [exact for *_, exact in cases]


@pytest.mark.parametrize(
    ("texts", "unspaced"),
    [
        (["北京市", "2008"], True),
        (["กรุงเทพ"], True),
        (["ຫລວງພະບາງ"], True),
        (["ភ្នំពេញ"], True),
        (["ရန်ကုန်"], True),
        (["東京タワー", "ひらがな"], True),
        (["서울", "부산"], False),
        (["Paris", "the city of 北京"], False),
        ([], False),
    ],
)
def test_the_script_of_the_answers_decides(texts: list[str], unspaced: bool) -> None:
    assert written_without_spaces(texts) is unspaced
    examples = [Example(str(n), "", "?", text, (Answer(text, 0),)) for n, text in enumerate(texts)]
    assert is_by_character(examples) is unspaced
    assert is_by_character(examples, "characters")
    assert not is_by_character(examples, "words")
    assert prepared(examples, allow_null=False).by_character is unspaced


# What follows reads the rules slowly and word by word, sharing nothing with the product's code.


def slow_normal(text: str) -> str:
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    spaced, word = [], ""
    for character in text + "\0":
        if character.isalnum() or character == "_":
            word += character
            continue
        spaced.append(" " if word in ("a", "an", "the") else word)
        spaced.append("" if character == "\0" else character)
        word = ""
    return " ".join("".join(spaced).split())


def slow_scores(golds: list[str], prediction: str, *, v2: bool) -> tuple[float, float]:
    if v2:
        golds = [gold for gold in golds if slow_normal(gold)] or [""]
    exact, f1 = 0.0, 0.0
    for gold in golds:
        exact = max(exact, float(slow_normal(gold) == slow_normal(prediction)))
        wanted, given = slow_normal(gold).split(), slow_normal(prediction).split()
        if v2 and (not wanted or not given):
            f1 = max(f1, float(wanted == given))
            continue
        shared = sum((Counter(wanted) & Counter(given)).values())
        if shared:
            precision, recall = shared / len(given), shared / len(wanted)
            f1 = max(f1, 2 * precision * recall / (precision + recall))
    return exact, f1


TEXTS = st.lists(
    st.sampled_from(["the", "a", "An", "cat", "Cat.", "sat", "1990\u201395", "-", "u.s.", " ", "\n", "élan", "猫"]),
    max_size=5,
).map(" ".join)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.lists(TEXTS, min_size=1, max_size=3), TEXTS), min_size=1, max_size=5), st.booleans())
def test_scores_equal_a_slow_reading(questions: list[tuple[list[str], str]], v2: bool) -> None:
    exact, f1 = prepare_golds([golds for golds, _ in questions], v2=v2).score([text for _, text in questions])
    expected = [slow_scores(golds, text, v2=v2) for golds, text in questions]
    assert list(zip(exact.tolist(), f1.tolist(), strict=True)) == expected
    for column, scores in enumerate((exact, f1)):
        total = 0.0
        for pair in expected:
            total += pair[column]
        assert percentage(scores) == 100.0 * total / len(expected)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from(["", "cat"]), st.integers(0, 4), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_best_threshold_by_trying_all(rows: list[tuple[float, str, int, bool]]) -> None:
    """With distinct probabilities the search is the best over "answer where the probability is at most t"."""
    order = random.Random(len(rows)).sample(range(100), len(rows))
    probability = np.array(order, float) / 100 + 0.001
    has_answer = np.array([has for *_, has in rows])
    text = [text for _, text, _, _ in rows]
    scores = np.array([score if has else float(not text) for score, text, _, has in rows])
    found, threshold = best_threshold(scores, text, probability, has_answer)

    def score_at(t: float) -> float:
        return sum(scores[n] if probability[n] <= t else float(not has_answer[n]) for n in range(len(rows)))

    tried = {t: score_at(t) for t in [0.0, *sorted(probability.tolist())]}
    assert found == pytest.approx(100 * max(tried.values()) / len(rows))
    assert tried[threshold] == pytest.approx(max(tried.values()))
    assert threshold == min(t for t, value in tried.items() if value > max(tried.values()) - 1e-9)


def slow_search(scores: list[float], texts: list[str], nulls: list[float], has: list[bool]) -> tuple[float, float]:
    """evaluate-v2.0.py's search in words: all blank at first; then one question after the other, least null first,
    is answered, and a score that beats all before is kept. Equal nulls stay in the file's order."""
    answered = sorted(range(len(scores)), key=lambda n: nulls[n])
    best, at = float(has.count(False)), 0.0
    reached = best
    for n in answered:
        reached += scores[n] if has[n] else -1.0 if texts[n] else 0.0
        if reached > best:
            best, at = reached, nulls[n]
    return 100.0 * best / len(scores), at


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(TEXTS.filter(lambda text: slow_normal(text) != ""), max_size=3),
            st.just("") | TEXTS,
            st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1),
)
def test_evaluate_v2_equals_a_slow_reading_on_random_null_scores(
    questions: list[tuple[list[str], str, float]], threshold: float
) -> None:
    golds, texts, nulls = [row[0] for row in questions], [row[1] for row in questions], [row[2] for row in questions]
    has = [bool(answers) for answers in golds]
    ours = evaluate_v2(prepare_golds(golds, v2=True), texts, np.array(nulls), threshold=threshold)
    expected: dict[str, float] = {"total": len(texts)}
    for column, name in enumerate(("exact", "f1")):
        raw = [slow_scores(answers or [""], text, v2=True)[column] for answers, text in zip(golds, texts, strict=True)]
        kept = [float(not has[n]) if nulls[n] > threshold else raw[n] for n in range(len(raw))]
        expected[name] = mean_of(kept)
        for part, wanted in (("HasAns", True), ("NoAns", False)):
            some = [score for score, answered in zip(kept, has, strict=True) if answered is wanted]
            if some:
                expected[f"{part}_{name}"], expected[f"{part}_total"] = mean_of(some), len(some)
        expected[f"best_{name}"], expected[f"best_{name}_thresh"] = slow_search(raw, texts, nulls, has)
    assert ours == expected


def mean_of(scores: list[float]) -> float:
    total = 0.0
    for score in scores:
        total += score
    return 100.0 * total / len(scores)


def test_threshold_is_zero_where_nothing_improves() -> None:
    assert best_threshold(np.zeros(2), ["cat", "cat"], np.array([0.1, 0.2]), np.array([False, True])) == (50.0, 0.0)


def test_evaluate_v2_names_and_sums() -> None:
    golds = prepare_golds([["cat"], ["black cat"], [], []], v2=True)
    texts, probability = ["cat", "cat", "dog", ""], np.array([0.1, 0.6, 0.9, 0.2])
    assert evaluate_v2(golds, texts) == {
        "exact": 50.0,
        "f1": 100 * (1 + 2 / 3 + 0 + 1) / 4,
        "total": 4,
        "HasAns_exact": 50.0,
        "HasAns_f1": 100 * (1 + 2 / 3) / 2,
        "HasAns_total": 2,
        "NoAns_exact": 50.0,
        "NoAns_f1": 50.0,
        "NoAns_total": 2,
    }
    ours = evaluate_v2(golds, texts, probability, threshold=0.5)
    assert ours["exact"] == 75.0  # the second and third count as "no answer": wrong for one, right for the other
    assert ours["HasAns_f1"] == 50.0
    assert ours["NoAns_exact"] == 100.0
    assert (ours["best_exact"], ours["best_exact_thresh"]) == (75.0, 0.1)
    assert (ours["best_f1"], ours["best_f1_thresh"]) == (100 * (1 + 2 / 3 + 2) / 4, 0.6)
    only_answerable = evaluate_v2(prepare_golds([["cat"]], v2=True), ["cat"])
    assert "NoAns_exact" not in only_answerable


def test_a_threshold_is_exceeded_and_not_met() -> None:
    golds = prepare_golds([["cat"]], v2=True)
    assert evaluate_v2(golds, ["cat"], np.array([0.5]), threshold=0.5)["exact"] == 100.0
    assert evaluate_v2(golds, ["cat"], np.array([0.5001]), threshold=0.5)["exact"] == 0.0


def test_blanked_predictions_cripple_the_search() -> None:
    """The search wants the best text of every question: an answer blanked before can't come back."""
    golds = prepare_golds([["cat"], []], v2=True)
    probability = np.array([0.4, 0.6])
    assert evaluate_v2(golds, ["cat", "dog"], probability)["best_exact"] == 100.0
    assert evaluate_v2(golds, ["", ""], probability)["best_exact"] == 50.0


def test_no_questions() -> None:
    golds = prepare_golds([], v2=False)
    assert [len(scores) for scores in golds.score([])] == [0, 0]
    assert percentage(np.zeros(0)) == 0.0


class TestHumanLine:
    def test_the_second_annotator_against_the_others(self) -> None:
        line = human_line([["cat", "black cat", "the cat"], ["dog"], ["sun", "sun"]])
        assert line == (50.0, 100 * (2 / 3 + 1) / 2, 2)

    def test_there_is_none_with_one_answer_each(self) -> None:
        assert human_line([["cat"], []]) is None

    def test_on_squad(self) -> None:
        path = REAL / "squad" / "dev-v1.1.json"
        if not path.exists():
            pytest.skip("real data is absent: squad/dev-v1.1.json")
        dataset = read_dataset(path)
        answers = [[answer.text for answer in example.answers] for example in (*dataset.train, *dataset.eval)]
        line = human_line(answers)
        assert line is not None
        exact, f1, questions = line
        assert (round(exact, 2), round(f1, 2)) == (81.53, 91.04)
        assert questions == 10_567

"""Explanations as lines: marks under exactly their tokens, readable without colour and in ASCII."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from engine.data.segments import CONTEXT, QUESTION, SPECIAL
from engine.messages import Answer, Explanation, Layers, MaskingTest, Method, Opinion, WindowScores
from tui.drawing.frame import ASCII, UNICODE
from tui.screens.explanation.layer_lines import layer_strips
from tui.screens.explanation.lines import (
    WEIGHT_GLYPHS,
    Weighed,
    beside,
    keys_strip,
    legend_strip,
    level,
    masking_strip,
    text_strips,
    word_strips,
)

QUESTION_TEXT, PASSAGE = "What helps?", "Take honey twice a day."
PLACES = [
    (SPECIAL, 0, 0), (QUESTION, 0, 4), (QUESTION, 5, 10), (QUESTION, 10, 11), (SPECIAL, 0, 0),
    (CONTEXT, 0, 4), (CONTEXT, 5, 8), (CONTEXT, 8, 10), (CONTEXT, 11, 16), (CONTEXT, 17, 18), (CONTEXT, 19, 22),
    (CONTEXT, 22, 23), (SPECIAL, 0, 0),
]  # fmt: skip
TEST = MaskingTest(masked=(1, 2, 5, 8, 10), before=0.9, after=0.125, after_random=0.8, draws=5)


def plain_style(role: str) -> Style:
    return Style.null()


def window(
    question: str = QUESTION_TEXT, passage: str = PASSAGE, places: list[tuple[int, int, int]] = PLACES
) -> WindowScores:
    texts = {SPECIAL: "[CLS]", QUESTION: question, CONTEXT: passage}
    return WindowScores(
        number=0,
        tokens=[texts[kind][low:high] if kind else "[SEP]" for kind, low, high in places],
        segment=[kind for kind, _, _ in places],
        char_start=[low for _, low, _ in places],
        char_end=[high for _, _, high in places],
        start_logits=[0.0] * len(places),
        end_logits=[0.0] * len(places),
        null_token=0,
        start=-1,
        end=-1,
    )


def explained(weights: list[float], *, start: int = 6, end: int = 7, method: Method = "gradient") -> Explanation:
    answer = Answer(
        text="honey", char_start=5, char_end=10, probability=0.8, score=3.0, null_odds=None, scores=(window(),)
    )
    opinion = Opinion(method=method, weights=weights, gap=0.03, test=TEST)
    return Explanation(id=1, answer=answer, start=start, end=end, probability=0.9, opinions=(opinion,), seconds=0.1)


WEIGHTS = [9.0, 4.0, 2.0, 0.1, 9.0, 1.0, 8.0, 4.0, -3.0, 0.0, 6.0, -8.0, 9.0]


def weighed(weights: list[float] = WEIGHTS) -> Weighed:
    found = explained(weights)
    return Weighed.of(found, found.opinions[0], QUESTION_TEXT, PASSAGE)


def test_a_mark_stands_under_its_token_and_the_answer_in_brackets() -> None:
    strips, at_answer = text_strips(weighed(), 40, plain_style, UNICODE)
    assert [strip.text.rstrip() for strip in strips] == [
        "What helps?",
        "▄▄▄▄ ▂▂▂▂▂",
        "",
        "Take ▼(honey) twice a day.",
        "▁▁▁▁   ███▄▄  ░░░░░   ▆▆▆▓",
    ]
    assert at_answer == 3


def test_ascii_marks() -> None:
    strips, _ = text_strips(weighed(), 40, plain_style, ASCII)
    assert [strip.text.rstrip() for strip in strips] == [
        "What helps?",
        ":::: .....",
        "",
        "Take v(honey) twice a day.",
        "....   ###::  -----   ooo%",
    ]


def test_levels_are_eighths_of_the_largest() -> None:
    assert [level(share) for share in (0, 0.06, 0.07, 0.5, 1, -0.5, -1, 2)] == [0, 0, 1, 4, 8, -4, -8, 8]
    for glyphs in WEIGHT_GLYPHS.values():
        assert not set(glyphs.supports) & set(glyphs.opposes), "for and against differ without colour"


def test_the_list_has_the_heaviest_words_with_what_became_of_them() -> None:
    strips = word_strips(weighed(), 34, 5, plain_style, UNICODE)
    assert [strip.text.rstrip() for strip in strips] == [
        " honey        ██████  33% answer",
        " .            ▓▓▓▓   -22%",
        " day          ███     17% masked",
        " What         ██      11% masked",
        " twice        ▓▓      -8% masked",
    ]
    ascii_lines = [strip.text for strip in word_strips(weighed(), 34, 5, plain_style, ASCII)]
    assert all(line.isascii() for line in ascii_lines)


def test_the_masking_test_says_whether_to_believe_it() -> None:
    text = masking_strip(TEST, plain_style).text
    assert text.strip() == "masking the top 5 90% → 12%; 5 random others (mean of 5) 90% → 80%   they matter"
    doubt = MaskingTest(masked=(1, 2, 3), before=0.02, after=0.019, after_random=0.01, draws=2)
    text = masking_strip(doubt, plain_style).text
    assert text.strip() == "masking the top 3 2.0% → 1.9%; 3 random others (mean of 2) 2.0% → 1.0%   doubt it"


@pytest.mark.parametrize("method", ["gradient", "integrated"])
def test_the_legend_names_the_marks(method: Method) -> None:
    opinion = explained(WEIGHTS, method=method).opinions[0]
    for glyphs in (UNICODE, ASCII):
        text = legend_strip(opinion, plain_style, glyphs).text
        assert WEIGHT_GLYPHS[glyphs].supports in text
        assert (WEIGHT_GLYPHS[glyphs].opposes in text) == (method == "integrated")
        assert ("+0.03" in text) == (method == "integrated")


def test_no_answer_has_no_brackets() -> None:
    found = explained(WEIGHTS, start=0, end=0)
    drawn = Weighed.of(found, found.opinions[0], QUESTION_TEXT, PASSAGE)
    strips, at_answer = text_strips(drawn, 60, plain_style, UNICODE)
    assert "Take honey twice" in "\n".join(strip.text for strip in strips)
    assert at_answer == 0
    assert not any("answer" in strip.text for strip in word_strips(drawn, 40, 9, plain_style, UNICODE))


def test_only_the_windows_part_of_a_passage_is_shown() -> None:
    places = [place for place in PLACES if not (place[0] == CONTEXT and (place[1] < 5 or place[1] > 16))]
    found = explained([1.0] * len(places), start=5, end=6)
    answer = msgspec.structs.replace(found.answer, scores=(window(places=places),))
    found = msgspec.structs.replace(found, answer=answer)
    drawn = Weighed.of(found, found.opinions[0], QUESTION_TEXT, PASSAGE)
    strips, _ = text_strips(drawn, 60, plain_style, UNICODE)
    assert strips[3].text.rstrip() == "…▼(honey) twice…"


@settings(max_examples=80, deadline=None)
@given(st.text(st.sampled_from("ab .語é\x1b\u202e👍"), min_size=1, max_size=60), st.integers(8, 30), st.data())
def test_text_and_marks_stay_in_their_cells(passage: str, width: int, data: st.DataObject) -> None:
    """Wide, hostile and combining characters: no line is too wide, marks are as wide as what they stand under."""
    places = [(SPECIAL, 0, 0), *((CONTEXT, at, at + 1) for at in range(len(passage)))]
    weights = [0.0, *(float(data.draw(st.integers(-8, 8))) for _ in passage)]
    answer = Answer(
        text="", char_start=0, char_end=1, probability=0.5, score=0.0, null_odds=None,
        scores=(window("", passage, places),),
    )  # fmt: skip
    opinion = Opinion(method="integrated", weights=weights, gap=0.0, test=TEST)
    found = Explanation(id=1, answer=answer, start=1, end=1, probability=0.5, opinions=(opinion,), seconds=0.1)
    drawn = Weighed.of(found, opinion, "", passage)
    glyphs = data.draw(st.sampled_from([UNICODE, ASCII]))
    for strip in text_strips(drawn, width, plain_style, glyphs)[0]:
        assert cell_len(strip.text) <= width
        assert not {"\x1b", "\u202e"} & set(strip.text)


def test_beside_and_keys_fit() -> None:
    left = word_strips(weighed(), 34, 2, plain_style, UNICODE)
    right, _ = text_strips(weighed(), 30, plain_style, UNICODE)
    lines = beside(left, right, 34, 6)
    assert len(lines) == 6
    assert lines[3].text.startswith(" " * 35 + "Take ▼(honey)")
    assert keys_strip([("esc", "back"), ("g", "gradient")], 12, plain_style).text == " esc back "


def layers_of(tokens: int, rows: int) -> Layers:
    shares = [[0.0] * tokens for _ in range(rows)]
    for number, row in enumerate(shares):
        row[5 if number < rows - 2 else 6] = 0.9
    ends = [[0.0] * tokens for _ in range(rows)]
    for row in ends:
        row[7] = 0.3
    answer = Answer(
        text="honey", char_start=5, char_end=10, probability=0.8, score=3.0, null_odds=None, scores=(window(),)
    )
    return Layers(
        id=1, answer=answer, start=6, end=7, start_logits=shares, end_logits=ends, start_probability=shares,
        end_probability=ends, seconds=0.1,
    )  # fmt: skip


def test_layers_are_two_maps_with_the_layer_the_answer_stands_from() -> None:
    strips = layer_strips(layers_of(len(PLACES), 4), 80, 19, layer=3, token=6, style=plain_style, glyphs=UNICODE)
    lines = [strip.text.rstrip() for strip in strips]
    assert len(lines) == 18
    assert lines[0].startswith(" start and end of the answer are likeliest from layer 2 on")
    assert "token 6" in lines[0]
    assert lines[1].strip() == "start of the answer"
    assert [line[:12].strip("› ") for line in lines[2:6]] == ["embedding", "layer 1", "layer 2", "layer 3"]
    assert [line[-1] for line in lines[2:6]] == ["✗", "✗", "✓", "✓"]
    assert lines[5].startswith("›")
    assert lines[2].index("█") == 13 + 5 * 5
    assert lines[4].index("█") == 13 + 6 * 5
    assert "▲ the model's answer" in lines[-1]


def test_seven_rows_of_a_small_model_fit_a_small_terminal() -> None:
    strips = layer_strips(layers_of(len(PLACES), 7), 80, 20, layer=6, token=-1, style=plain_style, glyphs=UNICODE)
    lines = [strip.text for strip in strips]
    assert len(lines) == 20
    assert sum("embedding" in line for line in lines) == 2
    assert sum("layer 6" in line for line in lines) == 2


def test_layers_in_ascii_and_narrow() -> None:
    for width, height in ((80, 12), (130, 40)):
        strips = layer_strips(
            layers_of(len(PLACES), 7), width, height, layer=6, token=-1, style=plain_style, glyphs=ASCII
        )
        assert len(strips) <= height
        assert all(strip.text.isascii() for strip in strips)
        assert max(strip.cell_length for strip in strips) <= width

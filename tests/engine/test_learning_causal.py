"""Models that read from left to right: what fits is trained, what does not is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import transformers

from engine.config import RunConfig
from engine.data.tokenizer import PairTokenizer
from engine.errors import ExitCode, ModelError
from engine.events import AnyEvent, Finished, Warned
from engine.learning.encoder.load import Model, load_model
from engine.learning.prepare import Task, prepare, window_length
from engine.learning.reading_order import check_reading_order, reads_left_to_right
from engine.models import model_in_folder
from tests.engine.test_learning_packed import SMALL, saved, windows
from tests.engine.test_learning_run import new_run, work
from tests.tiny_run import tiny_config

FUNNEL: dict[str, Any] = {
    "d_model": 32,
    "n_head": 2,
    "d_head": 16,
    "d_inner": 48,
    "block_sizes": [1, 1],
    "vocab_size": 90,
}
HUB: dict[str, tuple[Callable[[], Any], bool]] = {
    "gpt2": (
        lambda: transformers.GPT2ForQuestionAnswering(
            transformers.GPT2Config(vocab_size=90, n_embd=32, n_layer=2, n_head=2, n_positions=80)
        ),
        True,
    ),
    "llama": (lambda: transformers.LlamaForQuestionAnswering(transformers.LlamaConfig(**SMALL)), True),
    "bloom": (
        lambda: transformers.BloomForQuestionAnswering(
            transformers.BloomConfig(vocab_size=90, hidden_size=32, n_layer=2, n_head=2)
        ),
        True,
    ),
    "bert": (lambda: transformers.BertForQuestionAnswering(transformers.BertConfig(**SMALL)), False),
    "funnel": (lambda: transformers.FunnelForQuestionAnswering(transformers.FunnelConfig(**FUNNEL)), False),
    "xlnet": (
        lambda: transformers.XLNetForQuestionAnsweringSimple(
            transformers.XLNetConfig(vocab_size=90, d_model=32, n_layer=2, n_head=2, d_inner=48)
        ),
        False,
    ),
}


def loaded(folder: Path, *, packed: bool = True) -> Model:
    return load_model(model_in_folder(folder, name="odd", revision=None), seed=1, packed=packed)


@pytest.mark.parametrize("kind", HUB)
def test_the_order_of_reading_is_seen_by_trying(kind: str, tmp_path: Path) -> None:
    make, causal = HUB[kind]
    torch.manual_seed(1)
    make().save_pretrained(tmp_path)
    model = loaded(tmp_path, packed=False)
    before = torch.random.get_rng_state()
    assert reads_left_to_right(model, windows([7, 20])) == causal
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.network.training


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A run of a tiny GPT-2 with a tokenizer that begins windows with [CLS]."""
    made = tiny_config(tmp_path_factory.mktemp("tiny"), count=8)
    torch.manual_seed(1)
    shape = transformers.GPT2Config(vocab_size=193, n_embd=32, n_layer=2, n_head=2, n_positions=100)
    transformers.GPT2ForQuestionAnswering(shape).save_pretrained(made.model)
    return msgspec.structs.replace(made, early_snapshots=False, epochs=1)


def test_a_causal_model_is_trained_with_a_word_about_it(config: RunConfig, tmp_path: Path) -> None:
    events = work(new_run(config, tmp_path / "run"))
    said = [event.message for event in events if isinstance(event, Warned)]
    assert any("takes windows of 100 tokens at most" in message for message in said)
    assert any("reads from left to right: a token's score does not depend on what follows it." in m for m in said)
    assert isinstance(events[-1], Finished)


def task_of(config: RunConfig, **changes: Any) -> Task:
    return replace(prepare(config, lambda event: None), **changes)


def test_a_causal_model_that_reads_the_passage_first_is_refused(config: RunConfig) -> None:
    events: list[AnyEvent] = []
    model = loaded(Path(config.model))
    left = PairTokenizer.from_file(Path(config.model) / "tokenizer.json")
    left.question_first = False
    with pytest.raises(ModelError, match="puts the passage before the question") as raised:
        check_reading_order(model, task_of(config, tokenizer=left), events.append)
    assert "padding_side" in raised.value.hint
    assert raised.value.exit_code is ExitCode.NO_MODEL
    check_reading_order(model, task_of(config, allow_null=True), events.append)
    assert ['of "no answer", at the first token, depends on nothing' in e.message for e in events] == [True]  # type: ignore[union-attr]


def test_a_window_has_no_more_tokens_than_gpt2_has_positions(config: RunConfig) -> None:
    files = model_in_folder(Path(config.model), name="gpt2", revision=None)
    assert window_length(config, files) == 100


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_a_language_models_weights_are_found_below_the_head(kind: str, tmp_path: Path) -> None:
    """Hugging Face's class looks for `transformer.…`, and published files have `model.…`."""
    torch.manual_seed(1)
    published: Any = (
        transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL))
        if kind == "llama"
        else transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SMALL, num_key_value_heads=2, head_dim=8))
    )
    published.save_pretrained(tmp_path / "published")
    model = loaded(tmp_path / "published")
    hub_model: Any = model.network.model
    torch.testing.assert_close(hub_model.transformer.state_dict(), published.model.state_dict(), rtol=0, atol=0)
    (tmp_path / "out").mkdir()
    model.save(tmp_path / "out")
    again, report = transformers.AutoModelForQuestionAnswering.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    torch.testing.assert_close(again.state_dict(), hub_model.state_dict(), rtol=0, atol=0)

    config = tmp_path / "published" / "config.json"
    described = msgspec.json.decode(config.read_bytes())
    described["num_hidden_layers"] = 3
    described.pop("layer_types", None)
    config.write_bytes(msgspec.json.encode(described))
    with pytest.raises(ModelError, match=r"its weights lack layers\.2\."):
        loaded(tmp_path / "published")


def test_an_architecture_without_a_question_answering_head_is_named(tmp_path: Path) -> None:
    transformers.PhiForCausalLM(transformers.PhiConfig(**SMALL)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no question-answering model of its architecture, phi"):
        loaded(tmp_path)


def test_encoders_without_padding_are_not_tried(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    model = loaded(tmp_path)
    model.network.forward = None  # type: ignore[assignment]
    nothing: Any = np.empty(0)
    check_reading_order(model, nothing, lambda event: None)

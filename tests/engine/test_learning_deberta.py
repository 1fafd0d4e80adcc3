"""DeBERTa-v3 in training: buckets, micro-batches, gradient checkpointing, frozen layers, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from engine.errors import UserError
from engine.learning.checkpoint import restore, save_checkpoint
from engine.learning.encoder.families.deberta_v2 import DebertaConfig, bucket
from engine.learning.encoder.families.registry import read_config
from engine.learning.encoder.freeze import freeze_layers
from engine.learning.encoder.load import Model, load_model
from engine.models import model_in_folder
from engine.rundir.layout import RunDir
from tests.engine.test_learning_batches import WINDOWS, learner_of, state_of
from tests.engine.test_learning_packed import DEBERTA, saved

V3_BASE: dict[str, Any] = DEBERTA | {
    "model_type": "deberta-v2",
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 128100,
    "max_position_embeddings": 512,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "pos_att_type": "p2c|c2p",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("deberta")
    saved("deberta-v2", made, spread=0.05)
    return made


def model_of(folder: Path) -> Model:
    return load_model(model_in_folder(folder, name="deberta", revision=None), seed=1)


@pytest.mark.parametrize("changes", [{}, {"position_buckets": -1}, {"position_buckets": 32}])
def test_buckets_of_distances_are_hugging_faces(changes: dict[str, Any]) -> None:
    shape = read_config(V3_BASE | changes)
    assert isinstance(shape, DebertaConfig)
    assert (shape.hidden, shape.heads, shape.longest, shape.norm_eps) == (768, 12, 512, 1e-7)
    side = torch.empty(1, 512, 1)
    theirs = build_relative_position(side, side, bucket_size=(V3_BASE | changes)["position_buckets"], max_position=512)
    place = torch.arange(512)
    found = bucket(place[:, None] - place, shape)
    assert torch.equal(found, (theirs[0] + shape.span).clamp(0, 2 * shape.span - 1))
    assert len(found.unique()) == 2 * shape.span - 1


def test_a_step_cut_into_parts_drops_the_same_values(folder: Path) -> None:
    """Those of relative positions too, which all windows of a step share."""
    whole, parts = learner_of(model_of(folder)), learner_of(model_of(folder), micro=3)
    for _ in range(3):
        (one,), (many,) = whole.learn(WINDOWS), parts.learn(WINDOWS)
        assert many.loss == pytest.approx(one.loss, rel=1e-5)
        assert many.grad_norm == pytest.approx(one.grad_norm, rel=1e-4)


def test_layers_computed_twice_learn_the_same(folder: Path) -> None:
    plain, saving = learner_of(model_of(folder)), learner_of(model_of(folder))
    saving.model.checkpoint_gradients()
    for _ in range(2):
        assert saving.learn(WINDOWS)[0].loss == plain.learn(WINDOWS)[0].loss
    torch.testing.assert_close(state_of(saving.model), state_of(plain.model), rtol=0, atol=1e-7)


def test_relative_positions_freeze_with_the_embeddings(folder: Path) -> None:
    model = model_of(folder)
    before = state_of(model)
    freeze_layers(model.network, 1)
    learner_of(model).learn(WINDOWS)
    still = {name for name, parameter in state_of(model).items() if torch.equal(parameter, before[name])}
    assert {name for name in before if name.startswith(("word_", "embedding_", "relative", "layers.0."))} == still


def test_training_goes_on_from_a_checkpoint_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    whole, first = learner_of(model_of(folder)), learner_of(model_of(folder))
    for _ in range(4):
        whole.learn(WINDOWS)
    for _ in range(2):
        first.learn(WINDOWS)
    run = RunDir(tmp_path)
    run.checkpoints.mkdir()
    written = run.path / save_checkpoint(run, first).path
    second = learner_of(model_of(written))
    restore(second, written)
    for _ in range(2):
        second.learn(WINDOWS)
    assert second.step == whole.step
    torch.testing.assert_close(state_of(second.model), state_of(whole.model), rtol=0, atol=0)


def test_a_checkpoint_of_hugging_faces_code_is_not_gone_on_from(folder: Path, tmp_path: Path) -> None:
    """Earlier versions ran DeBERTa through it; the optimizer's state has other names there."""
    former = learner_of(load_model(model_in_folder(folder, name="deberta", revision=None), seed=1, packed=False))
    former.learn(WINDOWS)
    run = RunDir(tmp_path)
    run.checkpoints.mkdir()
    written = run.path / save_checkpoint(run, former).path
    learner = learner_of(model_of(written))
    with pytest.raises(UserError, match="another version of bertqa-tui"):
        restore(learner, written)
    assert learner.step == 0

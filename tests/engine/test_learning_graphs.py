"""Steps recorded once for each size of batch: filling changes no number, and what can't be recorded goes on without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import BertConfig, BertForQuestionAnswering

from engine.data.features import Features
from engine.learning import graphs, steps
from engine.learning.batches import make_batch
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.load import Model, load_model
from engine.learning.encoder.packed import PackedEncoder
from engine.learning.graphs import StepGraphs, can_record, filled, filled_size
from engine.learning.schedule import Plan
from engine.learning.steps import Learner, span_loss
from engine.models import model_in_folder
from tests.engine.test_learning_packed import windows

LENGTHS = [17, 5, 40, 31, 17, 64, 3, 24]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bert")
    torch.manual_seed(3)
    small = BertConfig(
        vocab_size=200, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96,
        max_position_embeddings=80, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertForQuestionAnswering(small).save_pretrained(made)
    return made


def model_on(folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Model:
    files = model_in_folder(folder, name="bert", revision=None)
    return load_model(files, seed=1, device=torch.device(device), dtype=dtype)


def learner_of(model: Model, features: Features) -> Learner:
    plan = Plan(
        seed=5, batch_size=4, epochs=1, steps_per_epoch=20, lr=1e-3, warmup_steps=0, weight_decay=0.01,
        max_grad_norm=1.0,
    )  # fmt: skip
    return Learner(model, plan, features)


def batches() -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    return [np.array(chosen) for chosen in ([0, 1, 2, 3], [4, 5, 6, 7], [5, 2, 3, 7], [6, 1], [0, 2, 4, 6])]


@given(st.integers(1, 400_000))
def test_a_batch_is_filled_up_a_little_to_one_of_few_sizes(tokens: int) -> None:
    size = filled_size(tokens)
    assert tokens <= size < tokens + max(256, tokens / 8)
    assert size % 256 == 0
    assert filled_size(size) == size


@pytest.mark.parametrize("windows_held", [8, 11])
@pytest.mark.parametrize("tokens", [sum(LENGTHS), 256])
def test_filling_changes_neither_loss_nor_gradients(folder: Path, windows_held: int, tokens: int) -> None:
    features = windows(LENGTHS)
    plain = make_batch(features, np.arange(len(LENGTHS)))
    full = filled(plain, tokens, windows_held)
    assert (len(full.input_ids), len(full.lengths), len(full.bounds)) == (tokens, windows_held + 1, windows_held + 2)
    results = []
    for batch in (plain, full):
        network = model_on(folder).network
        loss = span_loss(network(batch, None, torch.float32), batch, len(LENGTHS))
        torch.autograd.backward(loss)
        results.append((loss.detach(), [p.grad for p in network.parameters()]))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-6)


def test_a_batch_travels_as_one_array() -> None:
    batch = filled(make_batch(windows(LENGTHS), np.arange(8)), 256, 9)
    other = graphs._unpacked(graphs._packed(batch), 256, 9, 70)
    for name in ("input_ids", "type_ids", "position", "row", "bounds", "target"):
        torch.testing.assert_close(getattr(other, name), getattr(batch, name), rtol=0, atol=0)
    assert other.lengths == [70] * 10


class Recorded(StepGraphs):
    """What a graph does on a GPU, on a CPU: the same computation again on the same tensors."""

    captures = 0

    def __init__(self, model: Model, windows: int, longest: int, step: Callable[[Batch], Tensor], idle: Tensor) -> None:
        # A GPU reads the lengths from the bounds on the device.
        def step_of(batch: Batch) -> Tensor:
            return step(replace(batch, lengths=batch.bounds.diff().tolist()))

        super().__init__(model, windows, longest, step_of, idle)

    def _capture(self, compute: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        type(self).captures += 1
        before = [p.detach().clone() for p in self._model.network.parameters()]
        self._rehearse(compute)
        torch.testing.assert_close([p.detach() for p in self._model.network.parameters()], before, rtol=0, atol=0)
        values = torch.zeros(3)

        def replay() -> None:
            values.copy_(compute())

        return replay, values


class Unrecordable(Recorded):
    def _capture(self, compute: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        self._rehearse(compute)
        raise RuntimeError("out of memory, say")


@pytest.mark.parametrize("kind", [Recorded, Unrecordable])
def test_recorded_steps_learn_what_others_learn(
    kind: type[StepGraphs], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    features = windows(LENGTHS)
    plain = learner_of(model_on(folder), features)
    assert not plain.records_graphs
    monkeypatch.setattr(steps, "can_record", lambda model: True)
    monkeypatch.setattr(steps, "StepGraphs", kind)
    recorded = learner_of(model_on(folder), features)
    assert recorded.records_graphs
    Recorded.captures = 0
    for chosen in batches() * 2:
        (one,), (other,) = plain.learn(chosen), recorded.learn(chosen)
        assert other.loss == pytest.approx(one.loss, rel=1e-5)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-4)
    assert Recorded.captures == (kind is Recorded)  # all batches are filled up to one size
    assert ("kernel by kernel: out of memory, say" in capsys.readouterr().err) == (kind is Unrecordable)


def test_steps_that_are_read_together_have_a_time_each(folder: Path) -> None:
    learner = learner_of(model_on(folder), windows(LENGTHS))
    learner._read_later = 4  # as on a GPU
    known = [values for chosen in batches() for values in learner.learn(chosen)]
    read_at_once = learner.settle()
    assert (len(known), len(read_at_once)) == (1, 4)
    assert all(values.seconds > 1e-4 for values in read_at_once)


def test_graphs_are_few(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 0)
    batch = make_batch(windows(LENGTHS), np.arange(4))
    assert not StepGraphs(model_on(folder), 4, 64, lambda batch: torch.zeros(3), torch.zeros(())).takes(batch)


def test_a_cpu_records_nothing(folder: Path) -> None:
    assert not can_record(model_on(folder, dtype=torch.bfloat16))


@needs_gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_graphs_on_a_gpu_learn_what_kernels_one_by_one_learn(folder: Path, compiled: bool) -> None:
    features = windows(LENGTHS)
    losses = []
    for recorded in (False, True):
        learner = learner_of(model_on(folder, "cuda", torch.bfloat16), features)
        assert learner.records_graphs
        if not recorded:
            learner._graphs = None
        elif compiled:
            network = learner.model.network
            assert isinstance(network, PackedEncoder)
            network.compile_layers(torch.bfloat16)
        known = [values for chosen in batches() * 4 for values in learner.learn(chosen)] + learner.settle()
        assert all(values.seconds > 1e-5 for values in known)
        losses.append([values.loss for values in known])
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03, atol=0.03)
    assert losses[1][-1] < 0.8 * losses[1][0]

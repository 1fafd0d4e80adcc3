"""Batches that do not fit at once: added up, halved, computed twice, with fewer bits or fewer layers; on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from transformers import FNetConfig, FNetForQuestionAnswering

from engine.config import RunConfig
from engine.errors import ExitCode, ModelError, UsageError
from engine.events import Failed, Step, Warned
from engine.learning import loss_scale as scaling
from engine.learning.encoder.freeze import freeze_layers
from engine.learning.encoder.load import DTYPES, Model, load_model
from engine.learning.encoder.packed import Layer, PackedEncoder
from engine.learning.evaluation import score_windows
from engine.learning.loss_scale import LossScale
from engine.learning.schedule import Plan
from engine.learning.steps import Learner, Windows
from engine.models import model_in_folder
from engine.rundir.layout import RunDir
from tests.engine.test_learning_packed import saved, windows
from tests.engine.test_learning_run import new_run, weights, work
from tests.tiny_run import tiny_config

LENGTHS = [12, 30, 7, 25, 18, 9, 22, 14]
WINDOWS = np.arange(len(LENGTHS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bert")
    saved("bert", made)
    return made


def model_of(folder: Path, *, packed: bool = True, dtype: torch.dtype = torch.float32) -> Model:
    return load_model(model_in_folder(folder, name="bert", revision=None), seed=1, packed=packed, dtype=dtype)


def learner_of(model: Model, *, micro: int = 8) -> Learner:
    plan = Plan(
        seed=5, batch_size=8, epochs=1, steps_per_epoch=20, lr=1e-3, warmup_steps=0, weight_decay=0.01,
        max_grad_norm=1.0, micro_batch_size=micro,
    )  # fmt: skip
    return Learner(model, plan, windows(LENGTHS))


def state_of(model: Model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.network.named_parameters()}


@pytest.mark.parametrize("micro", [1, 3, 4])
def test_accumulated_gradients_are_those_of_one_batch(folder: Path, micro: int) -> None:
    """Dropout too: a window drops the same values wherever the step is cut."""
    whole, parts = learner_of(model_of(folder)), learner_of(model_of(folder), micro=micro)
    for _ in range(3):
        (one,), (many,) = whole.learn(WINDOWS), parts.learn(WINDOWS)
        assert many.loss == pytest.approx(one.loss, rel=1e-5)
        assert many.grad_norm == pytest.approx(one.grad_norm, rel=1e-4)
        assert many.windows == one.windows == 8
    # The gradient of some biases is zero but for rounding, which AdamW blows up: softmax sees no shift.
    matrices = [{n: p for n, p in state_of(each.model).items() if p.ndim > 1} for each in (parts, whole)]
    torch.testing.assert_close(*matrices, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_gradient_checkpointing_changes_no_number(folder: Path, packed: bool) -> None:
    plain, saving = learner_of(model_of(folder, packed=packed)), learner_of(model_of(folder, packed=packed))
    saving.model.checkpoint_gradients()
    for _ in range(2):
        (one,), (other,) = plain.learn(WINDOWS), saving.learn(WINDOWS)
        assert other.loss == one.loss
    assert all(parameter.grad is None for parameter in saving.model.network.parameters())
    torch.testing.assert_close(state_of(saving.model), state_of(plain.model), rtol=0, atol=1e-7)


@pytest.mark.parametrize("packed", [True, False])
def test_frozen_layers_stay_as_they_are(folder: Path, packed: bool) -> None:
    model = model_of(folder, packed=packed)
    before = state_of(model)
    freeze_layers(model.network, 1)
    learner = learner_of(model)
    learner.learn(WINDOWS)
    moved = {name for name, parameter in state_of(model).items() if not torch.equal(parameter, before[name])}
    assert moved
    assert not any("embedding" in name or ".0." in name or name.startswith("layers.0.") for name in moved)
    assert any(".1." in name for name in moved)
    with pytest.raises(UsageError, match="has 2 layers"):
        freeze_layers(model.network, 3)


@pytest.mark.parametrize("most", [1, 3, None])
def test_scores_do_not_depend_on_how_many_are_computed_together(folder: Path, most: int | None) -> None:
    model = model_of(folder)
    expected = score_windows(model, windows(LENGTHS))
    found = score_windows(model, windows(LENGTHS), max_windows=most)
    np.testing.assert_allclose(found, expected, atol=1e-5)


class OutOfMemory:
    """Stands in for a device on which more than `most` windows at a time are too many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.asked: list[int] = []
        real = Learner._backward

        def backward(learner: Learner, part: Windows, first: int, count: int) -> torch.Tensor:
            self.asked.append(len(part))
            if len(part) > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(learner, part, first, count)

        monkeypatch.setattr(Learner, "_backward", backward)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    made = tiny_config(tmp_path_factory.mktemp("tiny"), count=16)
    return msgspec.structs.replace(made, early_snapshots=False, epochs=1, batch_size=8)


def test_out_of_memory_halves_the_batch_and_goes_on(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the same step, with the same batch in all, and it says so."""
    usual = new_run(config, tmp_path / "usual")
    before = [event for event in work(usual) if isinstance(event, Step)]
    device = OutOfMemory(monkeypatch, most=3)
    run = new_run(config, tmp_path / "run", auto_find_batch_size=True)
    events = work(run)
    after = [event for event in events if isinstance(event, Step)]
    assert device.asked[:3] == [8, 4, 2]
    assert [step.step for step in after] == [step.step for step in before]
    assert [step.loss for step in after] == pytest.approx([step.loss for step in before], rel=1e-4)
    told = [event.message for event in events if isinstance(event, Warned) if "out of memory" in event.message]
    assert len(told) == 2
    assert "it goes on with 2, 4 of these batches make a step of 8" in told[1]


def test_without_being_asked_it_fails(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OutOfMemory(monkeypatch, most=3)
    with pytest.raises(torch.OutOfMemoryError):
        work(new_run(config, tmp_path / "run"))


OPTIONS: dict[str, dict[str, Any]] = {
    "accumulation": {"batch_size": 2, "gradient_accumulation_steps": 4},
    "checkpointing": {"gradient_checkpointing": True},
    "frozen": {"freeze_layers": 1},
    "cosine": {"lr_scheduler_type": "cosine"},
    "fp16": {"precision": "fp16"},
    "eval batch": {"eval_batch_size": 3},
}


@pytest.mark.parametrize("changes", OPTIONS.values(), ids=OPTIONS)
def test_a_resumed_run_ends_with_the_same_weights(config: RunConfig, tmp_path: Path, changes: dict[str, Any]) -> None:
    whole, parts = (new_run(config, tmp_path / name, epochs=2, **changes) for name in ("whole", "parts"))
    work(whole)
    work(parts, stop_after=1)
    work(parts)
    assert weights(whole) == weights(parts)


def test_accumulation_counts_a_step_for_all_its_batches(config: RunConfig, tmp_path: Path) -> None:
    one = [e for e in work(new_run(config, tmp_path / "one")) if isinstance(e, Step)]
    options = OPTIONS["accumulation"]
    four = [e for e in work(new_run(config, tmp_path / "four", **options)) if isinstance(e, Step)]
    assert [(step.step, step.learning_rate) for step in four] == [(step.step, step.learning_rate) for step in one]
    assert [step.loss for step in four] == pytest.approx([step.loss for step in one], rel=1e-4)


# -- float16 --------------------------------------------------------------------------------------------------


def test_the_scale_is_halved_by_an_overflow_and_doubled_after_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "GROW_AFTER", 3)
    scale = LossScale(torch.device("cpu"), enabled=True)
    good, bad = torch.ones(()), torch.zeros(())
    factors = []
    for finite in (good, bad, good, good, good, good):
        scale.update(finite)
        factors.append(float(scale.factor) / scaling.START)
    assert factors == [1, 0.5, 0.5, 0.5, 1, 1]
    gradient = torch.tensor([float(scale.factor)])
    scale.unscale([gradient])
    assert gradient.tolist() == [1.0]


def test_an_overflow_skips_the_step_and_is_no_fault(folder: Path) -> None:
    learner = learner_of(model_of(folder, dtype=torch.float16))
    learner.loss_scale.state[0] = 2.0**60  # gradients overflow whatever they are
    before = state_of(learner.model)
    (values,) = learner.learn(WINDOWS)
    assert values.finite
    assert not np.isfinite(values.grad_norm)
    torch.testing.assert_close(state_of(learner.model), before, rtol=0, atol=0)
    assert float(learner.loss_scale.factor) == 2.0**59
    learner.loss_scale.state[0] = 2.0**8
    (values,) = learner.learn(WINDOWS)
    assert np.isfinite(values.grad_norm)
    assert not torch.equal(next(iter(state_of(learner.model).values())), next(iter(before.values())))


def test_numbers_that_are_wrong_at_every_scale_are_a_fault(folder: Path) -> None:
    learner = learner_of(model_of(folder, dtype=torch.float16))
    learner.loss_scale.state[0] = scaling.LEAST
    with torch.no_grad():
        next(iter(learner.model.network.parameters())).fill_(float("nan"))
    (values,) = learner.learn(WINDOWS)
    assert not values.finite


def test_float16_learns_what_float32_does(folder: Path) -> None:
    exact, half = learner_of(model_of(folder)), learner_of(model_of(folder, dtype=torch.float16))
    assert half.model.precision == "fp16"
    for _ in range(4):
        (one,), (other,) = exact.learn(WINDOWS), half.learn(WINDOWS)
        assert other.loss == pytest.approx(one.loss, rel=0.02)


@pytest.mark.parametrize("packed", [True, False])
def test_attention_drops_as_often_as_asked_for(folder: Path, packed: bool) -> None:
    files = model_in_folder(folder, name="bert", revision=None)
    never = load_model(files, seed=1, packed=packed, attention_dropout=0.0).network
    often = load_model(files, seed=1, packed=packed, attention_dropout=0.3).network
    for network, asked in ((never, 0.0), (often, 0.3)):
        if isinstance(network, PackedEncoder):
            assert {layer.shape.attention_dropout for layer in network.layers if isinstance(layer, Layer)} == {asked}
        else:
            rates = {part.p for name, part in network.named_modules() if name.endswith("self.dropout")}
            assert rates == {asked}


def test_a_model_without_attention_dropout_says_so(tmp_path: Path) -> None:
    small = FNetConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, intermediate_size=16)
    FNetForQuestionAnswering(small).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"odd: its config.json names no dropout of attention probabilities"):
        load_model(model_in_folder(tmp_path, name="odd", revision=None), seed=1, attention_dropout=0.0)


def test_every_precision_has_its_dtype() -> None:
    assert set(DTYPES) | {"auto"} == {"auto", "fp32", "bf16", "fp16"}


# -- models that do not fit -----------------------------------------------------------------------------------


def test_an_encoder_decoder_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(msgspec.json.encode({"model_type": "t5", "is_encoder_decoder": True}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="an encoder-decoder writes its answers") as raised:
        load_model(model_in_folder(tmp_path, name="t5-small", revision=None), seed=1)
    assert raised.value.exit_code is ExitCode.NO_MODEL


def test_nothing_failed(config: RunConfig, tmp_path: Path) -> None:
    run: RunDir = new_run(config, tmp_path / "run", lr_scheduler_type="constant", gradient_checkpointing=True)
    assert not [event for event in work(run) if isinstance(event, Failed)]

"""The schedule is Hugging Face's, and the optimizer torch's, over many steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import RunConfig, Scheduler
from engine.learning.encoder.load import load_model
from engine.learning.encoder.optimizer import BETAS, EPS, MOMENTS, AdamW
from engine.learning.schedule import Plan, make_plan
from engine.learning.steps import make_optimizer
from engine.models import model_in_folder
from tests.engine.test_learning_packed import saved, windows

SHAPES = [(6, 4), (4,), (3, 5), (5,), (1,), (2, 3, 2)]
GO_ON, SKIP, WHOLE = torch.zeros(()), torch.ones(()), torch.ones(())


def plan_of(epochs: int, per_epoch: int, warmup: int, lr: float = 3e-4) -> Plan:
    return Plan(
        seed=1, batch_size=4, epochs=epochs, steps_per_epoch=per_epoch, lr=lr, warmup_steps=warmup,
        weight_decay=0.01, max_grad_norm=1.0,
    )  # fmt: skip


def hugging_faces_rates(total: int, warmup: int, lr: float) -> list[float]:
    """The rate of every step as a training loop sees it: step the optimizer, then the schedule."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, warmup, total)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.floats(0, 1), st.floats(1e-6, 1))
def test_the_schedule_is_hugging_faces_without_its_idle_first_step(
    epochs: int, per_epoch: int, share: float, lr: float
) -> None:
    """Theirs gives the first step of a warm-up the rate 0: it learns nothing. Ours is theirs from its second step on,
    so that it has one step more; behind the warm-up, and without one, the two are the same step by step."""
    plan = plan_of(epochs, per_epoch, round(share * epochs * per_epoch), lr)
    total, warmup = plan.total_steps, plan.warmup_steps
    ours = [plan.learning_rate(step) for step in range(1, total + 1)]
    np.testing.assert_allclose(ours, hugging_faces_rates(total + 1, warmup + 1, lr)[1:], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(ours[warmup:], hugging_faces_rates(total, warmup, lr)[warmup:], rtol=1e-9, atol=1e-15)
    assert all(0 < rate <= lr * (1 + 1e-9) for rate in ours)


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        ("cosine", transformers.get_cosine_schedule_with_warmup),
        (
            "constant_with_warmup",
            lambda optimizer, warmup, total: transformers.get_constant_schedule_with_warmup(optimizer, warmup),
        ),
        ("constant", lambda optimizer, warmup, total: transformers.get_constant_schedule(optimizer)),
    ],
)
@pytest.mark.parametrize("warmup", [0, 3])
def test_other_schedules_are_hugging_faces_too(kind: Scheduler, theirs: Any, warmup: int) -> None:
    """Behind the warm-up step by step; within it without their idle first step."""
    plan = replace(plan_of(4, 6, warmup), scheduler=kind)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=plan.lr)
    schedule = theirs(optimizer, warmup, plan.total_steps)
    rates = []
    for _ in range(plan.total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    ours = [plan.learning_rate(step) for step in range(1, plan.total_steps + 1)]
    first = 0 if kind == "constant" else warmup
    np.testing.assert_allclose(ours[first:], rates[first:], rtol=1e-6)
    rising = [plan.lr * (step + 1) / (warmup + 1) for step in range(first)]
    np.testing.assert_allclose(ours[:first], rising)


def test_the_plan_takes_its_numbers_from_the_options() -> None:
    features = windows([10] * 22)
    config = RunConfig(dataset="-", batch_size=4, epochs=3, warmup_ratio=0.25, lr=1e-3, weight_decay=0.02, seed=9)
    plan = make_plan(config, features, parameters=1)
    per_epoch = plan.steps_per_epoch
    assert plan == Plan(
        seed=9, batch_size=4, epochs=3, steps_per_epoch=per_epoch, lr=1e-3, warmup_steps=round(0.75 * per_epoch),
        weight_decay=0.02, max_grad_norm=1.0, scheduler="linear", micro_batch_size=4,
    )  # fmt: skip
    assert plan.total_steps == 3 * per_epoch


def parameters() -> list[torch.nn.Parameter]:
    torch.manual_seed(4)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def give_gradients(pairs: list[tuple[torch.nn.Parameter, torch.nn.Parameter]], seed: int) -> None:
    """The same random gradient to both of a pair; now and then none, as for a layer that a step does not use."""
    generator = torch.Generator().manual_seed(seed)
    for number, (mine, other) in enumerate(pairs):
        gradient = torch.randn(mine.shape, generator=generator) * 10.0 ** (number - 2)
        mine.grad, other.grad = (None, None) if number == seed % 7 else (gradient.clone(), gradient.clone())


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.5])
def test_the_optimizer_is_torchs(decay: float) -> None:
    """Over twelve steps with a rate that changes, and gradients that are clipped from the seventh on; the first three
    parameters decay, the others do not."""
    mine, others = parameters(), parameters()
    ours = AdamW([(mine[:3], decay), (mine[3:], 0.0)])
    theirs = torch.optim.AdamW(
        [{"params": others[:3], "weight_decay": decay}, {"params": others[3:], "weight_decay": 0.0}],
        betas=BETAS, eps=EPS, foreach=False,
    )  # fmt: skip
    start = parameters()
    for step in range(1, 13):
        give_gradients(list(zip(mine, others, strict=True)), step)
        rate = 0.02 / step
        for group in theirs.param_groups:
            group["lr"] = rate
        clipped = step > 6
        norm = torch.nn.utils.clip_grad_norm_(others, 0.1) if clipped else WHOLE
        theirs.step()
        ours.step(rate, skip=GO_ON, divide=norm / 0.1 if clipped else WHOLE)
        for ours_now, theirs_now in zip(mine, others, strict=True):
            torch.testing.assert_close(ours_now, theirs_now, rtol=1e-5, atol=1e-7)
        ours.zero_grad()
        assert all(parameter.grad is None for parameter in mine)
    assert not any(torch.equal(now, before) for now, before in zip(mine, start, strict=True))
    for ours_now, theirs_now in zip(mine, others, strict=True):
        for kind in MOMENTS:
            torch.testing.assert_close(ours.state[ours_now][kind], theirs.state[theirs_now][kind], rtol=1e-5, atol=1e-7)


def test_a_skipped_step_changes_nothing() -> None:
    mine = parameters()
    optimizer = AdamW([(mine, 0.5)])
    give_gradients(list(zip(mine, parameters(), strict=True)), 0)
    optimizer.step(0.01, skip=GO_ON, divide=WHOLE)
    before = [parameter.detach().clone() for parameter in mine]
    state = [{kind: value.clone() for kind, value in optimizer.state.get(p, {}).items()} for p in mine]
    optimizer.step(0.01, skip=SKIP, divide=WHOLE)
    for parameter, was, held in zip(mine, before, state, strict=True):
        torch.testing.assert_close(parameter.detach(), was, rtol=0, atol=0)
        torch.testing.assert_close(optimizer.state.get(parameter, {}), held, rtol=0, atol=0)


@pytest.mark.parametrize("packed", [True, False])
def test_matrices_decay_and_biases_and_normalisation_do_not(packed: bool, tmp_path: Path) -> None:
    """With gradients of zero only decay moves a weight, by rate times decay of it."""
    saved("bert", tmp_path)
    network = load_model(model_in_folder(tmp_path, name="bert", revision=None), seed=1, packed=packed).network
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = make_optimizer(network, plan_of(1, 1, 0))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.5, skip=GO_ON, divide=WHOLE)
    kept = {name for name in before if name.endswith("bias") or "norm" in name.lower()}
    expected = {name: was if name in kept else was * (1 - 0.5 * 0.01) for name, was in before.items()}
    now = {name: parameter.detach() for name, parameter in network.named_parameters()}
    torch.testing.assert_close(now, expected)
    assert 0 < len(kept) < len(before)

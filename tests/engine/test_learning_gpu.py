"""What a GPU computes otherwise than a CPU. Tests that need one skip, saying so, where there is none; the others
let the same code run on tensors that have a device and a shape, but no values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.config import RunConfig
from engine.learning.batches import epoch_batches, make_batch
from engine.learning.encoder import attention
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.load import Model, load_model
from engine.learning.encoder.packed import PackedEncoder
from engine.learning.evaluation import score_windows
from engine.learning.schedule import make_plan
from engine.learning.steps import Learner, span_loss
from engine.models import model_in_folder
from tests.engine.test_learning_packed import saved, windows

LENGTHS = [17, 5, 40, 31, 17, 70, 3, 24]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def model_on(device: str, folder: Path, dtype: torch.dtype, kind: str = "bert") -> Model:
    saved(kind, folder, spread=0.05)
    files = model_in_folder(folder, name=kind, revision=None)
    return load_model(files, seed=1, device=torch.device(device), dtype=dtype)


def random_qkv(batch: Batch, width: int) -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randn(int(batch.bounds[-1]), 3 * width, requires_grad=True)


def test_attention_that_pads_equals_attention_that_does_not() -> None:
    batch = make_batch(windows(LENGTHS), np.arange(len(LENGTHS)))
    heads, qkv = 4, random_qkv(batch, 32)
    direction = torch.randn(len(qkv), 32)
    q, k, v = qkv.view(-1, 3, heads, 8).unbind(1)
    plain = attention.attend(qkv, batch, heads, None, 0.0, training=True)
    padded = attention._padded(q, k, v, batch, 0.0)
    torch.testing.assert_close(padded, plain, rtol=1e-4, atol=1e-5)
    (mine,) = torch.autograd.grad(plain, qkv, direction)
    (others,) = torch.autograd.grad(padded, qkv, direction)
    torch.testing.assert_close(mine, others, rtol=1e-4, atol=1e-5)


def test_flash_attention_takes_what_it_is_given() -> None:
    batch = make_batch(windows(LENGTHS), np.arange(len(LENGTHS)), device=torch.device("meta"))
    qkv = torch.empty(sum(LENGTHS), 3 * 32, device="meta", dtype=torch.bfloat16, requires_grad=True)
    q, k, v = qkv.view(-1, 3, 4, 8).unbind(1)
    out = attention._varlen_flash(q, k, v, batch, 0.1)
    assert (out.shape, out.dtype) == ((sum(LENGTHS), 32), torch.bfloat16)
    (grad,) = torch.autograd.grad(out.sum(), qkv)
    assert (grad.shape, grad.dtype) == (qkv.shape, torch.bfloat16)


def test_torch_has_the_private_operator_as_it_is_called() -> None:
    """Where this fails, attention pads, or takes the public function where nothing is dropped."""
    assert attention.flash_is_known()


@pytest.mark.parametrize("arguments", [attention.FLASH_ARGUMENTS, ("query", "key", "value", "dropout_p")])
def test_another_operator_is_not_called(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_has_varlen_flash", lambda device: True)
    monkeypatch.setattr(attention, "FLASH_ARGUMENTS", arguments)
    attention.flash_is_known.cache_clear()
    monkeypatch.setattr(attention, "_varlen_flash", lambda q, *_: "private")
    monkeypatch.setattr(attention, "_varlen_public", lambda q, *_: "public")
    monkeypatch.setattr(attention, "_padded", lambda q, *_: "padded")
    batch = make_batch(windows(LENGTHS), np.arange(len(LENGTHS)), device=torch.device("meta"))
    qkv = torch.empty(sum(LENGTHS), 96, device="meta", dtype=torch.bfloat16)
    ways = [attention.attend(qkv, batch, 4, None, p, training=True) for p in (0.1, 0.0)]
    attention.flash_is_known.cache_clear()
    assert ways == (["private", "private"] if "cum_seq_q" in arguments else ["padded", "public"])


@pytest.mark.parametrize("flash", [True, False])
def test_a_step_away_from_the_processor_takes_nothing_from_it(
    flash: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_has_varlen_flash", lambda device: flash)
    network = model_on("meta", tmp_path, torch.bfloat16).network
    batch = make_batch(windows(LENGTHS), np.arange(len(LENGTHS)), device=torch.device("meta"))
    scores = network(batch, None, torch.bfloat16)
    assert (scores.shape, scores.dtype, scores.device.type) == ((sum(LENGTHS), 2), torch.float32, "meta")
    span_loss(scores, batch, len(LENGTHS)).backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_layers_are_compiled_once_for_all_lengths(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first half of compiling, on tensors without values: attention is in the one graph of each kind of layer."""
    from torch._dynamo.testing import CompileCounterWithBackend

    graphs = CompileCounterWithBackend("aot_eager")
    compiler: Any = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: compiler(f, backend=graphs, fullgraph=True, **how))
    monkeypatch.setattr(attention, "_has_varlen_flash", lambda device: True)
    torch._dynamo.reset()
    network = model_on("meta", tmp_path, torch.bfloat16, kind).network
    assert isinstance(network, PackedEncoder)
    network.compile_layers(torch.bfloat16)
    made = []
    for lengths in (LENGTHS, [60, 60], [3, 70, 12]):
        batch = make_batch(windows(lengths), np.arange(len(lengths)), device=torch.device("meta"))
        span_loss(network(batch, None, torch.bfloat16), batch, len(lengths)).backward()
        made.append(graphs.frame_count)
    assert made == [made[0]] * 3
    assert made[0] > 0


@needs_gpu
@pytest.mark.parametrize(
    ("kind", "dtype"), [("bert", torch.bfloat16), ("bert", torch.float32), ("modernbert", torch.bfloat16)]
)
def test_a_gpu_scores_and_learns_as_a_cpu_does(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    features = windows(LENGTHS)
    gpu, cpu = model_on("cuda", tmp_path, dtype, kind), model_on("cpu", tmp_path, torch.float32, kind)
    rtol, atol = (0.05, 0.05) if dtype == torch.bfloat16 else (1e-3, 1e-4)
    np.testing.assert_allclose(score_windows(gpu, features), score_windows(cpu, features), rtol=rtol, atol=atol)
    gradients = []
    for model in (gpu, cpu):
        model.network.eval()
        batch = make_batch(features, np.arange(len(LENGTHS)), device=model.device)
        model.network(batch, None, model.dtype).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten().cpu() for p in model.network.parameters() if p.grad is not None]))
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.99


@needs_gpu
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_attention_on_a_gpu_is_that_of_a_cpu(dropout: float) -> None:
    features = windows(LENGTHS)
    results = []
    for device in ("cuda", "cpu"):
        batch = make_batch(features, np.arange(len(LENGTHS)), device=torch.device(device))
        qkv = random_qkv(batch, 64).detach().to(device, torch.bfloat16).requires_grad_()
        training = device == "cuda"
        results.append((attention.attend(qkv, batch, 2, None, dropout, training=training), qkv, batch))
    (gpu, qkv, batch), (cpu, _, _) = results
    if dropout:
        assert torch.isfinite(gpu).all()
        assert not torch.equal(gpu.cpu(), cpu)
        return
    torch.testing.assert_close(gpu.cpu(), cpu, rtol=0.02, atol=0.02)
    q, k, v = qkv.view(-1, 3, 2, 32).unbind(1)
    torch.testing.assert_close(attention._varlen_public(q, k, v, batch), gpu, rtol=0.02, atol=0.02)
    torch.testing.assert_close(attention._padded(q, k, v, batch, 0.0), gpu, rtol=0.02, atol=0.02)


@needs_gpu
def test_training_never_waits_for_the_gpu_but_where_values_are_read(tmp_path: Path) -> None:
    features = windows(LENGTHS * 4)
    model = model_on("cuda", tmp_path, torch.bfloat16)
    config = RunConfig(dataset="-", batch_size=4, epochs=2)
    learner = Learner(model, make_plan(config, features, model.parameters), features)
    batches = epoch_batches(features, config.seed, 1, config.batch_size)
    known = learner.learn(batches[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for chosen in batches[1:]:
            known += learner.learn(chosen)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(known) < len(batches)
    known += learner.settle()
    assert [values.step for values in known] == list(range(1, len(batches) + 1))
    assert all(values.finite for values in known)
    assert known[-1].loss < known[0].loss

"""The family computed without padding equals Hugging Face's models: scores, gradients, files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from engine.data.features import Features
from engine.errors import ModelError
from engine.learning.batches import evaluation_batches, make_batch
from engine.learning.encoder import attention
from engine.learning.encoder.attention import attend
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks, scale, threshold
from engine.learning.encoder.families.registry import family, read_config
from engine.learning.encoder.hugging_face import HuggingFaceEncoder
from engine.learning.encoder.load import Model, load_model
from engine.learning.encoder.packed import PackedEncoder
from engine.learning.evaluation import score_windows
from engine.learning.steps import span_loss
from engine.models import model_in_folder

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 90,
    "max_position_embeddings": 80,
}
ROBERTA = SMALL | {"type_vocab_size": 1, "pad_token_id": 1}
FAR = {"max_position_embeddings": 320}
MODERN: dict[str, Any] = {
    "pad_token_id": 0,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "local_attention": 10,
    "attn_implementation": "eager",
}
BIASES: dict[str, Any] = dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"), True)
DROPOUT: dict[str, Any] = dict.fromkeys(("attention_dropout", "mlp_dropout", "embedding_dropout"), 0.1)
DEBERTA: dict[str, Any] = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
}
MODELS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertForQuestionAnswering(transformers.BertConfig(**SMALL)),
    "distilbert": lambda: transformers.DistilBertForQuestionAnswering(
        transformers.DistilBertConfig(
            dim=32, n_layers=2, n_heads=4, hidden_dim=48, vocab_size=90, max_position_embeddings=80
        )
    ),
    "roberta": lambda: transformers.RobertaForQuestionAnswering(transformers.RobertaConfig(**ROBERTA)),
    "xlm-roberta": lambda: transformers.XLMRobertaForQuestionAnswering(transformers.XLMRobertaConfig(**ROBERTA)),
    "camembert": lambda: transformers.CamembertForQuestionAnswering(transformers.CamembertConfig(**ROBERTA)),
    "electra": lambda: transformers.ElectraForQuestionAnswering(transformers.ElectraConfig(**SMALL, embedding_size=24)),
    "albert": lambda: transformers.AlbertForQuestionAnswering(
        transformers.AlbertConfig(**SMALL | {"num_hidden_layers": 5}, num_hidden_groups=2, embedding_size=24)
    ),
    "mpnet": lambda: transformers.MPNetForQuestionAnswering(transformers.MPNetConfig(**SMALL | FAR)),
    "modernbert": lambda: transformers.ModernBertForQuestionAnswering(
        transformers.ModernBertConfig(**SMALL | {"num_hidden_layers": 4}, **MODERN)
    ),
    "modernbert-more": lambda: transformers.ModernBertForQuestionAnswering(
        transformers.ModernBertConfig(**SMALL, **MODERN, **BIASES, **DROPOUT)
    ),
    "deberta-v2": lambda: transformers.DebertaV2ForQuestionAnswering(
        transformers.DebertaV2Config(**SMALL | FAR | DEBERTA | {"position_buckets": 32})
    ),
    "deberta-v2-near": lambda: transformers.DebertaV2ForQuestionAnswering(
        transformers.DebertaV2Config(**SMALL | DEBERTA | {"max_relative_positions": 25})
    ),
}
SEGMENTS = ("bert", "electra", "albert")
LENGTHS = [17, 5, 40, 31, 17]


def windows(lengths: list[int], *, types: bool = True) -> Features:
    """Random windows of these lengths; every other one holds an answer."""
    rng = np.random.default_rng(5)
    total = sum(lengths)
    offset = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    gold = np.array([rng.integers(1, n - 1) if k % 2 else -1 for k, n in enumerate(lengths)], dtype=np.int32)
    return Features(
        feature_example=np.arange(len(lengths), dtype=np.int32),
        token_offset=offset,
        input_ids=rng.integers(2, 90, total).astype(np.int32),
        type_ids=(rng.integers(0, 2, total) if types else np.zeros(total)).astype(np.int8),
        char_start=np.zeros(total, np.int16),
        char_end=np.zeros(total, np.int16),
        segment=np.full(total, 2, np.int8),
        null_token=np.zeros(len(lengths), np.int32),
        gold_start=gold,
        gold_end=gold,
    )


def saved(kind: str, folder: Path, *, spread: float = 0.3) -> Any:
    """A random model of the architecture, its weights spread so that mistakes show; saved to `folder`."""
    torch.manual_seed(3)
    model = MODELS[kind]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * spread)
    model.save_pretrained(folder)
    return model


def batch_for(kind: str, lengths: list[int]) -> Batch:
    features = windows(lengths, types=kind in SEGMENTS)
    return make_batch(features, np.arange(len(lengths)))


def hub_scores(model: Any, batch: Batch, kind: str) -> torch.Tensor:
    """Scores [T, 2] by Hugging Face's own forward, padded to more than the longest window."""
    size = (len(batch.lengths), max(batch.lengths) + 3)
    ids = torch.full(size, model.config.pad_token_id)
    types, real = torch.zeros(size, dtype=torch.long), torch.zeros(size, dtype=torch.long)
    ids[batch.row, batch.position] = batch.input_ids
    types[batch.row, batch.position] = batch.type_ids
    real[batch.row, batch.position] = 1
    more = {"token_type_ids": types} if kind in SEGMENTS else {}
    out = model(input_ids=ids, attention_mask=real, **more)
    return torch.stack((out.start_logits, out.end_logits), -1)[batch.row, batch.position]


@pytest.mark.parametrize("kind", MODELS)
def test_scores_and_gradients_equal_hugging_faces(kind: str, tmp_path: Path) -> None:
    # ModernBERT normalises before its layers, not after: what they add up, and its rounding, grows with the weights.
    theirs = saved(kind, tmp_path, spread=0.15 if kind.startswith("modernbert") else 0.3).eval()
    ours = load_model(model_in_folder(tmp_path, name=kind, revision=None), seed=1)
    assert ours.packed
    ours.network.eval()
    batch = batch_for(kind, [*LENGTHS, 300] if kind in ("mpnet", "deberta-v2") else LENGTHS)
    mine, others = ours.network(batch), hub_scores(theirs, batch, kind)
    assert others.abs().max() > 0.5
    torch.testing.assert_close(mine, others, rtol=1e-4, atol=1e-5)

    span_loss(mine, batch, 5).backward()
    span_loss(others, batch, 5).backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert isinstance(ours.network, PackedEncoder)
    names = family(ours.network.shape.model_type).names(ours.network.shape)
    checked = set()
    for name, parameter in ours.network.named_parameters():
        full = names[name]
        torch.testing.assert_close(parameter.grad, torch.cat([gradients[n] for n in full]), rtol=1e-3, atol=1e-5)
        checked |= set(full)
    assert checked == set(gradients)


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_saved_loads_in_transformers(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    ours = load_model(model_in_folder(tmp_path, name=kind, revision=None), seed=1)
    with torch.no_grad():
        ours.network.get_parameter("layers.1.qkv.weight").add_(0.01)
    (tmp_path / "out").mkdir()
    ours.save(tmp_path / "out")
    theirs, report = transformers.AutoModelForQuestionAnswering.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ours.network.eval()
    batch = batch_for(kind, [9, 21])
    torch.testing.assert_close(ours.network(batch), hub_scores(theirs.eval(), batch, kind), rtol=1e-4, atol=1e-5)


def test_a_missing_head_comes_from_the_seed_and_other_missing_weights_are_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**SMALL)).save_pretrained(tmp_path)
    files = model_in_folder(tmp_path, name="base", revision=None)
    heads = [load_model(files, seed=seed).network.get_parameter("head.weight") for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    with pytest.raises(ModelError, match=r"lack encoder\.layer\.2"):
        load_model(files, seed=1)
    (tmp_path / "config.json").write_text(config.replace('"vocab_size": 90', '"vocab_size": 91'))
    with pytest.raises(ModelError, match="word_embeddings"):
        load_model(files, seed=1)


def test_varieties_that_are_not_built_go_to_hugging_faces_code(tmp_path: Path) -> None:
    assert read_config(SMALL | {"model_type": "bert"}) is not None
    for change in ({"hidden_act": "relu"}, {"position_embedding_type": "relative_key"}, {"is_decoder": True}):
        assert read_config(SMALL | {"model_type": "bert"} | change) is None
    for other in ({"inner_group_num": 2}, {"hidden_act": "relu"}, {"embedding_size": 4096}):
        assert read_config({"model_type": "albert"} | other) is None
    assert read_config({"model_type": "mpnet", "relative_attention_num_buckets": 64}) is None
    deberta = SMALL | DEBERTA | {"model_type": "deberta-v2"}
    assert read_config(deberta) is not None
    assert read_config(deberta | {"pos_att_type": "p2c|c2p"}) == read_config(deberta)
    for variety in (
        {"conv_kernel_size": 3},
        {"pos_att_type": ["c2p"]},
        {"share_att_key": False},
        {"position_biased_input": True},
        {"norm_rel_ebd": "none"},
        {"relative_attention": False},
        {"type_vocab_size": 2},
        {"embedding_size": 24},
        {"attention_head_size": 16},
    ):
        assert read_config(deberta | variety) is None, variety


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_padded_way_gives_the_same_scores_for_any_grouping(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = saved(kind, tmp_path).eval()
    padded = load_model(model_in_folder(tmp_path, name=kind, revision=None), seed=1, packed=False)
    assert isinstance(padded.network, HuggingFaceEncoder)
    padded.network.eval()
    batch = batch_for(kind, [17, 5, 40, 31, 17])
    for tokens in (1, 50, 10_000):
        monkeypatch.setattr("engine.learning.encoder.hugging_face.GROUP_TOKENS", {"cpu": tokens})
        torch.testing.assert_close(padded.network(batch), hub_scores(theirs, batch, kind), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_weights_are_the_same_in_whatever_dtype_they_are_stored(kind: str, tmp_path: Path) -> None:
    theirs = MODELS[kind]().to(torch.bfloat16)
    found = []
    for dtype in (torch.bfloat16, torch.float32, torch.float16):
        folder = tmp_path / str(dtype)
        theirs.to(dtype).save_pretrained(folder)
        network = load_model(model_in_folder(folder, name=kind, revision=None), seed=1).network
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        found.append(network.state_dict())
    for name, value in found[1].items():
        assert torch.equal(found[0][name], value)
        # Float16 has no room for the smallest of them.
        torch.testing.assert_close(found[2][name], value, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["bert", "albert", "mpnet", "modernbert", "deberta-v2"])
def test_bfloat16_stays_close(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path, spread=0.05)
    network = load_model(model_in_folder(tmp_path, name=kind, revision=None), seed=1).network
    assert isinstance(network, PackedEncoder)
    network.eval()
    batch = batch_for(kind, [40, 31])
    exact = network(batch)
    rounded = network(batch, None, torch.bfloat16)
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.05


@pytest.mark.parametrize("kind", ["albert", "mpnet", "modernbert-more", "deberta-v2"])
def test_layers_computed_twice_give_the_same_gradients(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path, spread=0.05)
    model = load_model(model_in_folder(tmp_path, name=kind, revision=None), seed=1)
    batch = batch_for(kind, [40, 31])
    found = []
    for again in (False, True):
        if again:
            model.checkpoint_gradients()
        model.network.zero_grad()
        torch.autograd.backward(span_loss(model.network(batch, DropoutMasks(1, 1, [0, 1], [40, 31])), batch, 2))
        found.append([parameter.grad for parameter in model.network.parameters()])
    without = model.network(batch, None)
    assert kind == "albert" or not torch.equal(without, model.network(batch, DropoutMasks(1, 1, [0, 1], [40, 31])))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-7)


def test_a_head_of_several_parts_is_drawn_and_pretrained_parts_are_kept(tmp_path: Path) -> None:
    config = transformers.ModernBertConfig(**SMALL, **MODERN)
    torch.manual_seed(0)
    pretrained = transformers.ModernBertForMaskedLM(config)
    pretrained.save_pretrained(tmp_path / "pretrained")
    pretrained.model.save_pretrained(tmp_path / "bare")
    kept, drawn = (
        load_model(model_in_folder(tmp_path / name, name=name, revision=None), seed=1).network
        for name in ("pretrained", "bare")
    )
    assert torch.equal(kept.get_parameter("head_dense.weight"), pretrained.head.dense.weight)
    assert torch.equal(drawn.get_parameter("head_norm.weight"), torch.ones(32))
    for network in (kept, drawn):
        assert network.get_parameter("head.weight").std().item() == pytest.approx(0.02, rel=0.5)


def test_both_ways_to_write_modernberts_configuration() -> None:
    former: dict[str, Any] = {
        "model_type": "modernbert",
        "global_attn_every_n_layers": 2,
        "num_hidden_layers": 5,
        "local_attention": 30,
        "global_rope_theta": 1000.0,
        "local_rope_theta": 500.0,
    }
    shape = read_config(former)
    assert shape == read_config(transformers.ModernBertConfig(**former).to_dict())
    assert shape is not None
    assert (shape.layers, shape.hidden, shape.longest) == (5, 768, 8192)
    for change in ({"rope_scaling": {"type": "linear"}}, {"classifier_dropout": 0.1}, {"local_rope_theta": None}):
        assert read_config(former | change) is None


def test_evaluation_scores_every_window_once_whatever_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved("bert", tmp_path)
    model = load_model(model_in_folder(tmp_path, name="bert", revision=None), seed=1)
    features = windows([12, 70, 3, 3, 25, 70, 8])
    before = torch.random.get_rng_state()
    calls: list[tuple[int, int]] = []
    first = score_windows(model, features, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (7, 7)
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.network.training
    model.network.eval()
    one = model.network(make_batch(features, np.arange(7))).detach().numpy()
    np.testing.assert_allclose(np.stack(first, -1), one, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr("engine.learning.evaluation.EVAL_TOKENS", 1)
    np.testing.assert_allclose(score_windows(model, features), first, rtol=1e-4, atol=1e-5)
    for world in (1, 2, 3):
        shares = [evaluation_batches(features, max_tokens=40, rank=rank, world=world) for rank in range(world)]
        numbers = [int(n) for share in shares for group in share for n in group]
        assert sorted(numbers) == list(range(7))


def test_attention_with_dropout_follows_its_formula() -> None:
    lengths, heads, p = [7, 12], 3, 0.25
    batch = make_batch(windows(lengths), np.arange(2))
    torch.manual_seed(1)
    qkv = torch.randn(24, 3 * 12, requires_grad=True)  # five rows of filling
    out = attend(qkv, batch, heads, DropoutMasks(1, 1, [0, 1], lengths), p, training=True)
    signs = DropoutMasks(1, 1, [0, 1], lengths)
    low = 0
    expected = []
    for window, length in enumerate(lengths):
        q, k, v = qkv[low : low + length].view(length, 3, heads, 4).permute(1, 2, 0, 3)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(4), -1)
        kept = signs.dropped_signs(window, (heads, length, length), p) == 0
        expected.append(((weights * kept * scale(p)) @ v).transpose(0, 1).reshape(length, 12))
        low += length
    reference = torch.cat([*expected, torch.zeros(5, 12)])
    torch.testing.assert_close(out, reference)
    direction = torch.randn_like(out)
    (mine,) = torch.autograd.grad(out, qkv, direction)
    (others,) = torch.autograd.grad(reference, qkv, direction)
    torch.testing.assert_close(mine, others)


@pytest.mark.parametrize("local", [True, False])
def test_attention_with_a_bias_is_the_same_in_every_way(local: bool) -> None:
    lengths, heads = [7, 40, 12], 3
    batch = make_batch(windows(lengths), np.arange(3))
    torch.manual_seed(1)
    qkv = torch.randn(59, 3 * 12)
    bias = torch.randn(1 if local else heads, 64, 64)
    if local:
        place = torch.arange(64)
        bias = bias.masked_fill((place[:, None] - place).abs() > 4, -torch.inf)
    direction = torch.randn(59, 12)
    found = []
    for way in ("packed", "padded", "plain"):
        leaf, added = qkv.clone().requires_grad_(), bias.clone().requires_grad_()
        q, k, v = leaf.view(-1, 3, heads, 4).unbind(1)
        if way == "packed":
            out = attend(leaf, batch, heads, None, 0.0, training=True, bias=added)
        elif way == "padded":
            out = attention._padded(q, k, v, batch, 0.0, added)
        else:
            parts = [part.split(lengths) for part in (q, k, v)]
            each = [
                torch.softmax(torch.einsum("ihd,jhd->hij", a, b) / 2 + added[:, : len(a), : len(a)], -1)
                @ c.transpose(0, 1)
                for a, b, c in zip(*parts, strict=True)
            ]
            out = torch.cat([o.transpose(0, 1).flatten(1) for o in each])
        found.append((out.detach(), *torch.autograd.grad(out, (leaf, added), direction)))
    for others in found[1:]:
        for mine, other in zip(found[0], others, strict=True):
            torch.testing.assert_close(mine, other)
    with torch.no_grad():
        torch.testing.assert_close(attend(qkv, batch, heads, None, 0.0, training=False, bias=bias), found[0][0])


def test_attention_with_relative_positions_is_the_same_in_every_way() -> None:
    lengths, heads, width = [7, 40, 12], 3, 4
    batch = make_batch(windows(lengths), np.arange(3))
    torch.manual_seed(1)
    qkv, positions, direction = torch.randn(59, 36), torch.randn(2, heads, 128, width), torch.randn(59, 12)
    found = []
    for way in ("packed", "padded", "plain"):
        leaf, relative = qkv.clone().requires_grad_(), positions.clone().requires_grad_()
        q, k, v = leaf.view(-1, 3, heads, width).unbind(1)
        if way == "packed":
            out = attend(leaf, batch, heads, None, 0.0, training=True, relative=relative)
        elif way == "padded":
            out = attention._padded(q, k, v, batch, 0.0, None, relative)
        else:
            each = []
            for a, b, c in zip(*(part.split(lengths) for part in (q, k, v)), strict=True):
                place = torch.arange(len(a))
                after = place - place[:, None]  # how far the key, a column, comes after the query, a row
                keys, queries = relative[0][:, after + 64], relative[1][:, 64 - after]
                scores = torch.einsum("ihd,jhd->hij", a, b)
                scores = scores + torch.einsum("ihd,hijd->hij", a, keys) + torch.einsum("jhd,hijd->hij", b, queries)
                each.append(torch.softmax(scores / math.sqrt(3 * width), -1) @ c.transpose(0, 1))
            out = torch.cat([o.transpose(0, 1).flatten(1) for o in each])
        found.append((out.detach(), *torch.autograd.grad(out, (leaf, relative), direction)))
    for others in found[1:]:
        for mine, other in zip(found[0], others, strict=True):
            torch.testing.assert_close(mine, other)
    with torch.no_grad():
        torch.testing.assert_close(
            attend(qkv, batch, heads, None, 0.0, training=False, relative=positions), found[0][0]
        )


@pytest.mark.parametrize("relative", [None, torch.randn(2, 3, 128, 4, generator=torch.Generator().manual_seed(1))])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("lengths", [[7, 33, 2, 64, 31, 3], [32, 5], [3]])
def test_no_window_sees_another(lengths: list[int], training: bool, relative: torch.Tensor | None) -> None:
    batch = make_batch(windows(lengths), np.arange(len(lengths)))
    torch.manual_seed(1)
    qkv, direction = torch.randn(sum(lengths) + 9, 36), torch.randn(sum(lengths) + 9, 12)

    def result(qkv: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, ...]:
        leaf = qkv.clone().requires_grad_(training)
        with torch.set_grad_enabled(training):
            masks = DropoutMasks(1, 1, list(range(len(lengths))), lengths)
            out = attend(leaf, batch, 3, masks, 0.25, training=training, relative=relative)
        return (out.detach(), torch.autograd.grad(out, leaf, direction)[0]) if training else (out,)

    before = result(qkv, direction)
    low = 0
    for length in lengths:
        others = torch.ones(len(qkv), dtype=torch.bool)
        others[low : low + length] = False
        changed = qkv + 50 * others[:, None], direction + 50 * others[:, None]
        for mine, first in zip(result(*changed), before, strict=True):
            torch.testing.assert_close(mine[~others], first[~others])
        low += length
    assert all(bool((part[low:] == 0).all()) for part in before)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_drops_its_share_and_depends_on_seed_step_and_place_alone(p: float) -> None:
    lengths = [50, 60, 70]
    mask = DropoutMasks(1, 7, [0, 1, 2], lengths).kept(200, 384, p)
    assert set(mask.unique().tolist()) == {0, -1}
    assert bool((mask[180:] == -1).all())
    assert (mask[:180] == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    assert int(threshold(p)) / 2**15 == pytest.approx(p, abs=1e-4)
    # The second of two processes, with the middle window alone, draws that window's masks.
    alone = DropoutMasks(1, 7, [1], [60]).kept(60, 384, p)
    assert torch.equal(alone, mask[50:110])
    assert not torch.equal(alone, DropoutMasks(1, 8, [1], [60]).kept(60, 384, p))
    assert not torch.equal(alone, DropoutMasks(2, 7, [1], [60]).kept(60, 384, p))


def test_what_all_windows_share_is_dropped_alike_in_every_process() -> None:
    whole, share = DropoutMasks(1, 7, [0, 1], [50, 60]), DropoutMasks(1, 7, [1], [60])
    before = whole.state()
    first = whole.kept_of_all(64, 384, 0.1)
    assert torch.equal(first, share.kept_of_all(64, 384, 0.1))
    assert set(first.unique().tolist()) == {0, -1}
    assert (first == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert not torch.equal(first, whole.kept_of_all(64, 384, 0.1))
    whole.restore(before)
    assert torch.equal(first, whole.kept_of_all(64, 384, 0.1))
    assert not torch.equal(first, DropoutMasks(1, 8, [0], [60]).kept_of_all(64, 384, 0.1))


@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_training_mode_drops_and_the_mean_stays(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path, spread=0.05)
    model: Model = load_model(model_in_folder(tmp_path, name=kind, revision=None), seed=1)
    batch = batch_for(kind, [40, 31])
    without = model.network(batch, None)
    drawn = torch.stack([model.network(batch, DropoutMasks(1, step, [0, 1], [40, 31])) for step in range(200)])
    assert drawn.std(0).mean() > 0.01
    assert (drawn.mean(0) - without).abs().mean() < 0.3 * drawn.std(0).mean()


def test_the_loss_is_hugging_faces_without_padding(tmp_path: Path) -> None:
    theirs = saved("bert", tmp_path).eval()
    batch = batch_for("bert", [20, 20, 20])
    scores = hub_scores(theirs, batch, "bert")
    out = theirs(
        input_ids=batch.input_ids.view(3, 20),
        token_type_ids=batch.type_ids.view(3, 20),
        start_positions=batch.target[0],
        end_positions=batch.target[1],
    )
    torch.testing.assert_close(span_loss(scores, batch, 3), out.loss, rtol=1e-4, atol=1e-5)

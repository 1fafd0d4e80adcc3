"""What made an answer: gradients, integrated gradients, the masking test and the head on every layer, each beside a
plain Hugging Face computation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from engine.data.features import Features
from engine.data.segments import CONTEXT, QUESTION, SPECIAL
from engine.learning.batches import make_batch
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.inner import layer_scores, scores_of_embeddings, word_embeddings
from engine.learning.encoder.load import Model, load_model
from engine.learning.explain import Asked, gradient_norms, integrated_gradients, log_probability, masking_test
from engine.models import model_in_folder
from tests.engine.test_learning_packed import DEBERTA

MASK, LENGTH = 4, 37
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 90,
    "max_position_embeddings": 80,
}
MODELS: dict[str, Any] = {
    "bert": lambda: transformers.BertForQuestionAnswering(transformers.BertConfig(**SMALL)),
    "roberta": lambda: transformers.RobertaForQuestionAnswering(
        transformers.RobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1)
    ),
    "electra": lambda: transformers.ElectraForQuestionAnswering(transformers.ElectraConfig(**SMALL, embedding_size=24)),
    "deberta-v2": lambda: transformers.DebertaV2ForQuestionAnswering(
        transformers.DebertaV2Config(**SMALL, relative_attention=True, pos_att_type=["p2c", "c2p"])
    ),
    "deberta-v3": lambda: transformers.DebertaV2ForQuestionAnswering(
        transformers.DebertaV2Config(**SMALL | DEBERTA | {"position_buckets": 16})
    ),
    "modernbert": lambda: transformers.ModernBertForQuestionAnswering(
        transformers.ModernBertConfig(**SMALL, pad_token_id=0, cls_token_id=1, sep_token_id=2)
    ),
    "gpt2": lambda: transformers.GPT2ForQuestionAnswering(
        transformers.GPT2Config(vocab_size=90, n_embd=32, n_layer=3, n_head=4, n_inner=48, n_positions=80)
    ),
    "albert": lambda: transformers.AlbertForQuestionAnswering(transformers.AlbertConfig(**SMALL, embedding_size=24)),
}
PACKED = ("bert", "roberta", "electra", "modernbert", "albert", "deberta-v3")


def saved(kind: str, folder: Path) -> Any:
    """A random model whose weights are spread so that mistakes show; saved to `folder`."""
    torch.manual_seed(3)
    model = MODELS[kind]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    model.save_pretrained(folder)
    return model.eval()


def loaded(kind: str, folder: Path, *, packed: bool = True) -> Model:
    return load_model(model_in_folder(folder, name=kind, revision=None), seed=1, packed=packed)


def question_and_passage(lengths: tuple[int, ...] = (21, LENGTH, 30)) -> Features:
    """Windows of [CLS] question [SEP] passage [SEP] with random tokens."""
    rng = np.random.default_rng(5)
    offset = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    total = int(offset[-1])
    segment = np.full(total, CONTEXT, np.int8)
    for low, high in pairwise(offset.tolist()):
        segment[low + 1 : low + 6] = QUESTION
        segment[[low, low + 6, high - 1]] = SPECIAL
    return Features(
        feature_example=np.arange(len(lengths), dtype=np.int32),
        token_offset=offset,
        input_ids=rng.integers(6, 90, total).astype(np.int32),
        type_ids=np.zeros(total, np.int8),
        char_start=np.zeros(total, np.int16),
        char_end=np.zeros(total, np.int16),
        segment=segment,
        null_token=np.zeros(len(lengths), np.int32),
        gold_start=np.full(len(lengths), -1, np.int32),
        gold_end=np.full(len(lengths), -1, np.int32),
    )


def asked(start: int = 12, end: int = 14, *, null: bool = False) -> Asked:
    features = question_and_passage()
    low, high = features.token_offset[1:3].tolist()
    choosable = features.segment[low:high] == CONTEXT
    choosable[0] = null
    return Asked(features, 1, start, end, choosable)


def hub_log_p(model: Any, ask: Asked, **inputs: torch.Tensor) -> torch.Tensor:
    """log P of the answer by Hugging Face's own forward, windows as rows."""
    out = model(attention_mask=torch.ones(1, LENGTH, dtype=torch.long), **inputs)
    allowed = torch.from_numpy(ask.choosable)
    start = out.start_logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)[:, ask.start]
    end = out.end_logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)[:, ask.end]
    total: torch.Tensor = start + end
    return total


def ids_of(ask: Asked) -> torch.Tensor:
    return ask.copies(1, torch.device("cpu")).input_ids


@pytest.mark.parametrize("kind", MODELS)
def test_gradient_norms_equal_a_plain_hugging_face_computation(kind: str, tmp_path: Path) -> None:
    theirs, ask = saved(kind, tmp_path), asked()
    embedded = theirs.get_input_embeddings()(ids_of(ask)[None]).detach().requires_grad_()
    # RoBERTa counts positions from the ids, and without them from the first token on: the same without padding.
    log_p = hub_log_p(theirs, ask, inputs_embeds=embedded)
    (gradient,) = torch.autograd.grad(log_p.sum(), embedded)
    wanted = gradient[0].norm(dim=-1).numpy()
    assert wanted.max() > 1e-3
    for packed in (True, False):
        model = loaded(kind, tmp_path, packed=packed)
        assert model.packed == (packed and kind in PACKED)
        found = gradient_norms(model, ask)
        np.testing.assert_allclose(found.weights, wanted, rtol=2e-4, atol=1e-6)
        assert found.probability == pytest.approx(float(log_p.detach().exp()), rel=1e-4)
        assert not word_embeddings(model)._forward_hooks
        assert model.network.training, "left as it was"


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "deberta-v3"])
def test_integrated_gradients_sum_to_what_the_words_add(kind: str, tmp_path: Path) -> None:
    theirs, ask = saved(kind, tmp_path), asked()
    ids = ids_of(ask)
    segment = torch.from_numpy(ask.segment)
    without = torch.where(segment == SPECIAL, ids, MASK)
    with torch.no_grad():
        difference = float(
            hub_log_p(theirs, ask, input_ids=ids[None]) - hub_log_p(theirs, ask, input_ids=without[None])
        )
    assert abs(difference) > 0.05
    model = loaded(kind, tmp_path)
    gaps = []
    for steps in (5, 20, 400):
        found = integrated_gradients(model, ask, MASK, steps=steps)
        assert (found.weights[ask.segment == SPECIAL] == 0).all()
        assert found.weights.sum() + found.gap == pytest.approx(difference, abs=1e-4)
        gaps.append(abs(found.gap))
    assert gaps[2] < 1e-4, gaps
    assert gaps[2] < gaps[0] / 4, gaps
    assert (found.weights < 0).any()
    assert (found.weights > 0).any()


@pytest.mark.parametrize("kind", PACKED)
def test_packed_and_padded_tell_the_same(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    packed, padded, ask = loaded(kind, tmp_path), loaded(kind, tmp_path, packed=False), asked()
    one, other = (integrated_gradients(model, ask, MASK, steps=40) for model in (packed, padded))
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-3, atol=1e-5)
    assert one.gap == pytest.approx(other.gap, abs=1e-4)
    tests = [masking_test(model, ask, one.weights, MASK) for model in (packed, padded)]
    assert tests[0].masked == tests[1].masked
    assert tests[0].after == pytest.approx(tests[1].after, rel=1e-4)
    assert tests[0].after_random == pytest.approx(tests[1].after_random, rel=1e-4)


def test_windows_computed_together_are_those_computed_alone(tmp_path: Path) -> None:
    """Steps of integrated gradients share a batch; so do more tokens than one batch takes."""
    saved("bert", tmp_path)
    model, ask = loaded("bert", tmp_path), asked()
    model.network.eval()
    batch = ask.copies(3, model.device)
    given = torch.randn(3, LENGTH, 32)
    together = scores_of_embeddings(model, batch, given, torch.float32)
    for row in range(3):
        alone = scores_of_embeddings(model, ask.copies(1, model.device), given[row : row + 1], torch.float32)
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-5)


def counting(rows: list[int]) -> Callable[..., torch.Tensor]:
    """scores_of_embeddings, with the number of windows of each call kept in `rows`."""

    def counted(model: Model, batch: Batch, embedded: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        rows.append(len(batch.lengths))
        return scores_of_embeddings(model, batch, embedded, dtype)

    return counted


@pytest.mark.parametrize("larger", [False, True])
def test_more_steps_than_one_batch_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, larger: bool) -> None:
    saved("bert", tmp_path)
    model, ask = loaded("bert", tmp_path), asked()
    whole = integrated_gradients(model, ask, MASK, steps=20)
    test = masking_test(model, ask, whole.weights, MASK)
    if larger:  # a model counts as larger than it is
        monkeypatch.setattr("engine.learning.explain.SMALL", model.parameters // 64)
    else:
        monkeypatch.setattr("engine.learning.explain.BATCH_TOKENS", 3 * LENGTH + 1)
    rows: list[int] = []
    monkeypatch.setattr("engine.learning.explain.scores_of_embeddings", counting(rows))
    parts = integrated_gradients(model, ask, MASK, steps=20)
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=1e-3, atol=1e-5)
    assert rows[:-1] == ([3] * 6 + [2]), "and both ends"
    assert masking_test(model, ask, whole.weights, MASK).after_random == pytest.approx(test.after_random, rel=1e-4)


def test_the_masking_test_masks_what_weighs_most_outside_the_answer(tmp_path: Path) -> None:
    theirs, ask = saved("bert", tmp_path), asked()
    weights = np.zeros(LENGTH, np.float32)
    weights[[0, 6, 12, 13, 14, LENGTH - 1]] = 9.0  # specials and the answer itself
    weights[[3, 20, 21, 30, 33]] = [1, 5, 4, 3, 2]
    model = loaded("bert", tmp_path)
    found = masking_test(model, ask, weights, MASK, draws=7, seed=11)
    assert found.masked == (3, 20, 21, 30, 33)
    assert found.draws == 7
    ids = ids_of(ask)
    hidden = ids.clone()
    hidden[list(found.masked)] = MASK
    with torch.no_grad():
        before, after = (float(hub_log_p(theirs, ask, input_ids=x[None]).exp()) for x in (ids, hidden))
    assert found.before == pytest.approx(before, rel=1e-4)
    assert found.after == pytest.approx(after, rel=1e-4)
    again, other = (masking_test(model, ask, weights, MASK, draws=7, seed=seed) for seed in (11, 12))
    assert again == found
    assert other.after_random != found.after_random
    assert 0 < found.after_random < 1


def test_the_null_answer_is_explained_by_all_words(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    model, ask = loaded("bert", tmp_path), asked(0, 0, null=True)
    found = gradient_norms(model, ask)
    assert 0 < found.probability < 1
    test = masking_test(model, ask, found.weights, MASK)
    assert len(test.masked) == 5
    assert test.before == pytest.approx(found.probability, rel=1e-4)


def test_fewer_words_than_are_to_be_masked(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    features = question_and_passage((10, LENGTH))
    ask = Asked(features, 0, 7, 8, features.segment[:10] == CONTEXT)
    found = masking_test(loaded("bert", tmp_path), ask, np.ones(10, np.float32), MASK)
    assert found.masked == (1, 2, 3, 4, 5)
    assert found.after_random == pytest.approx(found.before, rel=1e-4), "there are no others"
    assert found.after != pytest.approx(found.before, rel=1e-4)


def test_random_ones_are_others(tmp_path: Path) -> None:
    """With one token left besides the top five and the answer, every draw is that one."""
    theirs = saved("bert", tmp_path)
    features = question_and_passage((10, LENGTH))
    ask = Asked(features, 0, 8, 8, features.segment[:10] == CONTEXT)
    weights = np.arange(10, dtype=np.float32)
    found = masking_test(loaded("bert", tmp_path), ask, weights, MASK)
    assert found.masked == (2, 3, 4, 5, 7)
    ids = ids_of(ask)
    ids[1] = MASK
    with torch.no_grad():
        out = theirs(input_ids=ids[None], attention_mask=torch.ones(1, 10, dtype=torch.long))
    allowed = torch.from_numpy(ask.choosable)
    start, end = (x[0].masked_fill(~allowed, -torch.inf).softmax(-1)[8] for x in (out.start_logits, out.end_logits))
    assert found.after_random == pytest.approx(float(start * end), rel=1e-4)


def test_log_probability_is_among_the_choosable_tokens() -> None:
    ask = asked()
    scores = torch.randn(2, LENGTH, 2)
    found = log_probability(scores, ask)
    plain = torch.from_numpy(np.where(ask.choosable[:, None], scores.numpy(), -np.inf)).exp()
    wanted = plain[:, ask.start, 0] / plain[..., 0].sum(1) * plain[:, ask.end, 1] / plain[..., 1].sum(1)
    torch.testing.assert_close(found.exp(), wanted)


@pytest.mark.parametrize("kind", MODELS)
def test_the_heads_on_layers_are_hugging_faces(kind: str, tmp_path: Path) -> None:
    theirs = saved(kind, tmp_path)
    batch = make_batch(question_and_passage(), np.array([1]))
    real = torch.ones(1, LENGTH, dtype=torch.long)
    with torch.no_grad():
        out = theirs(input_ids=batch.input_ids[None], attention_mask=real, output_hidden_states=True)
    own = torch.stack((out.start_logits, out.end_logits), -1)[0]
    for packed in (True, False):
        model = loaded(kind, tmp_path, packed=packed)
        found = layer_scores(model, batch, torch.float32)
        model.network.eval()
        assert found.shape == (4, LENGTH, 2)
        torch.testing.assert_close(found[-1], own, rtol=1e-4, atol=1e-5)
        again = model.network(batch, None, torch.float32)
        torch.testing.assert_close(again, own, rtol=1e-4, atol=1e-5)
        if kind == "gpt2":  # its last state is normalised already
            states = [*map(theirs.transformer.ln_f, out.hidden_states[:-1]), out.hidden_states[-1]]
            wanted = torch.stack([theirs.qa_outputs(state)[0] for state in states])
            torch.testing.assert_close(found, wanted.detach(), rtol=1e-4, atol=1e-5)
        elif kind != "modernbert":  # its head is more than one linear map, after a norm
            wanted = torch.stack([theirs.qa_outputs(state)[0] for state in out.hidden_states])
            torch.testing.assert_close(found, wanted.detach(), rtol=1e-4, atol=1e-5)
        else:
            normed = torch.cat([theirs.model.final_norm(state) for state in out.hidden_states[:-1]])
            wanted = theirs.classifier(theirs.head(normed)).detach()
            torch.testing.assert_close(found[:-1], wanted, rtol=1e-4, atol=1e-5)


def test_layers_are_those_of_the_evaluating_network(tmp_path: Path) -> None:
    """Nothing is dropped, also where the network is in training."""
    saved("bert", tmp_path)
    batch = make_batch(question_and_passage(), np.array([1]))
    model = loaded("bert", tmp_path, packed=False)
    assert model.network.training
    first, second = (layer_scores(model, batch, torch.float32) for _ in range(2))
    torch.testing.assert_close(first, second)

"""Samples of a large eval set: how many examples, which, and their windows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import sample
from engine.data.sample import even_numbers, first_looks, glance, take_sample
from tests.fake_run import fake_features, fake_sample, fake_set

TOKENS = 60


@given(st.integers(2, 3000), st.data())
def test_numbers_are_even_and_hold_the_one_to_keep(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, total))
    keep = data.draw(st.none() | st.integers(0, total - 1))
    found = even_numbers(total, count, keep).tolist()
    assert found == sorted(set(found))
    assert len(found) == count
    assert 0 <= found[0] <= found[-1] < total
    if keep is not None:
        assert keep in found
    elif count > 1:
        gaps = [high - low for low, high in pairwise(found)]
        assert max(gaps) - min(gaps) <= 1
        assert (found[0], found[-1]) == (0, total - 1)


def test_of_a_large_set_some_are_looked_at_first_and_then_more(monkeypatch: pytest.MonkeyPatch) -> None:
    features = fake_features(fake_set(100, tokens=TOKENS))
    n_tokens = len(features.input_ids)
    assert first_looks(features, 100) == ()  # so few are scored at once
    monkeypatch.setattr(sample, "MOST_TOKENS", n_tokens // 4)
    few, more = first_looks(features, 100, probe=37)
    assert (len(few.examples), len(more.examples)) == (3, 25)
    for one in (few, more):
        assert one.total == 100
        assert 37 in one.examples
        assert len(one.features.input_ids) == pytest.approx(len(one.examples) * n_tokens / 100, rel=0.1)
    monkeypatch.setattr(sample, "MOST_EXAMPLES", 16)
    assert [len(one.examples) for one in first_looks(features, 100)] == [2, 16]
    # Where one passage is longer than all that a sample may hold, it is one example.
    monkeypatch.setattr(sample, "MOST_TOKENS", TOKENS // 2)
    assert [one.examples.tolist() for one in first_looks(features, 100, probe=99)] == [[99]]


def test_of_a_small_set_on_a_slow_machine_some_are_looked_at_first() -> None:
    features = fake_features(fake_set(100, tokens=TOKENS))
    assert glance(features, 100, 10.0) == ()
    (one,) = glance(features, 100, 40.0, probe=37)
    assert (one.total, len(one.examples)) == (100, 5)
    assert 37 in one.examples
    assert [len(found.examples) for found in glance(features, 100, 9000.0)] == [1]


def test_a_sample_has_the_windows_of_its_examples() -> None:
    made = fake_set(9, windows=3)
    found = fake_sample(made)
    assert found.examples.tolist() == [0, 5]
    assert found.windows.tolist() == [0, 1, 2, 15, 16, 17]
    assert found.features.feature_example.tolist() == [0, 0, 0, 1, 1, 1]
    one = take_sample(fake_features(made), 9, np.array([4]))
    lo, hi = made.token_offset[12], made.token_offset[15]
    assert one.features.segment.tolist() == made.segment[lo:hi].tolist()
    assert one.tokens.tolist() == [made.token_offset[n : n + 2].tolist() for n in (12, 13, 14)]

"""Mean and spread over seeds, and Welch's interval, against numbers worked by hand and tables of Student's t."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from engine.config import RunConfig
from engine.events import Metrics
from engine.insight.seed_spread import spread, t_quantile, welch_difference
from engine.rundir.comparison import RunScore, read_score, same_data, settings_of
from engine.rundir.liveness import State
from tests.fake_run import make_run


def score(seed: int, f1: float, *, lr: float = 1e-4, dataset: str = "/d/a.json", name: str = "") -> RunScore:
    return RunScore(
        name=name or f"run-{lr:g}-{seed}",
        path="/runs/x",
        state=State.FINISHED,
        epoch=5.0,
        config=RunConfig(dataset=dataset, seed=seed, lr=lr, run_dir=f"/runs/{seed}"),
        metrics=Metrics(examples=10, start_accuracy=0.5, end_accuracy=0.5, exact_match=f1 / 2, f1=f1),
    )


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 12.7062), (2, 4.30265), (4, 2.776445), (10, 2.228139), (1e9, 1.959964)]
)
def test_quantiles_of_students_t(freedom: float, value: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(value, rel=2e-6)


def test_mean_and_spread() -> None:
    found = spread([80.0, 82.0, 84.0])
    assert (found.count, found.mean, found.std, found.low, found.high) == (3, 82.0, 2.0, 80.0, 84.0)
    assert spread([7.0]).std is None


def test_welch_with_equal_variances() -> None:
    # Both variances are 4: the error is sqrt(4/3 + 4/3) = 1.633, with 4 degrees of freedom, t = 2.776.
    found = welch_difference([80.0, 82.0, 84.0], [70.0, 72.0, 74.0])
    assert found.value == 10.0
    assert found.low == pytest.approx(10 - 4.5339, abs=1e-3)
    assert found.high == pytest.approx(10 + 4.5339, abs=1e-3)
    assert found.beyond_spread is True
    assert welch_difference([80.0, 82.0, 84.0], [79.0, 81.0, 83.0]).beyond_spread is False


def test_welch_with_unequal_variances() -> None:
    # Variances 1 of 3 and 0 of 3: the error is sqrt(1/3), and the first sample's 2 degrees of freedom, t = 4.30265.
    found = welch_difference([1.0, 2.0, 3.0], [5.0, 5.0, 5.0])
    half = 4.30265 * math.sqrt(1 / 3)
    assert found.low == pytest.approx(-3 - half, abs=1e-4)
    assert found.high == pytest.approx(-3 + half, abs=1e-4)


def test_one_run_of_each_has_no_interval() -> None:
    assert welch_difference([80.0], [70.0, 71.0]).beyond_spread is None


def test_equal_scores_of_all_seeds_differ_by_what_they_differ() -> None:
    assert welch_difference([80.0, 80.0], [70.0, 70.0]).beyond_spread is True
    assert welch_difference([80.0, 80.0], [80.0, 80.0]).beyond_spread is False


def test_runs_that_differ_in_seed_alone_are_one_setting() -> None:
    settings = settings_of([score(1, 70, lr=1e-5), score(1, 80), score(2, 72, lr=1e-5), score(2, 84)])
    assert [(setting.label, setting.values("f1")) for setting in settings] == [
        ("lr 0.0001", [80.0, 84.0]),
        ("lr 1e-05", [70.0, 72.0]),
    ]
    assert settings[0].values("exact_match") == [40.0, 42.0]
    assert same_data(settings)


def test_options_that_do_not_change_learning_make_no_setting() -> None:
    other = {
        "run_dir": "/runs/other",
        "sweep": "mine",
        "report_to": "tensorboard",
        "on_finish": "true",
        "stop_signal": "SIGHUP",
        "keep_weights": "all",
        "probe": "q-1",
        "track_train": True,
        "snapshot_dtype": "float16",
        "feature_cache": False,
    }
    first, second = score(1, 70), score(2, 80)
    changed = msgspec.structs.replace(second, config=msgspec.structs.replace(second.config, **other))
    (setting,) = settings_of([first, changed])
    assert setting.values("f1") == [70.0, 80.0]
    slower = msgspec.structs.replace(second, config=msgspec.structs.replace(second.config, warmup_ratio=0.5))
    assert [setting.label for setting in settings_of([first, slower])] == ["warmup ratio 0.5", "warmup ratio 0.1"]


def test_two_runs_with_one_seed_show_no_spread() -> None:
    (setting,) = settings_of([score(1, 70, name="a"), score(1, 74, name="b")])
    assert setting.values("f1") == [72.0]
    assert setting.label == ""


def test_runs_on_other_data_do_not_compare() -> None:
    settings = settings_of([score(1, 70), score(1, 80, dataset="/d/b.json")])
    assert [setting.label for setting in settings] == ["dataset b.json", "dataset a.json"]
    assert not same_data(settings)


def test_the_last_snapshot_counts(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=12, snapshots=4, seed=7)
    found = read_score(run)
    assert found.metrics is not None
    assert found.metrics.f1 > 90
    assert (found.config.seed, found.config.lr, found.epoch, found.whole) == (7, 3e-4, 3.0, True)

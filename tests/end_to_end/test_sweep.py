"""Sweeps with real engines: several runs from one command, stopped and gone on with, and the table at their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from engine.config import RunConfig
from engine.errors import UsageError
from engine.insight.seed_spread import Spread
from engine.rundir.comparison import settings_of
from engine.rundir.layout import RunDir, list_runs
from engine.rundir.liveness import State
from engine.rundir.status import current_state
from engine.sweep import SweepPlan, SweepPoint, find_sweep, plan_sweep
from tests.engine.test_seed_spread import score
from tests.fake_run import make_run
from tests.tiny_run import tiny_config
from tests.waiting import until
from tui.cli.comparison import sentences, spread_text
from tui.cli.sweep import device_environments

ROOT = Path(__file__).parents[2]


def command(folder: Path, *arguments: str) -> list[str]:
    small = ["--model", "model", "--batch-size", "4", "--max-length", "128", "--doc-stride", "32", "--device", "cpu"]
    fast = ["--epochs", "2", "--keep-weights", "last", "--no-early-snapshots"]
    return [sys.executable, "-m", "tui.cli", "train", "data.json", *small, *fast, *arguments]


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder / "config"), "HF_HUB_OFFLINE": "1"}


def call(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=folder, env=environment(folder), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


@pytest.mark.timeout(600)
def test_a_sweep_is_stopped_goes_on_and_compares(tmp_path: Path) -> None:
    tiny_config(tmp_path, count=8)
    arguments = command(tmp_path, "--seeds", "1,2", "--lr", "1e-3,1e-5")
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        until(lambda: any(RunDir(path).events_file.exists() for path in list_runs(tmp_path / "runs")))
        first.send_signal(signal.SIGTERM)
        out, errors = first.communicate(timeout=120)
    assert first.returncode == 75, out + errors
    name = RunDir(list_runs(tmp_path / "runs")[0]).config.sweep
    assert f"4 of 4 runs are left; go on with: bertqa-tui resume {name}" in errors
    (begun,) = list_runs(tmp_path / "runs")
    assert current_state(RunDir(begun))[0] is State.STOPPED

    done = call(tmp_path, [sys.executable, "-m", "tui.cli", "resume", str(name), "--jobs", "2"])
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [RunDir(path) for path in list_runs(tmp_path / "runs")]
    assert len(runs) == 4
    assert begun in [run.path for run in runs]
    assert {current_state(run)[0] for run in runs} == {State.FINISHED}
    assert {(run.config.seed, run.config.lr) for run in runs} == {(s, lr) for s in (1, 2) for lr in (1e-3, 1e-5)}
    assert {run.config.sweep for run in runs} == {name}
    assert "[lr 0.001, seed 2] " in done.stdout
    assert "95 % interval by Welch" in done.stdout

    again = call(tmp_path, [*arguments, "--json"])
    assert again.returncode == 0, again.stderr
    record = json.loads(again.stdout)
    assert {setting["setting"] for setting in record["settings"]} == {"lr 0.001", "lr 1e-05"}
    assert all(setting["seeds"] == [1, 2] and setting["f1"]["count"] == 2 for setting in record["settings"])
    assert len(list_runs(tmp_path / "runs")) == 4

    compared = call(tmp_path, [sys.executable, "-m", "tui.cli", "compare", str(name)])
    assert compared.stdout == done.stdout[done.stdout.index(compared.stdout[:20]) :]

    (tmp_path / "data.json").write_text((tmp_path / "data.json").read_text() + "\n")
    other = call(tmp_path, arguments)
    assert other.returncode == 2
    assert "has changed since the sweep's run" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "1,x"], "--seed x"),
        (["--lr", "1e-5,9"], "--lr 9"),
        (["--jobs", "2"], "--jobs has no meaning for one run"),
        (["--seeds", "1,2", "--seed", "1"], "exclude each other"),
        (["--seeds", "1,2", "--run-dir", "here"], "--run-dir names one run"),
    ],
)
def test_wrong_sweeps_are_refused_before_anything_starts(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "data.json").write_text("{}")
    done = call(tmp_path, command(tmp_path, *arguments))
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_sweep_that_could_not_begin_names_no_command(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    done = call(tmp_path, command(tmp_path, "--seeds", "1,2"))
    assert done.returncode == 65
    assert len(done.stderr.splitlines()) == 1
    assert "go on with" not in done.stderr


def test_a_sweep_of_the_same_name_with_other_options_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    config = RunConfig(dataset=str(tmp_path / "data.json"), runs_dir=str(tmp_path / "runs"), sweep="mine")
    RunDir.create(tmp_path / "runs" / "a", config)
    planned = plan_sweep(config, [42, 43, 42], [None])
    assert [(run.label, run.path) for run in planned.runs] == [("seed 42", tmp_path / "runs" / "a"), ("seed 43", None)]
    with pytest.raises(UsageError, match="epochs was 5 and is 3"):
        plan_sweep(RunConfig(dataset=config.dataset, runs_dir=config.runs_dir, sweep="mine", epochs=3), [1], [None])


def test_a_sweep_is_found_again_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    folder = tmp_path / "runs"
    config = RunConfig(dataset=str(tmp_path / "data.json"), runs_dir="elsewhere", sweep="mine", on_finish="true")
    first = RunDir.create(folder / "first", msgspec.structs.replace(config, seed=1, run_dir=str(folder / "first")))
    plan = SweepPlan((SweepPoint(1), SweepPoint(2), SweepPoint(2, 1e-3)), jobs=2)
    first.sweep_file.write_bytes(msgspec.json.encode(plan))
    other = RunDir.create(folder / "other", msgspec.structs.replace(config, seed=9, sweep="another"))
    other.sweep_file.write_bytes(msgspec.json.encode(SweepPlan((SweepPoint(3),))))

    sweep = find_sweep("mine", folder)
    assert [(run.label, run.path) for run in sweep.runs] == [
        ("seed 1", first.path),
        ("seed 2", None),
        ("lr 0.001, seed 2", None),
    ]
    assert sweep.plan == plan
    assert {(run.config.runs_dir, run.config.run_dir) for run in sweep.runs[1:]} == {(str(folder), None)}
    assert find_sweep("mine", folder, jobs=1).jobs == 1

    first.sweep_file.write_text("{")  # what was begun is known without it
    assert [run.path for run in find_sweep("mine", folder).runs] == [first.path]
    with pytest.raises(UsageError, match="no such sweep"):
        find_sweep("nothing", folder)


def test_only_a_sweep_has_jobs(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=20)
    for arguments, words in (
        (["resume", str(run.path), "--jobs", "2"], "--jobs has no meaning for one run"),
        (["resume", "none", "--runs-dir", str(tmp_path)], "none: not a run"),
    ):
        done = call(tmp_path, [sys.executable, "-m", "tui.cli", *arguments])
        assert done.returncode == 2
        assert words in done.stderr


def test_each_job_has_gpus_of_its_own() -> None:
    config = RunConfig(dataset="d", devices=2)
    assert device_environments(config, 1, ["0"]) == [{}]
    assert device_environments(config, 2, ["0", "1", "5", "7", "8"]) == [
        {"CUDA_VISIBLE_DEVICES": "0,1"},
        {"CUDA_VISIBLE_DEVICES": "5,7"},
    ]
    with pytest.raises(UsageError, match=r"there are 3 GPUs\. Use --jobs 1"):
        device_environments(config, 2, ["0", "1", "2"])
    with pytest.raises(UsageError, match="there is no GPU"):
        device_environments(RunConfig(dataset="d", device="cuda"), 2, [])
    assert [list(each) for each in device_environments(config, 3, [])] == [["OMP_NUM_THREADS"]] * 3


def test_the_difference_in_words() -> None:
    clear = settings_of(
        [score(s, f1, lr=lr) for lr, f1s in ((1e-5, (80, 82, 84)), (3e-5, (70, 72, 74))) for s, f1 in enumerate(f1s)]
    )
    assert sentences(clear) == [
        "F1: lr 1e-05 is 10.0 above lr 3e-05, more than the seeds' spread (95 % interval by Welch: 5.5 to 14.5).",
        "EM: lr 1e-05 is 5.0 above lr 3e-05, more than the seeds' spread (95 % interval by Welch: 2.7 to 7.3).",
    ]
    close = settings_of(
        [score(s, f1, lr=lr) for lr, f1s in ((1e-5, (80, 82, 84)), (3e-5, (79, 81, 83))) for s, f1 in enumerate(f1s)]
    )
    assert "within the seeds' spread (95 % interval by Welch: -3.5 to 5.5): no setting is shown" in sentences(close)[0]
    assert "unknown with one seed" in sentences(settings_of([score(1, 80, lr=1e-5), score(1, 70)]))[0]
    assert "do not compare" in sentences(settings_of([score(1, 80), score(1, 70, dataset="/other")]))[0]
    assert sentences(settings_of([score(1, 80), score(2, 70)])) == [
        "The runs differ in their seed alone: F1 from 70.0 to 80.0."
    ]


def test_mean_and_deviation_in_print() -> None:
    assert spread_text(Spread(3, 81.24, 0.41, 80.9, 81.7)) == "81.2 ± 0.4"
    assert spread_text(Spread(1, 81.24, None, 81.24, 81.24)) == "81.2"
    assert spread_text(None) == "-"

"""What several processes compute together, and who they are. Real processes over gloo."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from engine.errors import UsageError
from engine.learning.distributed import Group
from tests.engine.group_of_ranks import FEW, LENGTHS, WORLDS
from tests.engine.test_learning_packed import saved, windows
from tests.machines import ROOT, environment, free_port

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Arrays]]:
    """World size -> what each rank found."""
    folder = tmp_path_factory.mktemp("group")
    saved("bert", folder / "model", spread=0.05)
    program = [
        sys.executable,
        "-m",
        "tests.engine.group_of_ranks",
        str(folder / "model"),
        str(folder),
        str(free_port()),
    ]
    done = subprocess.run(
        [*program, str(free_port())], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr
    return {world: [dict(np.load(folder / f"{world}-{rank}.npz")) for rank in range(world)] for world in WORLDS}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("name", "count"), [("all", len(LENGTHS)), ("few", FEW)])
def test_every_window_is_scored_once_and_all_ranks_know_all_scores(
    computed: dict[int, list[Arrays]], world: int, name: str, count: int
) -> None:
    features = windows(LENGTHS[:count])
    positions = np.concatenate([np.arange(length) for length in LENGTHS[:count]])
    for found in computed[world]:
        np.testing.assert_array_equal(found[f"{name}_start"], features.input_ids)
        np.testing.assert_array_equal(found[f"{name}_end"], positions)
    assert sum(int(found[f"{name}_windows"]) for found in computed[world]) == count


@pytest.mark.parametrize("world", WORLDS[1:])
def test_gradients_are_averaged_over_examples_not_ranks(computed: dict[int, list[Arrays]], world: int) -> None:
    """Two ranks with three examples and one, three with two, one and one, seven of which three have none."""
    (alone,) = computed[1]
    assert np.abs(alone["gradient"]).max() > 0.01
    for found in computed[world]:
        np.testing.assert_allclose(found["loss"], alone["loss"], rtol=1e-6)
        np.testing.assert_allclose(found["gradient"], alone["gradient"], rtol=1e-4, atol=1e-7)


STEP = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
FOUND = {"MASTER_ADDR": "gpu-01", "MASTER_PORT": "29500"}


def test_torchruns_variables_come_before_slurms() -> None:
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    assert Group.of_environment(torchrun | STEP | FOUND) == Group(1, 2, 0)
    assert Group.of_environment(STEP | FOUND) == Group(3, 4, 1)


def test_only_a_step_of_several_tasks_is_a_group() -> None:
    assert Group.of_environment({}) == Group()
    batch_script = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    assert Group.of_environment(batch_script) == Group()
    assert Group.of_environment(STEP | {"SLURM_STEP_NUM_TASKS": "1"}) == Group()


def test_a_task_that_sees_one_gpu_takes_it() -> None:
    assert Group.of_environment(STEP | FOUND | {"CUDA_VISIBLE_DEVICES": "2"}).local_rank == 0
    assert Group.of_environment(STEP | FOUND | {"CUDA_VISIBLE_DEVICES": "0,1"}).local_rank == 1


def test_tasks_that_are_not_told_where_to_meet() -> None:
    with pytest.raises(UsageError, match=r"4 tasks without MASTER_ADDR and MASTER_PORT.*scontrol show hostnames"):
        Group.of_environment(STEP)

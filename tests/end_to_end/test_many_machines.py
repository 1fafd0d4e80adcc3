"""Runs on two machines: two torchrun agents, or tasks of an srun stand-in, with real ranks over gloo. Whatever
happens to one of them, the run ends on both, says why, and goes on when it is started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from engine.config import RunConfig
from engine.errors import ExitCode
from engine.events import AnyEvent, Failed, Finished, RunStarted, Step, Stopped
from engine.rundir.commands import send_command
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from engine.rundir.status import current_state
from tests.machines import Machines, environment, free_port
from tests.tiny_run import tiny_config
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)
QUICK = {"_BERTQA_SILENT_SECONDS": "4"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    made = tiny_config(tmp_path_factory.mktemp("tiny"))
    return msgspec.structs.replace(made, early_snapshots=False, epochs=4000)


def new_run(config: RunConfig, path: Path) -> RunDir:
    return RunDir.create(path, msgspec.structs.replace(config, run_dir=str(path)))


def events(run: RunDir) -> list[AnyEvent]:
    return read_events(run.events_file)


def engine(run: RunDir) -> None:
    """One process works on the run to its end."""
    command = [sys.executable, "-m", "engine.learning.worker", str(run.path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_rank_killed_while_the_run_is_paused_ends_it_on_both_machines(tmp_path: Path, config: RunConfig) -> None:
    run = new_run(config, tmp_path / "run")
    send_command(run, "pause")
    with Machines(run) as machines:
        ranks = machines.ranks()
        machines.until_event("paused")
        ranks[1].kill()
        machines.until_all_are_gone()
    failed = events(run)[-1]
    assert isinstance(failed, Failed)
    assert failed.message.startswith(f"rank 1 on {os.uname().nodename} (process {ranks[1].pid}) is gone: killed,")
    assert current_state(run)[0] is State.FAILED
    # Where torchrun's output goes elsewhere, the run's own log has the reason too.
    assert f"rank 1 on {os.uname().nodename}" in run.engine_log.read_text()


SRUN = """
import os, subprocess, sys
tasks = int(sys.argv[1])
shared = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": str(tasks), "SLURM_NTASKS": str(tasks)}
mine = lambda task: {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)}
started = [subprocess.Popen(sys.argv[2:], env=os.environ | shared | mine(task)) for task in range(tasks)]
print(*(process.pid for process in started), flush=True)
sys.exit(max(process.wait() for process in started))
"""
"""A stand-in for `srun --ntasks=N`: it starts the tasks with Slurm's variables, and ends with the highest exit code."""


def test_tasks_of_srun_are_a_run_and_a_signal_to_one_stops_it(tmp_path: Path, config: RunConfig) -> None:
    run = new_run(config, tmp_path / "run")
    command = [sys.executable, "-c", SRUN, "2", sys.executable, "-m", "engine.learning.worker", str(run.path)]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    job = subprocess.Popen(command, env=environment(**meeting), stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert job.stdout is not None
    pids = [int(word) for word in job.stdout.readline().split()]
    until(lambda: any(isinstance(event, Step) for event in events(run)), "the first step")
    os.kill(pids[1], signal.SIGUSR1)
    job.communicate(timeout=120)
    assert job.returncode == ExitCode.STOPPED
    stopped = events(run)[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.reason.startswith("stopped by SIGUSR1")
    assert run.info is not None
    assert run.info.world_size == 2


Inject = Callable[[Machines, RunDir], tuple[psutil.Process, ...]]


def kill_first_rank(machines: Machines, run: RunDir) -> tuple[psutil.Process, ...]:
    machines.ranks()[0].kill()
    return ()


def kill_last_agent(machines: Machines, run: RunDir) -> tuple[psutil.Process, ...]:
    machines.agent_of(3).kill()
    return ()


def kill_first_agent(machines: Machines, run: RunDir) -> tuple[psutil.Process, ...]:
    """The rendezvous and rank 0 are gone with it."""
    machines.agent_of(0).kill()
    return ()


def stop_first_side(machines: Machines, run: RunDir) -> tuple[psutil.Process, ...]:
    return machines.suspend_side_of(0)


def stop_last_side(machines: Machines, run: RunDir) -> tuple[psutil.Process, ...]:
    return machines.suspend_side_of(3)


def stop_last_rank(machines: Machines, run: RunDir) -> tuple[psutil.Process, ...]:
    machines.ranks()[3].suspend()
    return ()


@pytest.mark.long
@pytest.mark.parametrize(
    ("inject", "reason"),
    [
        (kill_first_rank, "rank 0"),
        (kill_last_agent, "is gone"),
        (kill_first_agent, "is gone"),
        (stop_first_side, "no sign of life"),
        (stop_last_side, "no sign of life"),
        (stop_last_rank, "no sign of life"),
    ],
)
def test_every_fault_ends_the_run_and_leaves_no_process(
    tmp_path: Path, config: RunConfig, inject: Inject, reason: str
) -> None:
    run = new_run(config, tmp_path / "run")
    with Machines(run, each=2, more=QUICK | {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "5"}) as machines:
        machines.ranks()
        machines.until_event("step")
        suspended = inject(machines, run)
        machines.until_all_are_gone(but=suspended)
        for process in suspended:
            process.resume()
        machines.until_all_are_gone()
    failed = [event for event in events(run) if isinstance(event, Failed)]
    said = run.engine_log.read_text() + "".join(event.message for event in failed)
    assert reason in said
    assert current_state(run)[0] in (State.FAILED, State.DEAD)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM])
@pytest.mark.parametrize("machine", [0, 1])
def test_a_signal_to_one_torchrun_stops_the_run_on_both(
    tmp_path: Path, config: RunConfig, number: signal.Signals, machine: int
) -> None:
    run = new_run(config, tmp_path / "run")
    with Machines(run) as machines:
        machines.ranks()
        machines.until_event("step")
        machines.agent_of(machine).send_signal(number)
        machines.until_all_are_gone()
    stopped = events(run)[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.reason.startswith(f"stopped by {number.name}")
    assert any(path.name == f"step-{stopped.step:08}" or stopped.step % 6 == 0 for path in run.checkpoints.iterdir())


@pytest.mark.long
def test_all_suspended_for_long_go_on(tmp_path: Path, config: RunConfig) -> None:
    """A batch system may suspend a job: that is no fault."""
    run = new_run(config, tmp_path / "run")
    with Machines(run, more=QUICK) as machines:
        machines.ranks()
        machines.until_event("step")
        suspended = (*machines.suspend_side_of(0), *machines.suspend_side_of(1))
        count = len(events(run))
        time.sleep(10)  # longer than a silent one is waited for
        for process in suspended:
            process.resume()
        until(lambda: len(events(run)) > count + 20, "more events")
        send_command(run, "stop")
        machines.until_all_are_gone()
    assert isinstance(events(run)[-1], Stopped)


@pytest.mark.long
def test_resumed_with_another_number_of_processes_it_learns_the_same(tmp_path: Path, config: RunConfig) -> None:
    short = msgspec.structs.replace(config, epochs=40)
    alone, run = new_run(short, tmp_path / "alone"), new_run(short, tmp_path / "run")
    engine(alone)
    with Machines(run, each=2) as machines:
        ranks = machines.ranks()
        until(lambda: any(event.type == "checkpoint" for event in events(run)), "a checkpoint")
        ranks[3].kill()
        machines.until_all_are_gone()
    engine(run)
    begun = [event.resumed_from_step for event in events(run) if isinstance(event, RunStarted)]
    assert begun[0] is None
    assert begun[1]
    assert isinstance(events(run)[-1], Finished)
    losses = [{event.step: event.loss for event in events(each) if isinstance(event, Step)} for each in (alone, run)]
    assert losses[0].keys() == losses[1].keys()
    np.testing.assert_allclose([*losses[1].values()], [*losses[0].values()], rtol=1e-3)
    assert json.loads((run.path / "run.json").read_text())["world_size"] == 4

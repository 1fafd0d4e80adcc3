"""Runs on two machines: two torchrun agents, or tasks of an srun stand-in, with real ranks over gloo. Whatever
happens to one of them, the run ends on both, says why, and goes on when it is started again."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
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

from engine import resume, start
from engine.config import RunConfig
from engine.errors import ExitCode, UsageError
from engine.events import AnyEvent, Failed, Finished, RunStarted, Step, Stopped
from engine.rundir.commands import send_command
from engine.rundir.layout import RunDir
from engine.rundir.liveness import RunStatus, State
from engine.rundir.log import read_events
from engine.rundir.status import current_state
from engine.torchrun import on_each_machine
from tests.machines import ROOT, Machines, environment, free_port, is_gone
from tests.slurm_stand_in import make_programs
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


def bertqa(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tui.cli", *arguments]
    variables |= {"XDG_CONFIG_HOME": str(folder / "config")}
    return subprocess.run(
        command, env=environment(**variables), cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_train_prepares_a_run_and_prints_the_command(tmp_path: Path, config: RunConfig) -> None:
    asked = ["train", config.dataset, "--model", config.model, "--run-dir", "run", "--nnodes", "2"]
    done = bertqa(*asked, "--nproc-per-node", "4", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    run = RunDir(tmp_path / "run")
    (line,) = [line for line in done.stdout.splitlines() if "torchrun " in line]
    assert line == on_each_machine(run, run.config, host="HOST")
    assert shlex.split(line)[1:4] == ["torchrun", "--nnodes=2", "--nproc-per-node=4"]
    assert f"bertqa-tui attach {run.path}" in done.stdout
    # The run is checked and made, and its readers wait.
    assert run.examples_file.exists()
    status = RunStatus(run)
    status._since -= 3600
    assert status.state() == (State.STARTING, "waiting for torchrun or srun to start it on 2 machines")

    # Within a Slurm job the host is known, and `resume` prints the same command.
    programs = make_programs(tmp_path / "bin")
    slurm = {"PATH": f"{programs}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "gpu-[01-02]"}
    done = bertqa("resume", "run", "--runs-dir", ".", "--json", folder=tmp_path, **slurm)
    assert json.loads(done.stdout)["command"] == on_each_machine(run, run.config, host="localhost")
    with pytest.raises(UsageError, match=r"a run on 2 machines.*torchrun --nnodes=2"):
        resume(run.path)


def test_one_machine_does_not_start_a_run_of_several(tmp_path: Path, config: RunConfig) -> None:
    with pytest.raises(UsageError, match="train DATASET --nnodes 3"):
        start(msgspec.structs.replace(config, nnodes=3, run_dir=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_tasks_of_srun_are_a_run_and_a_signal_to_one_stops_it(tmp_path: Path, config: RunConfig) -> None:
    run = new_run(config, tmp_path / "run")
    programs = make_programs(tmp_path / "bin")
    command = [str(programs / "srun"), sys.executable, "-m", "engine.learning.worker", str(run.path)]
    slurm = {"STAND_IN_TASKS": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    job = subprocess.Popen(command, env=environment(**slurm), cwd=tmp_path)
    until(lambda: any(isinstance(event, Step) for event in events(run)), "the first step")
    task = next(p for p in psutil.Process(job.pid).children() if p.environ()["SLURM_PROCID"] == "1")
    task.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=120) == ExitCode.STOPPED
    stopped = events(run)[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.reason.startswith("stopped by SIGUSR1, sent to rank 1 on ")
    assert run.info is not None
    assert run.info.world_size == 2


@pytest.mark.long
@pytest.mark.parametrize("kind", ["srun", "torchrun"])
def test_the_readmes_batch_script_is_requeued_and_ends_the_run(tmp_path: Path, config: RunConfig, kind: str) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    script = readme.split(f"<!-- script: {kind} -->\n```sh\n")[1].split("```")[0]
    script = re.sub(r"(nproc-per-node[= ])4", r"\g<1>1", script).replace("29400", str(free_port()))
    (tmp_path / "data").mkdir()
    shutil.copy(config.dataset, tmp_path / "data" / "remedies.json")
    (tmp_path / "slurm-script").write_text(script)
    job_id = str(free_port())
    variables = {
        "PATH": f"{make_programs(tmp_path / 'bin')}:{os.environ['PATH']}",
        "SCRATCH": str(tmp_path),
        "SLURM_JOB_ID": job_id,
        "SLURM_JOB_NODELIST": "gpu-[01-02]",
        "STAND_IN_TASKS": "2",
        "STAND_IN_QUEUE": str(tmp_path / "queue"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "BERTQA_MODEL": config.model,
        "BERTQA_DEVICE": "cpu",
        "BERTQA_PRECISION": "fp32",
        "BERTQA_BATCH_SIZE": "1",
        "BERTQA_MAX_LENGTH": "128",
        "BERTQA_DOC_STRIDE": "32",
    }
    command = ["bash", str(tmp_path / "slurm-script")]
    run = RunDir(tmp_path / "runs" / f"remedies-{job_id}")
    job = subprocess.Popen(command, env=environment(**variables), cwd=tmp_path)
    until(lambda: any(isinstance(event, Step) for event in events(run)), "the first step")
    srun = next(p for p in psutil.Process(job.pid).children() if "srun" in " ".join(p.cmdline()))
    srun.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=120) == ExitCode.STOPPED
    assert isinstance(events(run)[-1], Stopped)
    assert (tmp_path / "queue").read_text() == f"{job_id}\n"
    again = subprocess.run(command, env=environment(**variables), cwd=tmp_path, timeout=120)
    assert again.returncode == 0
    assert isinstance(events(run)[-1], Finished)
    assert sum(isinstance(event, RunStarted) for event in events(run)) == 2
    assert run.info is not None
    assert run.info.world_size == 2


@pytest.mark.long
def test_what_fails_on_one_machine_alone_stands_in_the_log(tmp_path: Path, config: RunConfig) -> None:
    """The second task looks for the run where its machine has no such folder."""
    run = new_run(config, tmp_path / "run")
    slurm = {"SLURM_STEP_NUM_TASKS": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    tasks = [
        subprocess.Popen(
            [sys.executable, "-m", "engine.learning.worker", str(path)],
            env=environment(**slurm, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank)),
        )
        for rank, path in enumerate((run.path, tmp_path / "nowhere"))
    ]
    assert [task.wait(timeout=120) for task in tasks] == [ExitCode.USAGE, ExitCode.USAGE]
    failed = events(run)[-1]
    assert isinstance(failed, Failed)
    assert failed.message.startswith(f"rank 1 on {os.uname().nodename} (process {tasks[1].pid}): ")
    assert "nowhere/config.json" in failed.message


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
        # Also a torchrun that waits for the store of a rendezvous on a suspended machine ends.
        machines.until_all_are_gone(but=suspended)
        for process in suspended:
            if not is_gone(process):
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
def test_what_rank_0_does_alone_for_long_is_no_fault(tmp_path: Path, config: RunConfig) -> None:
    run = new_run(msgspec.structs.replace(config, epochs=1, on_finish="sleep 10"), tmp_path / "run")
    with Machines(run, more=QUICK) as machines:
        machines.ranks()
        machines.until_all_are_gone()
        assert [agent.wait() for agent in machines.agents] == [0, 0]
    assert isinstance(events(run)[-1], Finished)


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

"""Starts an engine as a process of its own, and follows one that runs: the Python face of a run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import msgspec
import psutil

from engine.config import RunConfig
from engine.data.examples import dump_examples
from engine.data.run_data import load_run_data
from engine.data.samples import find_dataset
from engine.early import WORKER, EarlyEngine, child_environment
from engine.errors import UsageError, WriteError
from engine.events import AnyEvent, Finished
from engine.models import locate_model
from engine.rundir.commands import CommandName, clear_commands, send_command
from engine.rundir.eval_set import EvalSet, Scores
from engine.rundir.folds import refuse_fold
from engine.rundir.layout import RunDir, StartInfo, data_identity, is_run_dir, versions
from engine.rundir.liveness import State, ending_of, is_live
from engine.rundir.log import read_events
from engine.rundir.place import next_run_path, placed
from engine.rundir.process import Owner, is_alive_here, is_this_host, read_owner
from engine.rundir.snapshot import Snapshot, snapshot_name
from engine.rundir.status import POLL_SECONDS, RunFollower, current_state
from engine.storage.atomic_io import check_own_folder, operations, raises_write_error, replace_file
from engine.torchrun import HOST, SHUTDOWN, first_host, on_each_machine, on_this_machine
from engine.trackers.registry import tools_of

TRACKERS = "engine.trackers"
NOTHING_MORE: Mapping[str, str] = MappingProxyType({})


class RunSnapshot:
    """One snapshot of a run, with its examples."""

    def __init__(self, run: RunDir, index: int, eval_set: EvalSet) -> None:
        """Raises FileNotFoundError where there is no such snapshot (yet)."""
        self._snapshot = Snapshot(run.path / snapshot_name(index))
        self._set = eval_set
        self.info = self._snapshot.info

    def scores(self, example_id: str, window: int | None = None) -> Scores:
        """Start and end score of every token of an example's window (default: the predicted answer's).

        Raises KeyError for an unknown example, and DataError for one that is not in the sample that the snapshot is of.
        """
        return self._set.scores(self._snapshot, example_id, window)


class Run:
    """A run, live or finished. Only `wait` blocks, and nothing here ends the engine but `stop`."""

    def __init__(self, path: Path) -> None:
        self.directory = RunDir(path)
        self.path = self.directory.path
        self._set: EvalSet | None = None

    async def events(self) -> AsyncIterator[AnyEvent]:
        """Every event from the run's first on, live; ends when the run has ended or its engine died."""
        follower = RunFollower(self.directory)
        while not (look := follower.poll()).at_end:
            for event in look.events:
                yield event
            await asyncio.sleep(POLL_SECONDS)

    def state(self) -> tuple[State, str]:
        """How the run stands now, and why."""
        return current_state(self.directory)

    def is_live(self) -> bool:
        """Whether an engine is at work on the run; up to a minute for one of another host."""
        return is_live(self.directory)

    def snapshot(self, index: int) -> RunSnapshot:
        """Snapshot number `index`. Raises FileNotFoundError where there is none."""
        if self._set is None:
            self._set = EvalSet(self.directory)
        return RunSnapshot(self.directory, index, self._set)

    def command(self, name: CommandName) -> str:
        """Ask the engine; returns the id that its answering event carries. Raises WriteError."""
        return send_command(self.directory, name)

    def pause(self) -> str:
        """Ask the engine to pause after the current step; returns the id of the answer."""
        return self.command("pause")

    def resume(self) -> str:
        """Ask a paused engine to go on; returns the id of the answer."""
        return self.command("resume")

    def stop(self) -> str:
        """Ask the engine to save a checkpoint and end; returns the id of the answer.

        Where the disk is too full to ask, an engine on this host gets a SIGTERM; "" is returned then.
        """
        try:
            return self.command("stop")
        except WriteError:
            owner = read_owner(self.directory)
            if owner is None or not is_this_host(owner) or not is_alive_here(owner):
                raise
            os.kill(owner.pid, signal.SIGTERM)
            return ""

    def wait(self) -> State:
        """Block until the run has ended; returns how."""
        follower = RunFollower(self.directory)
        while not (look := follower.poll()).at_end:
            time.sleep(POLL_SECONDS)
        return look.state


def start(config: RunConfig, *, environment: Mapping[str, str] = NOTHING_MORE) -> Run:
    """Check the data set and the model, make the run's folder and start an engine, which works on when this process
    ends. Returns as soon as the engine's process is there. `environment` is added to that process's environment.

    Raises DataError, ModelError, UsageError for a run on several machines, and WriteError where the run's folder can't
    be made; no folder is left then.
    """
    if config.nnodes > 1 or config.devices > 1:
        return start_with(None, config, environment=environment)
    config = placed(config)
    with EarlyEngine(WORKER, Path(config.run_dir or ""), environment) as early:
        return start_with(early, config)


def start_with(early: EarlyEngine | None, config: RunConfig, *, environment: Mapping[str, str] = NOTHING_MORE) -> Run:
    """As `start`, with an engine that waits for the run in `run_dir`; it has its environment already."""
    if config.nnodes > 1:
        raise UsageError(
            f"--nnodes {config.nnodes}: one machine can't start the processes of the others.",
            hint=f"bertqa-tui train DATASET --nnodes {config.nnodes} prepares the run and prints the command for each.",
        )
    return _launch(prepare(config).directory, environment, early)


def prepare(config: RunConfig) -> Run:
    """Check the data set and the model and make the run's folder, for engines that others start: torchrun or srun.

    Raises DataError, ModelError, and WriteError where the run's folder can't be made; no folder is left then.
    """
    tools_of(config.report_to)
    paths = {name: str(find_dataset(value)) for name in ("dataset", "eval") if (value := getattr(config, name))}
    config = msgspec.structs.replace(config, **paths)
    data, files = load_run_data(config), locate_model(config)
    identities = tuple(data_identity(Path(os.path.abspath(value))) for value in paths.values())
    path = next_run_path(config)
    absolute = {name: os.path.abspath(value) for name, value in paths.items()}
    if Path(config.model).exists():
        absolute["model"] = os.path.abspath(config.model)
    run = RunDir.create(path, msgspec.structs.replace(config, **absolute, run_dir=os.path.abspath(path)))
    replace_file(run.examples_file, dump_examples(data.dataset))
    run.write_start(StartInfo(data=identities, allow_null=data.allow_null, remarks=data.remarks, weights=files.mark()))
    return Run(run.path)


def attach(path: Path | str) -> Run:
    """The run in the folder `path`. Raises UsageError where there is none."""
    if not is_run_dir(Path(path)):
        raise UsageError(f"{path}: not the folder of a run.", hint="`bertqa-tui runs` lists them.")
    return Run(Path(path))


def resume(path: Path | str, *, force: bool = False, environment: Mapping[str, str] = NOTHING_MORE) -> Run:
    """Start an engine that resumes a run from its newest whole checkpoint.

    Raises UsageError as `resumable`, and for a run on several machines.
    """
    run = resumable(path, force=force).directory
    if (config := run.exact_config).nnodes > 1:
        raise UsageError(
            f"{path}: a run on {config.nnodes} machines.",
            hint=f"Start it on each of them: {on_each_machine(run, config, host=first_host() or HOST)}",
        )
    return _launch(run, environment)


def resumable(path: Path | str, *, force: bool = False) -> Run:
    """The run in the folder `path`, which an engine may resume.

    Raises UsageError when an engine is at work on it, when it is finished or a fold of another run, when it asks for
    what this version does not know, or, without `force`, when its data set, model or versions are not what they were.
    """
    run = attach(path).directory
    refuse_fold(run.path)
    if isinstance(ending_of(read_events(run.events_file)), Finished):
        raise UsageError(f"{path}: this run is finished; there is nothing to resume.")
    if is_live(run):
        raise UsageError(f"{path}: an engine is at work on this run.", hint="Watch it: bertqa-tui attach.")
    _ = run.exact_config  # a newer version's run is refused before anything else is said of it
    if not force and (changes := what_changed(run)):
        raise UsageError(
            f"{path}: {'; '.join(changes)}.",
            hint="A resumed run would not be the run that was started; --force resumes it all the same.",
        )
    return Run(run.path)


def what_changed(run: RunDir) -> list[str]:
    """What is not as it was when the run began, one phrase each; [] where a resumed run is the same run."""
    info = run.info
    if info is None:
        return []
    changes = []
    for data in info.data:
        try:
            now = data_identity(Path(data.path))
        except OSError:
            changes.append(f"the data set {data.path} can't be read")
            continue
        if now.sha256 != data.sha256:
            changes.append(f"the data set {data.path} changed ({data.size} bytes then, {now.size} now)")
    if info.model.sha256 is not None and locate_model(info.config).sha256 != info.model.sha256:
        changes.append(f"the weights of {info.model.name} changed")
    present = versions()
    changes += [
        f"{name} was {version} and is {present.get(name)}"
        for name, version in info.versions.items()
        if present.get(name) != version
    ]
    return changes


def _launch(run: RunDir, environment: Mapping[str, str], early: EarlyEngine | None = None) -> Run:
    config = run.exact_config
    trackers = tools_of(config.report_to)
    worker = ["-m", WORKER, str(run.path)]
    if config.devices > 1:
        worker, environment = [*on_this_machine(config), *worker], SHUTDOWN | dict(environment)
    # What was asked of an engine that is no more is not for the next one.
    clear_commands(run)
    process = _start_process(run, worker, run.engine_log, environment, early)
    # So that watchers know whom to look for while torch is being imported; the engine then writes it itself.
    with suppress(psutil.NoSuchProcess):
        replace_file(run.owner_file, msgspec.json.encode(Owner.of(process.pid)))
    for tool in trackers:
        # Whatever becomes of a tracker, the run goes on.
        with suppress(OSError, WriteError):
            _start_process(run, ["-m", TRACKERS, str(run.path), tool], run.tracker_files(tool)[0], environment)
    return Run(run.path)


def _start_process(
    run: RunDir,
    module: list[str],
    log_file: Path,
    environment: Mapping[str, str],
    early: EarlyEngine | None = None,
) -> subprocess.Popen[bytes]:
    """Start a Python process that works on when this one ends, with all it prints in `log_file`; or let the one that
    was started early begin.

    Raises WriteError, OSError.
    """
    with raises_write_error(log_file):
        check_own_folder(run.path)
        log = operations.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        if early is not None:
            early.begin(log)
            process = early.process
        else:
            process = subprocess.Popen(
                [sys.executable, "-P", *module],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=run.path,  # a folder named datasets/ in the user's folder must not be importable
                env=child_environment() | dict(environment),
                start_new_session=True,
            )
    finally:
        os.close(log)
    # Reaped when it ends, so that it is not left as a zombie for as long as this process lives.
    threading.Thread(target=process.wait, name="reaper", daemon=True).start()
    return process

"""An engine without a model, as a process: it keeps every promise about files and signals, and takes no time.

    python -m tests.fake_engine RUN_DIR

"Training" mixes numbers: the weights after step n depend on all steps before. FAKE_STEPS (steps of an epoch) and
FAKE_STEP_SECONDS set its size and pace, FAKE_CRASH a line to die with before anything is written.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from engine.data.examples import dump_examples
from engine.early import WAIT, wait_for_run
from engine.errors import ExitCode, UserError
from engine.events import CheckpointSaved, CommandDone, Failed, Finished, Paused, Resumed, Stopped
from engine.rundir.commands import take_commands
from engine.rundir.layout import RunDir
from engine.rundir.log import EventLog
from engine.rundir.ownership import Ownership
from engine.rundir.snapshot import snapshot_event
from engine.storage.atomic_io import make_folder, remove_folder, replace_file
from tests.fake_run import fake_set, fake_steps, run_started, write_fake_features, write_fake_snapshot

STEPS = int(os.environ.get("FAKE_STEPS", "5"))
SECONDS = float(os.environ.get("FAKE_STEP_SECONDS", "0"))


class Engine:
    def __init__(self, run: RunDir) -> None:
        self.run, self.config = run, run.config
        self.made = fake_set(4, tokens=20)
        self.signals = 0
        self.paused = False
        self.log = EventLog(run.events_file)
        self.step, self.weights = self.newest_checkpoint()

    def newest_checkpoint(self) -> tuple[int, np.ndarray]:
        for folder in sorted(self.run.checkpoints.glob("epoch-*"), reverse=True):
            if (folder / "MANIFEST.json").is_file():
                manifest = json.loads((folder / "MANIFEST.json").read_bytes())
                weights = np.frombuffer((folder / "weights").read_bytes(), np.float64)
                assert weights.nbytes == manifest["bytes"]
                return int(manifest["step"]), weights.copy()
        return 0, np.zeros(256)

    def save(self) -> None:
        epoch = self.step / STEPS
        folder = self.run.checkpoints / f"epoch-{self.step:08}"
        if folder.exists():
            shutil.rmtree(folder)
        make_folder(folder)
        replace_file(folder / "weights", self.weights.tobytes())
        manifest = json.dumps({"step": self.step, "bytes": self.weights.nbytes}).encode()
        replace_file(folder / "MANIFEST.json", manifest)
        self.log.append(CheckpointSaved(path=f"checkpoints/{folder.name}", step=self.step, epoch=epoch))
        for old in sorted(self.run.checkpoints.glob("epoch-*"))[:-2]:
            remove_folder(old)

    def snapshot(self) -> None:
        index = self.step // STEPS
        info = write_fake_snapshot(
            self.run, self.made, index, progress=index / self.config.epochs, seed=0, step=self.step, time=1.0
        )
        self.log.append(snapshot_event(info))

    def obey(self) -> str:
        """Answer waiting commands; returns the reason to stop, or ""."""
        reason = "SIGTERM" if self.signals else ""
        for command in take_commands(self.run):
            self.log.append(CommandDone(id=command.id, command=command.command, outcome="done"))
            if command.command == "stop":
                reason = "asked to stop"
            elif command.command == "pause":
                self.paused = True
                self.log.append(Paused(step=self.step))
            elif command.command == "resume":
                self.paused = False
                self.log.append(Resumed(step=self.step))
        return reason

    def work(self) -> ExitCode:
        began = run_started(self.made.dataset, self.config, STEPS)
        self.log.append(began)
        if not self.run.features_file.exists():
            replace_file(self.run.examples_file, dump_examples(self.made.dataset))
            write_fake_features(self.run, self.made, allow_null=False)
        if self.step == 0:
            self.snapshot()
        total = self.config.epochs * STEPS
        while self.step < total:
            if reason := self.obey():
                self.save()
                self.log.append(Stopped(step=self.step, epoch=self.step / STEPS, reason=reason))
                return ExitCode.STOPPED
            time.sleep(SECONDS)
            if self.paused:
                time.sleep(0.02)
                continue
            self.step += 1
            self.weights = np.sin(self.weights * 1.5 + np.arange(256) + self.step)
            self.log.append(fake_steps((self.step - 1) // STEPS, STEPS, self.config.epochs)[(self.step - 1) % STEPS])
            if self.step % STEPS == 0:
                self.snapshot()
                self.save()
        self.log.append(Finished(step=self.step, epoch=float(self.config.epochs), seconds=1.0))
        return ExitCode.OK


def main() -> int:
    run = RunDir(Path(sys.argv[1]))
    if WAIT in sys.argv:
        wait_for_run(run.path)
    if "FAKE_CRASH" in os.environ:
        raise SystemExit(os.environ["FAKE_CRASH"])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    engine: Engine | None = None

    def asked(number: int, frame: object) -> None:
        if engine is None or engine.signals:
            os._exit(128 + number)
        engine.signals += 1

    try:
        with Ownership(run):
            engine = Engine(run)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, asked)
            try:
                return engine.work()
            except UserError as error:
                engine.log.append(Failed(message=error.message, hint=error.hint, exit_code=int(error.exit_code)))
                raise
            finally:
                engine.log.close()
    except UserError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())

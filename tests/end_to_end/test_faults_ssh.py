"""The walk this is all for: start a run over SSH, lose the connection, come back, attach, see it finish."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from engine.events import Finished, SnapshotTaken
from engine.rundir.layout import RunDir, list_runs
from engine.rundir.liveness import RunStatus, State
from engine.rundir.log import read_events
from engine.rundir.process import read_owner
from tests.tiny_model import make_tiny_model
from tests.tiny_run import write_data
from tests.waiting import LOOK_SECONDS, LOOKS, until

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
COMMAND = Path(sys.executable).with_name("bertqa-tui")
FOUND = {"sshd": Path(SSHD).exists(), "ssh": shutil.which("ssh"), "tmux": shutil.which("tmux")}
MISSING = [name for name, found in FOUND.items() if not found]
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed here: {', '.join(MISSING)}"),
]


@dataclass
class Server:
    """An sshd on the loopback interface, for this user alone, with keys of its own."""

    port: int
    folder: Path

    def client(self, command: str) -> list[str]:
        options = [
            "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={self.folder}/known_hosts",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
        ]
        flags = [flag for option in options for flag in ("-o", option)]
        target = f"{getpass.getuser()}@127.0.0.1"
        return ["ssh", "-F", "none", "-tt", "-i", f"{self.folder}/key", "-p", str(self.port), *flags, target, command]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [
        "ListenAddress 127.0.0.1",
        f"Port {port}",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        f"PidFile {folder}/pid",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PermitRootLogin yes",
    ]
    (folder / "config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    made = Server(port, folder)
    try:
        for _ in range(50):
            done = subprocess.run(made.client("true"), capture_output=True, stdin=subprocess.DEVNULL)
            if done.returncode == 0:
                break
            time.sleep(0.2)
        else:
            pytest.skip(f"this sshd lets nobody in: {done.stderr.decode()[-200:]}")
        yield made
    finally:
        daemon.terminate()
        daemon.wait()


@dataclass
class Terminal:
    """A tmux server of the test's own, with one window."""

    socket: str

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self.socket, "-f", os.devnull, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def open(self, command: list[str]) -> None:
        self.socket += "+"  # a server that was asked to end may not be gone yet
        keep = ("start-server", ";", "set-option", "-g", "remain-on-exit", "on", ";")
        self.tmux(*keep, "new-session", "-d", "-s", "walk", "-x", "120", "-y", "40", shlex.join(command))

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "walk")

    def shows(self, *words: str) -> None:
        """Wait until one of `words` is on the screen."""
        for _ in range(LOOKS):
            screen = self.screen()
            if any(word in screen for word in words):
                return
            time.sleep(LOOK_SECONDS)
        raise AssertionError(f"no {words[0]!r} came on the screen:\n{screen}")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "walk", *keys)

    def pid(self) -> int:
        return int(self.tmux("display-message", "-p", "-t", "walk", "#{pane_pid}"))

    def is_dead(self) -> bool:
        return self.tmux("display-message", "-p", "-t", "walk", "#{pane_dead}").strip() == "1"

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal(f"bertqa-walk-{os.getpid()}")
    yield made
    made.close()


def apps(run: RunDir) -> list[int]:
    """Processes on this host that are the app, looking at `run` or its runs folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = process.info["cmdline"] or []
        if any(part.endswith("bertqa-tui") for part in line[:3]) and str(run.path.parent) in line:
            found.append(process.info["pid"])
    return found


def snapshots_announced(run: RunDir) -> int:
    return sum(isinstance(event, SnapshotTaken) for event in read_events(run.events_file))


def test_start_lose_the_connection_come_back_and_finish(tmp_path: Path, server: Server, terminal: Terminal) -> None:
    write_data(tmp_path / "data.json", 24)
    make_tiny_model(tmp_path / "model")
    runs = tmp_path / "runs"
    there = f"cd {shlex.quote(str(tmp_path))} && TERM=xterm-256color exec {shlex.quote(str(COMMAND))}"
    options = (
        f"--runs-dir {runs} --model model --epochs 200 --batch-size 4 --max-length 128 --doc-stride 32 --device cpu"
    )
    terminal.open(server.client(f"{there} data.json {options}"))

    until(lambda: list_runs(runs), "run folder")
    run = RunDir(list_runs(runs)[0])
    until(lambda: snapshots_announced(run) >= 3, "third snapshot")
    terminal.shows("epoch", "step")
    owner = read_owner(run)
    assert owner is not None
    engine = psutil.Process(owner.pid)

    # The connection is cut: the client is killed, and the app on the other side hears a hang-up.
    assert apps(run)
    os.kill(terminal.pid(), signal.SIGKILL)
    until(terminal.is_dead, "end of the client")
    until(lambda: not apps(run), "end of the app")
    announced = snapshots_announced(run)
    until(lambda: snapshots_announced(run) > announced + 1, "further snapshot without anybody looking on")
    assert engine.is_running()
    terminal.close()

    # Back again, and this time the app is killed outright.
    terminal.open(server.client(f"{there} attach --runs-dir {runs}"))
    terminal.shows("epoch")
    for pid in apps(run):
        os.kill(pid, signal.SIGKILL)
    until(terminal.is_dead, "end of the client")
    assert engine.is_running()
    terminal.close()

    # And to the end: the app shows that the run has finished, and leaves at a key.
    terminal.open(server.client(f"{there} attach --runs-dir {runs}"))
    until(lambda: isinstance(read_events(run.events_file)[-1], Finished), "end of the run", looks=5 * LOOKS)
    terminal.shows("finished", "FINISHED", "Finished")
    terminal.press("q")
    until(terminal.is_dead, "end of the app")
    watch = RunStatus(run)
    events = read_events(run.events_file)
    watch.update(events)
    assert watch.state() == (State.FINISHED, "")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    until(lambda: not engine.is_running(), "end of the engine")

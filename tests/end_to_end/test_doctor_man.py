"""`doctor` says what works here, `man` prints the manual page: both as processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

import engine.doctor
from engine.config import RunConfig
from engine.doctor import Finding, examine
from engine.errors import ExitCode
from tui.cli.registry import COMMANDS
from tui.terminal.examine import examine_terminal

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = {"HF_HUB_OFFLINE": "1"}


def call(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | OFFLINE | {"PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(
        [sys.executable, "-P", "-m", "tui.cli", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=170,
    )  # fmt: skip


def findings_of(done: subprocess.CompletedProcess[str]) -> dict[str, Finding]:
    found = [msgspec.json.decode(line, type=Finding) for line in done.stdout.splitlines()]
    return {finding.topic: finding for finding in found}


def test_a_machine_that_can_train(tmp_path: Path) -> None:
    done = call("doctor", "--json", folder=tmp_path)
    found = findings_of(done)
    assert done.returncode == ExitCode.OK, done.stderr
    assert {"torch", "GPU", "device", "processor", "memory", "disk", "model", "network", "terminal"} <= set(found)
    assert "cpu in" in found["device"].text or "cuda" in found["device"].text
    assert found["network"].verdict == "limited"
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_what_fails_comes_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.doctor, "_device", list)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "file").write_text("not a folder")
    found = {f.topic: f for f in examine(RunConfig(dataset="-", model="./absent/model"), tmp_path / "file" / "runs")}
    assert found["model"].verdict == "fails"
    assert found["model"].hint
    # A file in the way: the nearest folder above is looked at.
    assert found["disk"].text.startswith(str(tmp_path))


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refused)
    (finding,) = engine.doctor._disk(tmp_path)
    assert finding.verdict == "fails"
    assert "Permission denied" in finding.text
    assert "--runs-dir" in finding.hint


def test_torch_that_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.doctor, "HARDWARE", "engine.learning.no_such_module")
    (finding,) = engine.doctor._device()
    assert finding.verdict == "fails"
    assert "no_such_module" in finding.text


def test_an_address_that_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (finding,) = engine.doctor._network()
    assert finding.verdict == "limited"
    assert "127.0.0.1:9 is not reached" in finding.text


def test_a_terminal_is_told_by_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    found = {
        f.topic: f for f in examine_terminal({"TERM": "xterm", "NO_COLOR": "1", "SSH_CONNECTION": "x"}, size=(60, 20))
    }
    assert found["size"].verdict == "limited"
    assert found["size"].text == "60×20"
    assert found["colours"].text.startswith("none")
    assert "SSH" in found
    (dumb,) = examine_terminal({"TERM": "dumb"})
    assert dumb.verdict == "limited"


def test_the_manual_names_every_command_and_option(tmp_path: Path) -> None:
    done = call("man", folder=tmp_path)
    assert done.returncode == ExitCode.OK, done.stderr
    page = done.stdout.replace("\\-", "-")
    assert page.startswith(".TH BERTQA-TUI 1")
    for command in COMMANDS:
        assert f".SS {command.name}" in page
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert max(parameter.opts, key=len) in page
    assert not re.search(r"^(?!\.(TH|SH|SS|TP|B|br)\b)[.']", page, re.MULTILINE)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_is_formatted_without_a_complaint(tmp_path: Path) -> None:
    page = call("man", folder=tmp_path).stdout
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert "EXIT STATUS" in re.sub(".\x08", "", done.stdout)  # bold is overstruck

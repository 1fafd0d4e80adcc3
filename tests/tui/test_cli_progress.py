"""What a long wait shows on standard error, and what `doctor` prints for a person."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import engine.doctor
from engine.doctor import Device, Finding, Hardware
from engine.errors import ExitCode
from tests.waiting import Clock
from tui.cli import progress
from tui.cli.main import main
from tui.cli.progress import Waiting


def test_a_line_now_and_then_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    with Waiting("answering", "questions") as waiting:
        waiting.show(0, 100)
        for done in (1, 25, 50, 100):
            clock.sleep(6.0)
            waiting.show(done, 100)
    assert capsys.readouterr().err == "answering: 25 of 100 questions, 0:36 left\n"


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "can_move_cursor", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Waiting("answering [b]", "questions") as waiting:
        waiting.show(40, 100)
        waiting.show(41, 100)
        assert waiting._bar is not None
        assert waiting._bar[0].tasks[0].completed == 41
    assert "answering [b]" in capsys.readouterr().err


def doctor_says(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = main(["doctor"])
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("hardware", "words"),
    [
        (Hardware("2.13", "13.0", "cuda:0", "bf16", "fast", 4, (Device("H100", 80_000_000_000),)), "H100, 80 GB"),
        (Hardware("2.13", None, "mps", "fp32", "no bfloat16", 4, mps=True), "Apple's MPS"),
        (Hardware("2.13", None, "cpu", "fp32", "no bfloat16", 4), "twice as long"),
    ],
)
def test_doctor_in_words(
    hardware: Hardware,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(engine.doctor, "_hardware", lambda: hardware)
    monkeypatch.setattr(engine.doctor, "_model", lambda config: [Finding("model", "works", "there\x1b]0;x")])
    code, lines = doctor_says(capsys)
    assert code == ExitCode.OK
    assert any(words in line for line in lines)
    assert lines[-1] == "a run can start here"
    assert "\x1b" not in "".join(lines)


def test_doctor_names_a_driver_without_its_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(engine.doctor, "_model", lambda config: [Finding("model", "fails", "gone", "Install it.")])
    for build, words in ((None, "built without CUDA"), ("13.0", "torch finds no GPU")):
        hardware = Hardware("2.13", build, "cpu", "fp32", "no bfloat16", 4)
        monkeypatch.setattr(engine.doctor, "_hardware", lambda hardware=hardware: hardware)
        code, lines = doctor_says(capsys)
        assert code == ExitCode.RUN_FAILED
        assert any(words in line for line in lines)
        assert "Install it." in " ".join(lines)
        assert lines[-1].startswith("a run can't start here")

"""The command line as a user meets it: real processes, their output and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PASSAGE = "Chilblains itch. Warm the feet slowly."


def bertqa(*arguments: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *map(str, arguments)],
        cwd=cwd,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(cwd / "config"), "HF_HUB_OFFLINE": "1"}
        | environ,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def squad(answers: list[dict[str, object]]) -> str:
    question = {"id": "q1", "question": "what itches", "answers": answers}
    return json.dumps({"data": [{"title": "t", "paragraphs": [{"context": PASSAGE, "qas": [question]}]}]})


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("missing.json", None, 65, ["missing.json"]),
        ("somewhere", "", 65, ["somewhere", "folder"]),
        ("empty.json", b"", 65, ["empty.json", "empty"]),
        ("broken.json", b'{"data": [\n  {"title": "x",\n  oops}]}', 65, ["broken.json", "line 3", "column"]),
        ("latin.json", b'{"data": "\xe9"}', 65, ["latin.json", "UTF-8"]),
        ("no-answers.json", squad([]).encode(), 65, ["no-answers.json", "answer"]),
    ],
)
@pytest.mark.parametrize("command", [[], ["train"]])
def test_bad_data_is_told_in_one_line(
    tmp_path: Path, command: list[str], name: str, content: bytes | str | None, code: int, words: list[str]
) -> None:
    if content == "":
        (tmp_path / name).mkdir()
    elif isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    done = bertqa(*command, name, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "runs").exists(), "a run was started on bad data"


def test_a_model_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(squad([{"text": "Chilblains", "answer_start": 0}]))
    for model in ("no-such/model", "./nowhere"):
        done = bertqa("train", "data.json", "--eval", "data.json", "--model", model, cwd=tmp_path)
        assert done.returncode == 69, done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert model.removeprefix("./") in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epochs", "0", "x.json"], ["epochs", "1"]),
        (["--no-such-flag", "x.json"], ["--no-such-flag"]),
        (["--device", "tpu", "x.json"], ["device", "cpu"]),
        (["attach"], ["no run"]),
        (["stop", "nothing"], ["nothing"]),
        (["--config", "absent.toml", "x.json"], ["absent.toml"]),
    ],
)
def test_wrong_use_exits_with_2_and_one_line(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = bertqa(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_help_and_version_load_neither_torch_nor_textual(tmp_path: Path) -> None:
    for arguments in ("['--help']", "['--version']", "['train', '--help']"):
        script = (
            f"import sys\nfrom tui.cli import main\n"
            f"try: main({arguments})\nexcept SystemExit: pass\n"
            f"print(sorted({{'torch', 'textual', 'transformers'}} & set(sys.modules)), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stderr.strip() == "[]"
        assert "bertqa-tui" in done.stdout


def test_options_from_flags_environment_and_files_in_that_order(tmp_path: Path) -> None:
    from tui.options import training_config

    file = tmp_path / "config.toml"
    file.write_text("[train]\nepochs = 2\nlr = 1e-4\nseed = 7\n")
    environ = {"BERTQA_EPOCHS": "3", "BERTQA_LR": "2e-4"}
    config = training_config("x", {"epochs": "4"}, config_file=file, environ=environ)
    assert (config.epochs, config.lr, config.seed) == (4, 2e-4, 7)


def test_an_escape_sequence_in_a_file_name_does_not_reach_the_terminal(tmp_path: Path) -> None:
    done = bertqa("\x1b]0;owned\x07.json", cwd=tmp_path)
    assert done.returncode == 65
    assert "\x1b" not in done.stderr
    assert "\x07" not in done.stderr

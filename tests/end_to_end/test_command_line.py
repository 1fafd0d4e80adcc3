"""The command line as a user meets it: real processes, their output and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_run import make_run
from tui.cli.registry import COMMANDS

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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["runs"], ["check", "remedies"], ["--help"], ["--version"], ["train", "--help"]])
def test_output_on_a_full_disk_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tui.cli", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 73
    assert done.stderr.splitlines() == [
        "bertqa-tui: cannot write the output: No space left on device. Make room, or send it elsewhere."
    ]


@pytest.mark.parametrize("arguments", [[], ["runs"], ["check", "x.json"], ["train", "x.json"], ["attach"]])
def test_a_folder_that_was_deleted_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    code = (
        "import os, sys\n"
        f"os.chdir({str(tmp_path)!r}); os.rmdir({str(tmp_path)!r})\n"
        "from tui.cli.main import main\n"
        f"sys.exit(main({arguments!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "bertqa-tui: the current folder does not exist any more. Change to another one: cd.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{run}", "--epochs", "99", "--lr", "0.5"], ["--epochs, --lr have no meaning for a run that exists"]),
        (["{run}", "--no-early-snapshots"], ["--early-snapshots has no meaning"]),
        (["--epochs", "3"], ["--epochs has no meaning without a DATASET"]),
        (["check", "remedies", "--epochs", "3"], ["--epochs"]),
        (["attach", "--epochs", "3"], ["--epochs"]),
        (["runs", "--plain"], ["--plain"]),
        (["trian", "x.json"], ["'trian'", "Did you mean: bertqa-tui train?"]),
        (["train", "remedies", "--epohcs", "3"], ["--epohcs", "--epochs"]),
        (["train", "remedies", "surplus"], ["surplus"]),
        (["train"], ["DATASET"]),
        (["--seed"], ["--seed"]),
    ],
)
def test_what_has_no_meaning_is_refused(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=20)
    done = bertqa(*(argument.format(run=run.path) for argument in arguments), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_options_that_a_run_takes(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=20)
    done = bertqa(run.path, "--plain", "--runs-dir", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "finished" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bertqa-tui ", {command.name for command in COMMANDS}),
        ("bertqa-tui tr", {"train"}),
        ("bertqa-tui --ep", {"--epochs"}),
        ("bertqa-tui data.json --dev", {"--device", "--devices"}),
        ("bertqa-tui train data.json --device c", {"cpu", "cuda"}),
        ("bertqa-tui stop fa", {"fake"}),
        ("bertqa-tui attach --theme x fa", {"fake"}),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path: Path, shell: str, words: str, expected: set[str]) -> None:
    (tmp_path / "runs").mkdir()
    make_run(tmp_path / "runs", examples=4, snapshots=2, tokens=20)
    asked = {"_BERTQA_TUI_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    if shell == "fish":
        asked["COMP_CWORD"] = words.rpartition(" ")[2]
    done = bertqa(cwd=tmp_path, **asked)
    lines = done.stdout.splitlines()
    match shell:
        case "bash":
            found = {line.removeprefix("plain,") for line in lines if line.startswith("plain,")}
        case "zsh":
            found = {lines[n + 1] for n, line in enumerate(lines) if line == "plain"}
        case _:
            found = {line.removeprefix("plain,").partition("\t")[0] for line in lines if line.startswith("plain,")}
    assert found == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(tmp_path: Path, shell: str) -> None:
    done = bertqa(cwd=tmp_path, _BERTQA_TUI_COMPLETE=f"{shell}_source")
    assert done.returncode == 0
    assert "_BERTQA_TUI_COMPLETE" in done.stdout


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


def test_help_and_version_load_nothing_heavy(tmp_path: Path) -> None:
    for arguments in ("['--help']", "['--version']", "['train', '--help']"):
        script = (
            f"import sys\nfrom tui.cli.main import main\n"
            f"try: main({arguments})\nexcept SystemExit: pass\n"
            "heavy = {'torch', 'textual', 'transformers', 'numpy', 'rich', 'plotext'}\n"
            "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
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

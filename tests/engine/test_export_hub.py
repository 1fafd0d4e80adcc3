"""`export RUN --push-to-hub NAME` against a stand-in of the Hub, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import ExitCode
from engine.rundir.layout import RunDir
from tests.fake_run import make_run
from tests.hub_stand_in import OWNER, TOKEN, HubStandIn, Repo
from tests.kept_weights import keep_weights
from tests.pseudo_terminal import PseudoTerminal


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as server:
        yield server


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = make_run(tmp_path, examples=12, snapshots=3)
    keep_weights(run, 2)
    return run


def environment(hub: HubStandIn | None, tmp_path: Path, *, token: str | None = TOKEN) -> dict[str, str]:
    """Variables for a process whose Hub is the stand-in (None: nobody listens), with an empty home of the Hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    url = hub.url if hub is not None else "http://127.0.0.1:9"
    more = {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hub-home"), "HF_HUB_DISABLE_XET": "1"}
    return kept | more | ({"HF_TOKEN": token} if token else {})


def push(run: RunDir, name: str, *options: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = ["export", str(run.path), "--push-to-hub", name, *options]
    return subprocess.run(
        [sys.executable, "-P", "-m", "tui.cli", *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=env, timeout=120,
    )  # fmt: skip


def test_the_folder_arrives_whole_in_a_private_repository(run: RunDir, hub: HubStandIn, tmp_path: Path) -> None:
    done = push(run, f"{OWNER}/my-model", "--yes", "-o", str(tmp_path / "kept"), env=environment(hub, tmp_path))
    assert done.returncode == ExitCode.OK, done.stderr
    assert hub.strange == []
    repo = hub.repos[f"{OWNER}/my-model"]
    assert repo.private
    here = {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    assert {"README.md", "curve.svg", "config.json", "model.safetensors", "qa_calibration.json"} == set(here)
    assert {name: content for name, content in repo.files.items() if name != ".gitattributes"} == here
    assert f'from_pretrained("{OWNER}/my-model")' in here["README.md"].decode()
    lines = done.stdout.splitlines()
    total = sum(len(content) for content in here.values())
    asked = f"These 5 files ({total:,} bytes) would be sent to {hub.url}/{OWNER}/my-model (private):"
    assert asked in lines
    assert f"  config.json ({len(here['config.json']):,} bytes)" in lines
    assert lines[-1] == f"uploaded to {hub.url}/{OWNER}/my-model (private)"
    assert TOKEN not in done.stdout + done.stderr


def test_public_is_only_what_was_asked_for(run: RunDir, hub: HubStandIn, tmp_path: Path) -> None:
    done = push(run, "my-model", "--yes", "--public", env=environment(hub, tmp_path))
    assert done.returncode == ExitCode.OK, done.stderr
    assert not hub.repos[f"{OWNER}/my-model"].private
    assert done.stdout.splitlines()[-1] == f"uploaded to {hub.url}/{OWNER}/my-model (public)"


@pytest.mark.parametrize("answer", ["n", "y"])
def test_nothing_leaves_before_a_yes(run: RunDir, hub: HubStandIn, tmp_path: Path, answer: str) -> None:
    command = [sys.executable, "-P", "-m", "tui.cli", "export", str(run.path), "--push-to-hub", "my-model"]
    with PseudoTerminal(command, environment=environment(hub, tmp_path)) as terminal:
        terminal.wait_for("Upload them?", timeout=150)
        assert hub.calls == []
        terminal.press(answer + "\r")
        terminal.wait_for("Nothing was sent" if answer == "n" else "uploaded to", timeout=150)
    assert set(hub.repos) == (set() if answer == "n" else {f"{OWNER}/my-model"})
    assert bool(hub.calls) == (answer == "y")


def test_without_a_terminal_or_a_yes_nothing_is_done(run: RunDir, hub: HubStandIn, tmp_path: Path) -> None:
    done = push(run, "my-model", env=environment(hub, tmp_path))
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == "bertqa-tui: there is no terminal to ask on. --yes uploads without asking.\n"
    assert hub.calls == []


def test_a_name_that_is_taken_is_refused(run: RunDir, hub: HubStandIn, tmp_path: Path) -> None:
    hub.repos[f"{OWNER}/my-model"] = Repo(private=True, files={"model.safetensors": b"theirs"})
    done = push(run, "my-model", "--yes", env=environment(hub, tmp_path))
    assert done.returncode == ExitCode.CANNOT_WRITE
    assert done.stderr.splitlines()[-1] == (
        "bertqa-tui: my-model: the Hub has a model of that name already. Choose another; nothing is overwritten."
    )
    assert hub.repos[f"{OWNER}/my-model"].files == {"model.safetensors": b"theirs"}


def test_an_upload_that_broke_off_is_gone_on_with(run: RunDir, hub: HubStandIn, tmp_path: Path) -> None:
    hub.fails_at = "/commit/"
    done = push(run, "my-model", "--yes", env=environment(hub, tmp_path))
    assert done.returncode == ExitCode.CANNOT_WRITE
    assert "my-model: the Hub refused it (500: Out of order)" in done.stderr.splitlines()[-1]
    hub.fails_at = ""
    again = push(run, "my-model", "--yes", env=environment(hub, tmp_path))
    assert again.returncode == ExitCode.OK, again.stderr
    assert "model.safetensors" in hub.repos[f"{OWNER}/my-model"].files


def test_an_empty_repository_that_is_public_is_not_filled_unasked(run: RunDir, hub: HubStandIn, tmp_path: Path) -> None:
    hub.repos[f"{OWNER}/my-model"] = Repo(private=False, files={".gitattributes": b""})
    done = push(run, "my-model", "--yes", env=environment(hub, tmp_path))
    assert done.returncode == ExitCode.CANNOT_WRITE
    assert "it is public" in done.stderr
    assert set(hub.repos[f"{OWNER}/my-model"].files) == {".gitattributes"}


@pytest.mark.parametrize(
    ("name", "token", "code", "line"),
    [
        ("my-model", None, ExitCode.USAGE, "there is no token for the Hub. Log in with `hf auth login`"),
        ("my-model", "hf_wrongwrongwrongwrong", ExitCode.USAGE, "the Hub does not let this token do that (401: "),
        ("others/my-model", TOKEN, ExitCode.USAGE, "others/my-model: the Hub does not let this token do that (403: "),
        ("a/b/c", TOKEN, ExitCode.USAGE, "a/b/c: not a name that the Hub gives to models."),
    ],
)
def test_what_the_hub_would_refuse_is_one_line(
    run: RunDir, hub: HubStandIn, tmp_path: Path, name: str, token: str | None, code: ExitCode, line: str
) -> None:
    done = push(run, name, "--yes", env=environment(hub, tmp_path, token=token))
    assert done.returncode == code
    (told,) = [text for text in done.stderr.splitlines() if text.startswith("bertqa-tui: ")]
    assert line in told
    assert "Traceback" not in done.stderr
    assert not hub.repos


def test_a_hub_that_can_not_be_reached_is_one_line(run: RunDir, tmp_path: Path) -> None:
    done = push(run, "my-model", "--yes", env=environment(None, tmp_path))
    assert done.returncode == ExitCode.CANNOT_WRITE
    told = done.stderr.splitlines()[-1]
    assert told.startswith("bertqa-tui: http://127.0.0.1:9: the Hub can't be reached (")
    assert "Traceback" not in done.stderr


def test_options_of_the_hub_alone_mean_nothing(run: RunDir, tmp_path: Path) -> None:
    for option in ("--public", "--yes"):
        words = ["export", str(run.path), "-o", str(tmp_path / "out"), option]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tui.cli", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == ExitCode.USAGE
        assert "without --push-to-hub" in done.stderr

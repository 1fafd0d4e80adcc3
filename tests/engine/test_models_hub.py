"""Errors of the Hub for a model: one line each, with what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from engine.config import RunConfig
from engine.errors import ExitCode, ModelError
from engine.models import locate_model
from tests.tiny_run import write_data
from tui.cli.main import main

NAME = "somebody/some-model"
GATED = f"{NAME}: the Hub gives this model only to those who accepted its terms."
ACCEPT = "Accept them on its page, then log in: hf auth login."
NO_REVISION = f"{NAME} at revision v9: the Hub has no such revision."
NO_MODEL = f"{NAME}: neither a folder nor a public model of the Hub."
SPELLING = "Check the spelling; for a private model log in: hf auth login."
CONNECT = "Connect to the network, name a folder with --model, or leave --model out: the default needs no network."


def unreachable(reason: str) -> str:
    return f"{NAME}: not in the Hub's cache, and the Hub can't be reached ({reason})."


class Response:
    """As much of an HTTP response as the Hub's errors look at."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.request = None


def of_http(kind: type[errors.HfHubHTTPError], text: str) -> Exception:
    return kind(text, response=Response())  # type: ignore[arg-type]


class ClientError(Exception):
    """Stands for an error of the HTTP client, whose classes have nothing in common with the Hub's."""


CASES: dict[str, tuple[Callable[[], Exception], str | None, str, str]] = {
    "gated": (lambda: of_http(errors.GatedRepoError, "403\nCannot access"), None, GATED, ACCEPT),
    "revision": (lambda: of_http(errors.RevisionNotFoundError, "404\nNot found"), "v9", NO_REVISION, ""),
    "repository": (lambda: of_http(errors.RepositoryNotFoundError, "401\nNot found"), None, NO_MODEL, SPELLING),
    "http": (lambda: of_http(errors.HfHubHTTPError, "503 Down\nRequest ID 1"), None, unreachable("503 Down"), CONNECT),
    "cache": (lambda: errors.LocalEntryNotFoundError("No file\nmore"), None, unreachable("No file"), CONNECT),
    "offline": (lambda: errors.OfflineModeIsEnabled("Offline mode"), None, unreachable("Offline mode"), CONNECT),
    "system": (lambda: OSError(101, "Network is down"), None, unreachable("[Errno 101] Network is down"), CONNECT),
    "closed": (lambda: RuntimeError("client was closed"), None, unreachable("client was closed"), CONNECT),
    "client": (lambda: ClientError(""), None, unreachable("ClientError"), CONNECT),
    "long": (lambda: OSError("x" * 5000), None, unreachable("x" * 200), CONNECT),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_of_the_hub_is_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, revision, message, hint = CASES[case]
    asked: list[bool] = []

    def snapshot_download(name: str, *, local_files_only: bool, **more: Any) -> str:
        assert (name, more["revision"]) == (NAME, revision)
        asked.append(local_files_only)
        raise errors.LocalEntryNotFoundError("not in the cache") if local_files_only else make()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(ModelError) as caught:
        locate_model(RunConfig(dataset="-", model=NAME, revision=revision))
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.__suppress_context__
    assert asked == [True, False]  # the network last

    write_data(tmp_path / "data.json", 2)
    monkeypatch.chdir(tmp_path)
    options = ["--revision", revision] if revision else []
    assert main(["train", "data.json", "--model", NAME, *options]) == ExitCode.NO_MODEL
    assert capsys.readouterr().err == f"bertqa-tui: {message} {hint}".rstrip() + "\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["a--b", "some.git", "a..b", "somebody/ends-with-a-dot."])
def test_a_name_that_no_model_of_the_hub_has(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        locate_model(RunConfig(dataset="-", model=name))
    assert caught.value.message == f"{name}: neither a folder nor a name that the Hub gives to models."


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A Hub on this host that answers every request with the `status` and `headers` it is told."""
    told: dict[str, Any] = {"status": 200, "headers": {}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(told["status"])
            for key, value in {"Content-Length": "0", **told["headers"]}.items():
                self.send_header(key, value)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *values: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        yield told
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "revision", "message"),
    [
        (403, "GatedRepo", None, GATED),
        (404, "RevisionNotFound", "v9", NO_REVISION),
        (404, "RepoNotFound", None, NO_MODEL),
        (401, "RepoNotFound", None, NO_MODEL),
    ],
)
def test_what_the_library_makes_of_the_hubs_answers(
    hub: dict[str, Any], status: int, code: str, revision: str | None, message: str
) -> None:
    """The same through the library itself: it raises what we expect of it."""
    hub |= {"status": status, "headers": {"X-Error-Code": code, "X-Error-Message": "told by the Hub"}}
    with pytest.raises(ModelError) as caught:
        locate_model(RunConfig(dataset="-", model=NAME, revision=revision))
    assert caught.value.message == message


def test_without_a_network_the_library_says_so(hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="can't be reached") as caught:
        locate_model(RunConfig(dataset="-", model=NAME))
    assert caught.value.hint == CONNECT
    assert "\n" not in str(caught.value)

"""`bertqa-tui serve`: the app in a browser, for whoever has the token, and for nobody else."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from engine.errors import UsageError
from engine.rundir.commands import Command, take_commands
from engine.rundir.layout import RunDir
from tests.browser import find_chromium, open_browser
from tests.fake_run import make_run, seem_alive
from tests.serving import HAS_KEYS, TOKEN, serve
from tests.waiting import until
from tui.web.access import Access, access_of

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse

needs_extra = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("textual_serve"), reason="the extra `web` is not installed"
)


@dataclass
class Served:
    run: RunDir
    address: str
    port: int
    said: list[str]

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
        """Status, text and headers of an answer; `Host` is this server's own unless given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace"), answer.headers
        finally:
            connection.close()

    @property
    def cookie(self) -> str:
        return f"bertqa-tui-{self.port}={TOKEN}"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def websocket(origin: str | None, **more: str) -> dict[str, str]:
    """The headers of a request for a websocket."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    return headers | more | ({"Origin": origin} if origin is not None else {})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as found:
        yield found


@contextmanager
def serving(home: Path, *options: str) -> Iterator[Served]:
    """A server of one run of two in a folder; an engine seems to be at work on it."""
    folder = home / "runs"
    folder.mkdir()
    make_run(folder, name="private", examples=4, snapshots=2, tokens=20)
    run = make_run(folder, examples=8, snapshots=3, tokens=30, live=True)
    seem_alive(run)
    with serve(run.path, folder / "state", *options) as said:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=\S+", said[0])
        assert found is not None, said
        yield Served(run, found[0], int(found[1]), said)


@needs_extra
def test_it_says_how_to_reach_it(served: Served) -> None:
    assert served.said[0] == f"open http://127.0.0.1:{served.port}/?token={TOKEN}"
    assert f"ssh -L {served.port}:127.0.0.1:{served.port} " in served.said[1]


@needs_extra
@pytest.mark.parametrize("path", ["/", "/ws", "/static/js/textual.js", "/download/x", "/nowhere"])
@pytest.mark.parametrize("how", ["none", "wrong", "prefix", "wrong cookie", "cookie of another"])
def test_without_the_token_nothing_is_answered(served: Served, path: str, how: str) -> None:
    query = {"wrong": "?token=nonsense", "prefix": f"?token={TOKEN[:-1]}"}.get(how, "")
    cookies = {"wrong cookie": f"bertqa-tui-{served.port}=x", "cookie of another": f"bertqa-tui-1={TOKEN}"}
    headers = websocket(served.origin) if path == "/ws" else {}
    if how in cookies:
        headers["Cookie"] = cookies[how]
    status, text, _ = served.get(path + query, **headers)
    assert status == 403
    assert "token" in text
    assert TOKEN not in text


@needs_extra
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[bad"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/ws"])
def test_foreign_origins_and_names_are_refused_with_the_token_too(
    served: Served, path: str, headers: dict[str, str]
) -> None:
    given = {"Cookie": served.cookie} | headers
    if path == "/ws":
        given = websocket(given.get("Origin", served.origin), **given)
    assert served.get(path, **given)[0] == 403


@needs_extra
def test_a_websocket_needs_an_origin(served: Served) -> None:
    assert served.get("/ws", **websocket(None, Cookie=served.cookie))[0] == 403


@needs_extra
def test_the_token_moves_into_a_cookie_that_no_script_reads(served: Served) -> None:
    status, text, headers = served.get(f"/?token={TOKEN}")
    assert status == 200
    assert TOKEN not in text
    cookie = headers["Set-Cookie"]
    assert cookie.startswith(f"bertqa-tui-{served.port}={TOKEN};")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert headers["Referrer-Policy"] == "no-referrer"
    # As through `ssh -L` to another port.
    status, text, headers = served.get("/", Cookie=served.cookie, Host="localhost:9999")
    assert status == 200
    assert 'data-session-websocket-url="ws://localhost:9999/ws"' in text
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


@needs_extra
def test_a_browser_shows_the_app_and_may_only_look(served: Served, tmp_path: Path) -> None:
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")
    shown = "document.body?.classList.contains('-first-byte')"
    with open_browser(tmp_path) as page:
        page.open(served.address)
        page.until(f"location.search === '' && {shown}")
        page.until(HAS_KEYS)
        assert page.run("document.cookie") == ""
        assert any(url.endswith("/static/css/xterm.css") for url in page.requests)
        assert page.run("document.querySelector('#terminal').getBoundingClientRect().top") == 0
        page.key("p")
        page.key("6")
        time.sleep(1)  # nothing is to happen
        page.picture(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 10_000
        own = (served.origin, "data:", "blob:")
        assert [url for url in page.requests if not url.startswith(own)] == []
    assert not list(served.run.commands.iterdir())
    assert not (served.run.path.parent / "state").exists()  # a visitor's place is not the user's


@needs_extra
def test_with_control_a_browser_commands_the_run(tmp_path: Path) -> None:
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")
    with serving(tmp_path, "--control") as served, open_browser(tmp_path) as page:
        page.open(served.address)
        page.until(HAS_KEYS)
        commands: list[Command] = []

        def pressed() -> list[Command]:
            page.key("p")  # the first may come before the app listens
            commands.extend(take_commands(served.run))
            return commands

        until(pressed)
        assert commands[0].command == "pause"


async def read(visitor: ClientWebSocketResponse, text: str) -> str:
    """What a visitor's terminal is sent, without its colours, until it holds `text`."""
    seen = ""
    while text not in seen:
        message = await visitor.receive(timeout=100)
        assert isinstance(message.data, bytes | str), seen[-1000:]
        data = message.data if isinstance(message.data, bytes) else message.data.encode()
        seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode("utf-8", "replace"))
    return seen


@needs_extra
async def test_one_visitors_keys_do_not_move_anothers_view(served: Served) -> None:
    from aiohttp import ClientSession

    headers = {"Origin": served.origin, "Cookie": served.cookie}
    address = f"ws://127.0.0.1:{served.port}/ws?width=120&height=30"
    async with (
        ClientSession(headers=headers) as session,
        session.ws_connect(address) as first,
        session.ws_connect(address) as second,
    ):
        await read(first, "[1 Journey")
        await read(second, "[1 Journey")
        for key in ("p", "K", "9", "6"):
            await first.send_json(["stdin", key])
        runs = await read(first, "1 run: ")  # the one that is served, of two
        assert "private" not in runs
        await second.send_json(["stdin", "2"])
        assert "[6 Runs" not in await read(second, "[2 Spans")
    assert not list(served.run.commands.iterdir())
    assert not served.run.verdicts.exists()


def ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@needs_extra
async def test_a_visitor_that_does_not_end_ends_with_the_server(tmp_path: Path) -> None:
    from aiohttp import ClientSession

    # Leaving the server sends SIGINT and looks that it complains of nothing.
    with serving(tmp_path) as served:
        async with ClientSession(headers={"Origin": served.origin, "Cookie": served.cookie}) as session:
            visitor = await session.ws_connect(f"ws://127.0.0.1:{served.port}/ws?width=80&height=24")
            await read(visitor, "[1 Journey")
            (server,) = (one for one in psutil.Process().children() if str(tmp_path) in " ".join(one.cmdline()))
            stuck = server.children(recursive=True)
            for process in stuck:
                process.suspend()
    assert stuck
    until(lambda: all(ended(process) for process in stuck), "the visitor's end")


@pytest.mark.parametrize(
    ("host", "token", "complaint"),
    [
        ("0.0.0.0", None, "others could reach"),
        ("::", None, "others could reach"),
        ("my-machine", None, "others could reach"),
        (None, "short", "at least 16"),
        ("0.0.0.0", "with spaces in the middle", "letters, digits"),
    ],
)
def test_other_addresses_take_a_token_of_the_users(host: str | None, token: str | None, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        access_of(host, token)


def test_tokens_are_random_and_long() -> None:
    first, second = access_of(None, None), access_of(None, None)
    assert first.host == "127.0.0.1"
    assert len(first.token) >= 43
    assert first.token != second.token
    assert not first.knows(second.token)
    assert not first.knows(None)
    assert not first.knows("é\ud800")
    assert first.knows(first.token)


def test_on_another_address_any_name_of_it_will_do() -> None:
    access = Access("0.0.0.0", TOKEN)
    assert access.complaint({"Host": "box:80", "Origin": "http://box:80"}, is_websocket=True) == ""
    assert "another site" in access.complaint({"Host": "box:80", "Origin": "http://evil"}, is_websocket=True)

"""A headless Chromium, driven by its DevTools protocol over two pipes: for tests of pages that we write.

    with open_browser(tmp_path) as page:
        page.open("file:///…/report.html")
        page.size(360, 740)
        assert page.run("document.title") == "…"

No driver program and no package is needed. `find_chromium` says where the browser is, None where there is none.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
PATIENCE = 60.0
"""Seconds to wait for an answer: a busy machine is no failure."""
KEYS = {
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35, "Enter": 13,
    "Escape": 27, "Tab": 9,
}  # fmt: skip
"""Keys that type nothing, with their codes."""


def find_chromium() -> str | None:
    """The browser's program; None where none is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """The one tab of a browser. `requests` are the addresses it asked for, `errors` what its console complained of."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._buffer = b""
        self._next = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        tab = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol; returns its result. Raises RuntimeError for what the browser refuses."""
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        return self._wait(lambda answer: answer.get("id") == self._next)

    def open(self, address: str) -> None:
        """Load a page and wait until it is whole."""
        self.requests.clear()
        self.errors.clear()
        self.call("Page.navigate", url=address)
        self._wait(lambda event: event.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise. Raises RuntimeError where it throws."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        limit = time.monotonic() + PATIENCE
        while not self.run(script):
            if time.monotonic() > limit:
                raise TimeoutError(f"never true: {script}")
            time.sleep(0.02)

    def size(self, width: int, height: int, *, scale: float = 1) -> None:
        """Give the window this many CSS pixels, of `scale` device pixels each, and let it draw."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )
        self.drawn()

    def media(self, kind: str = "screen", **features: str) -> None:
        """What the page is shown on: `kind` screen or print; features such as prefers_color_scheme="dark"."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", media=kind, features=named)
        self.drawn()

    def drawn(self) -> None:
        """Wait until the next frames are drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def key(self, key: str) -> None:
        """Press and release a key: a name of KEYS, or a character to type."""
        common = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
        if key not in KEYS:
            common["text"] = key
        self.call("Input.dispatchKeyEvent", type="keyDown" if "text" in common else "rawKeyDown", **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, x: float, y: float) -> None:
        """Click at a place in the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or with `whole` the page in all its length, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _wait(self, wanted: Callable[[dict[str, Any]], bool]) -> Any:
        """Read messages up to the wanted one; returns its result."""
        limit = time.monotonic() + PATIENCE
        while True:
            while b"\0" not in self._buffer:
                if not select.select([self._read], [], [], max(0.0, limit - time.monotonic()))[0]:
                    raise TimeoutError("the browser does not answer")
                if not (data := os.read(self._read, 1 << 20)):
                    raise RuntimeError("the browser is gone")
                self._buffer += data
            text, _, self._buffer = self._buffer.partition(b"\0")
            message = json.loads(text)
            self._note(message)
            if wanted(message):
                if "error" in message:
                    raise RuntimeError(message["error"]["message"])
                return message.get("result")

    def _note(self, message: dict[str, Any]) -> None:
        details = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(details["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(details["exceptionDetails"].get("exception", {}).get("description", "error"))
            case "Log.entryAdded":
                self.errors.append(details["entry"]["text"])
            case "Runtime.consoleAPICalled" if details["type"] == "error":
                self.errors.append(str(details["args"]))


@contextmanager
def open_browser(folder: Path) -> Iterator[Page]:
    """A browser with a new profile in `folder`; it ends with the block. Needs `find_chromium`."""
    program = find_chromium()
    assert program is not None, "no Chromium"
    theirs_in, ours_out = _pipe()
    ours_in, theirs_out = _pipe()
    process = os.posix_spawn(
        program,
        [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
        os.environ | {"HOME": str(folder)},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs_in, 3),
            (os.POSIX_SPAWN_DUP2, theirs_out, 4),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        setpgroup=0,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(ours_in, ours_out)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(ours_in)
        os.close(ours_out)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are not 3 or 4, which are what the browser reads and writes."""
    ends = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return read, write

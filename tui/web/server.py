"""Serves the app to browsers by textual-serve, behind a token. Each visitor gets a process of its own."""

from __future__ import annotations

import asyncio
import logging
import platform
import re
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import psutil
from aiohttp import web
from textual_serve.server import Server

from engine.errors import UsageError
from tui.web.access import Access

MOST_VISITORS = 16
"""Each is a process of some 100 MB."""
SHUTDOWN_SECONDS = 3.0
LOOK_SECONDS = 0.1
VISITOR = "tui.web.visitor"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
ENTERED = '<!DOCTYPE html><title>bertqa-tui</title><meta http-equiv="refresh" content="0; url=/"><a href="/">Enter</a>'
"""The token leaves the address; the page that follows is asked for by this site, so that a strict cookie goes along."""
FOCUSES = """<script>
new MutationObserver((_, observer) => {
  const keys = document.querySelector(".xterm-helper-textarea");
  if (keys && document.body.classList.contains("-first-byte")) { keys.focus(); observer.disconnect(); }
}).observe(document.body, { attributes: true, childList: true, subtree: true });
</script></body>"""
"""Gives the keys to the terminal once it shows something: without it a visitor must click first."""
_STYLESHEET = re.compile(r'<link\s+rel="stylesheet"\s+href="(https?:[^"]*)"[^>]*>')
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TokenServer(Server):
    """textual-serve's server, for those who have the token."""

    def __init__(self, arguments: Sequence[str], access: Access, port: int) -> None:
        """`arguments` are those of `python -m tui.web.visitor`."""
        command = shlex.join([sys.executable, "-P", "-m", VISITOR, *arguments])
        super().__init__(command, host=access.host, port=port, title="bertqa-tui")
        self.access = access
        self._visits: dict[int, web.Request] = {}

    @property
    def cookie(self) -> str:
        """Cookies know no ports: each server's has its own name."""
        return f"bertqa-tui-{self.port}"

    async def _make_app(self) -> web.Application:
        app: web.Application = await super()._make_app()

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard(request, handler)

        app.middlewares.append(guard)
        return app

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        complaint = self.access.complaint(request.headers, is_websocket=request.path == "/ws")
        if complaint:
            return _refused(complaint)
        given = request.query.get("token")
        if not self.access.knows(given if given is not None else request.cookies.get(self.cookie)):
            return _refused("the token is missing or wrong: open the whole address that the server printed")
        if given is not None and request.path == "/":
            response = web.Response(text=ENTERED, content_type="text/html", headers=HEADERS)
            response.set_cookie(self.cookie, given, httponly=True, samesite="Strict", path="/")
            return response
        answer = await handler(request)
        if not answer.prepared:
            answer.headers.update(HEADERS)
        return answer

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        # By whatever name and port the browser reaches us: `ssh -L` may have chosen another one.
        self.public_url = f"{request.scheme}://{request.host}"
        page = await super().handle_index(request)
        assert isinstance(page, web.Response)
        own = f"{self.public_url}/"
        text = _STYLESHEET.sub(lambda link: link[0] if link[1].startswith(own) else "", page.text or "")
        page.text = text.replace("</body>", FOCUSES)
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        if len(self._visits) >= MOST_VISITORS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_VISITORS} visitors are here already\n")
        self._visits[id(request)] = request
        try:
            return await super().handle_websocket(request)
        finally:
            del self._visits[id(request)]

    async def on_shutdown(self, app: web.Application) -> None:
        """Let the visitors' processes end before the event loop does; one that does not end is killed."""
        await super().on_shutdown(app)
        for visit in list(self._visits.values()):
            if visit.transport is not None:
                visit.transport.close()
        if not await self._all_gone():
            for process in _visitors():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            await self._all_gone()
        await asyncio.sleep(LOOK_SECONDS)  # for the news that the last process has ended

    async def _all_gone(self) -> bool:
        """Whether every visit and every visitor's process ends within SHUTDOWN_SECONDS."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                while self._visits or _visitors():
                    await asyncio.sleep(LOOK_SECONDS)
                return True
        return False

    def initialize_logging(self) -> None:
        # No requests are logged: they hold the token.
        logging.basicConfig(level=logging.ERROR, format="%(message)s")

    async def on_startup(self, app: web.Application) -> None:
        for line in self.lines():
            print(line, flush=True)

    def lines(self) -> list[str]:
        """How to reach the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"/?token={self.access.token}"
        lines = [f"open http://{host}:{self.port}{query}"]
        if self.access.loopback:
            target = f"{self.port}:{host}:{self.port}"
            lines.append(f"from another machine: ssh -L {target} {platform.node()}, then open the same address there")
        else:
            lines.append("others can read what goes over plain HTTP, the token too: prefer ssh -L, or a proxy with TLS")
        return [*lines, "Ctrl+C ends it; training goes on"]

    def serve(self, debug: bool = False) -> None:
        """Serve until SIGINT or SIGTERM. Raises UsageError where the address can't be had."""
        self.initialize_logging()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            listening = socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            raise UsageError(
                f"can't listen on {self.host}:{self.port}: {error.strerror or error}.",
                hint="--port 0 takes any free port.",
            ) from error
        self.port = listening.getsockname()[1]
        web.run_app(self._make_app(), sock=listening, print=None, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)


def _visitors() -> list[psutil.Process]:
    """The visitors' processes and their shells, also those whose visit has just ended."""
    children: list[psutil.Process] = psutil.Process().children(recursive=True)
    return children


def _refused(why: str) -> web.Response:
    return web.Response(status=403, text=f"bertqa-tui: {why}\n", headers=HEADERS)

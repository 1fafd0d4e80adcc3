"""Who may enter: requests with the token, from a page of this server's own."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.errors import UsageError

LOOPBACK = "127.0.0.1"
TOKEN_BYTES = 32
SHORTEST_TOKEN = 16
_TOKEN_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True)
class Access:
    """What a request must bring. `host` is the address that the server listens on."""

    host: str
    token: str

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host)

    def knows(self, token: str | None) -> bool:
        """Whether a token is the right one, in a time that does not depend on how much of it is."""
        return hmac.compare_digest((token or "").encode("utf-8", "replace"), self.token.encode())

    def complaint(self, headers: Mapping[str, str], *, is_websocket: bool) -> str:
        """Why a request is refused by where it comes from; "" where it is not.

        On the loopback address the Host must be this machine, at whatever port `ssh -L` gives it: no foreign name may
        be made to point here. An Origin must be the page's own, and a websocket must have one.
        """
        try:
            asked = urlsplit(f"//{headers.get('Host', '')}")
            name = asked.hostname or ""
        except ValueError:
            return "this server has another name"
        if not name or (self.loopback and not is_loopback(name)):
            return "this server has another name"
        origin = headers.get("Origin")
        if origin is None:
            return "a websocket needs an Origin" if is_websocket else ""
        if origin not in (f"http://{asked.netloc}", f"https://{asked.netloc}"):
            return "the request comes from another site"
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def access_of(host: str | None, token: str | None) -> Access:
    """The access that options ask for; without them this machine alone, by a random token. Raises UsageError."""
    if token is not None and (len(token) < SHORTEST_TOKEN or not _TOKEN_CHARACTERS.issuperset(token)):
        raise UsageError(
            f"--token: at least {SHORTEST_TOKEN} letters, digits, - or _.",
            hint='For example: --token "$(openssl rand -hex 16)".',
        )
    if host is not None and not is_loopback(host) and token is None:
        raise UsageError(
            f"--host {host}: others could reach this server.",
            hint="Reach it by ssh -L without --host, or choose a secret yourself: --token SECRET.",
        )
    return Access(host or LOOPBACK, token or secrets.token_urlsafe(TOKEN_BYTES))

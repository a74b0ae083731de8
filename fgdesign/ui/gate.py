"""Who may talk to the web server: a middleware in front of every page, file and socket.

A page of another site must not reach a server on this machine, neither by a name that points here (the Host
header is checked) nor through the browser's socket (its Origin must be this very server). Knows nothing of pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

HOSTS = "FGDESIGN_HOSTS"  # environment: further names the server may be called by, separated by commas
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
}


def allowed_hosts() -> frozenset[str]:
    """Names this server may be called by: the loopback ones and those of FGDESIGN_HOSTS."""
    named = (host.strip().lower() for host in os.environ.get(HOSTS, "").split(","))
    return frozenset((*LOOPBACK, *filter(None, named)))


def host_name(netloc: str) -> str:
    """The name in "name:port" or "[::1]:port", in lower case; "" where there is none."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""


class Gate:
    """Refuses requests for other hosts and sockets from other origins; adds the headers that browsers heed."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None = None) -> None:
        self.app = app
        self.hosts = allowed_hosts() if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        known = host_name(host) in self.hosts
        if scope["type"] == "websocket":
            if known and same_origin(headers.get("origin"), host):
                await self.app(scope, receive, send)
            else:
                await WebSocketClose(code=1008, reason="Origin or Host is not this server")(scope, receive, send)
            return
        if not known:
            await PlainTextResponse(self._refusal(host), status_code=403)(scope, receive, send)
            return
        await self.app(scope, receive, _with_headers(send))

    def _refusal(self, host: str) -> str:
        name = host_name(host) or "(none)"
        return (
            f"This server does not answer to the host name {name[:100]!r}. Open it as 127.0.0.1, or start it with "
            f"{HOSTS}=NAME in its environment.\n"
        )


def same_origin(origin: str | None, host: str) -> bool:
    """Whether a page of this very server opened the socket: its Origin has the request's host and port."""
    if not origin:
        return False
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _with_headers(send: Send) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_more

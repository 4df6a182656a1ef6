"""What stands before every request: whose it is, and what the browser may do with the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")

HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Of every answer: the page runs its own scripts and talks to its own server, nothing else."""


class Guard:
    """Answers requests that a page of this server, or its user, makes; refuses all others.

    A page of another site can send requests to loopback, and with a name of its own that it lets
    point to loopback (DNS rebinding) it could read the answers. Its requests carry that name as
    ``Host``, or its origin as ``Origin``.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{host}:{port}" for host in HOSTS}
        if port == 80:
            self._hosts |= set(HOSTS)  # browsers leave out the port that http implies
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return  # there are no web sockets here
        refusal = self._refusal(scope)
        app = self._app if refusal is None else _refused(refusal)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> str | None:
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        hosts = [value.lower() for name, value in headers if name == "host"]
        origins = [value.lower() for name, value in headers if name == "origin"]
        sites = [value for name, value in headers if name == "sec-fetch-site"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "This server answers to its own loopback address only."
        if any(origin not in self._origins for origin in origins):
            return "This server answers its own pages only."
        if scope["method"] == "POST" and any(site != "same-origin" for site in sites):
            return "This server answers its own pages only."
        return None


def _refused(message: str) -> ASGIApp:
    return JSONResponse({"error": {"status": 403, "message": message}}, 403)

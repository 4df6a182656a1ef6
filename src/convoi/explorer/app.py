"""The web application: the page's files, and one address for each thing that it computes."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from convoi.errors import ConvoiError
from convoi.explorer import connections, limits, operation, shifting
from convoi.explorer.fields import read_fields
from convoi.explorer.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from convoi.explorer.fields import Fields
    from convoi.explorer.recognition import Recognizer

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def create_app(recognizer: Recognizer, port: int) -> Starlette:
    """Return the application for a server at a port of loopback."""
    computations: dict[str, Callable[[Fields], dict[str, Any]]] = {
        "operate": lambda fields: operation.operate(operation.read_operation(fields)),
        "connect": connections.connections,
        "shift": shifting.shift_input,
        "recognize": recognizer.recognize,
    }
    offered = {**operation.choices(), "model": recognizer.description, "pool": limits.POOL}
    pages = _pages()
    # One for all requests; it is bound to the event loop in which it is first used.
    gate = anyio.CapacityLimiter(limits.WORKERS)

    async def page(request: Request) -> Response:
        name = request.path_params["name"] or "index.html"
        if name not in pages:
            raise HTTPException(404, f"There is no page {request.url.path[:80]!r}.")
        content, kind = pages[name]
        return Response(content, media_type=kind)

    async def choices(_: Request) -> Response:
        return JSONResponse(offered)

    async def compute(
        request: Request, computation: Callable[[Fields], dict[str, Any]]
    ) -> Response:
        fields = read_fields(await _body(request))
        return JSONResponse(await to_thread.run_sync(computation, fields, limiter=gate))

    answers = [
        Route(f"/{name}", partial(compute, computation=computation), methods=["POST"])
        for name, computation in computations.items()
    ]
    return Starlette(
        routes=[
            Mount("/api", routes=[Route("/choices", choices), *answers]),
            Route("/{name:path}", page),
        ],
        middleware=[Middleware(Guard, port=port)],
        exception_handlers={
            HTTPException: _http_error,
            ConvoiError: _bad_request,
            Exception: _server_error,
        },
    )


def _pages() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page: no other file can be asked for."""
    folder = files("convoi.explorer").joinpath("static")
    return {
        file.name: (file.read_bytes(), kind)
        for file in folder.iterdir()
        for suffix, kind in TYPES.items()
        if file.name.endswith(suffix)
    }


async def _body(request: Request) -> bytes:
    """Return the body of a request, if it is JSON, small and quick."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "The request must have the content type application/json.")
    length = request.headers.get("content-length", "0")
    body = bytearray()
    with anyio.move_on_after(limits.BODY_SECONDS):
        if not length.isdecimal() or int(length) <= limits.BODY_BYTES:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.BODY_BYTES:
                    break
            else:
                return bytes(body)
        raise HTTPException(
            413, f"The body of a request may have at most {limits.BODY_BYTES} bytes."
        )
    raise HTTPException(408, "The body of the request did not arrive in time.")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    content = {"error": {"status": status, "message": message}}
    return JSONResponse(content, status, headers=headers)


def _http_error(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _error(error.status_code, error.detail, dict(error.headers or {}))
    raise error


def _bad_request(_: Request, error: Exception) -> Response:
    return _error(400, str(error))


def _server_error(_: Request, __: Exception) -> Response:
    return _error(500, "The server failed to answer; its terminal says why.")

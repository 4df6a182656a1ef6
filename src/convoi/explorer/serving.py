"""Running the explorer's server until it is interrupted."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import TYPE_CHECKING

from convoi.checks import check_integer
from convoi.errors import ArgumentError, MissingDependencyError
from convoi.explorer import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    import uvicorn
    from starlette.applications import Starlette

    from convoi.estimators import ImageClassifier, ImageRegressor

ADDRESS = "127.0.0.1"


def check_dependencies() -> None:
    """Raise MissingDependencyError unless the packages of the server are installed."""
    try:
        import starlette  # noqa: F401, PLC0415 - an optional package
        import uvicorn  # noqa: F401, PLC0415 - an optional package
    except ImportError as error:
        raise MissingDependencyError.for_package(
            error.name or "uvicorn", purpose="The explorer", install="convoi[explore]"
        ) from error


def open_listener(port: int = 0) -> socket.socket:
    """Return a socket on loopback.

    Parameters
    ----------
    port : int
        0 for any that is free.

    Raises
    ------
    ArgumentError
        If the port cannot be had.
    """
    number = check_integer(port, "port", "open_listener", minimum=0, maximum=65535)
    # asyncio turns Nagle's delay of small packets off for sockets that name their protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, number))
    except OSError as error:
        listener.close()
        raise ArgumentError(
            f"The port {number} of {ADDRESS} cannot be used: {error.strerror}. Choose another, or "
            "0 for any that is free."
        ) from error
    return listener


def serve(
    model: ImageClassifier | ImageRegressor,
    name: str,
    listener: socket.socket,
    started: Callable[[str], None],
) -> None:
    """Serve the explorer until the process is interrupted.

    Parameters
    ----------
    model : ImageClassifier or ImageRegressor
        Fitted on images.
    name : str
        What the page calls it.
    listener : socket
        Where to listen; it is closed at the end.
    started : callable
        Called with the address of the page, once it can be opened.

    Raises
    ------
    MissingDependencyError
        If the extra ``explore`` is not installed.
    ArgumentError
        If the model does not take images.
    """
    check_dependencies()
    from convoi.explorer.app import create_app  # noqa: PLC0415 - imports an optional package
    from convoi.explorer.recognition import Recognizer  # noqa: PLC0415 - loads scikit-learn

    with listener:
        port = listener.getsockname()[1]
        app = create_app(Recognizer(model, name), port)
        server = make_server(app, partial(started, f"http://{ADDRESS}:{port}/"))
        # It ends in good order after Ctrl-C, and then raises the signal again.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def make_server(app: Starlette, started: Callable[[], None]) -> uvicorn.Server:
    """Return a server that calls a function when it can be reached."""
    import uvicorn  # noqa: PLC0415 - an optional package

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    return Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.CLIENTS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
        )
    )

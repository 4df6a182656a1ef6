from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from signal import SIGINT

import pytest

from convoi.errors import ArgumentError, MissingDependencyError
from convoi.explorer import check_dependencies, open_listener
from tests.explorer.conftest import Server

CLIENTS = 200
BODY = json.dumps({"sample": "disc", "kernel": {"name": "sobel"}})


def request(server, method, path, body="", *more):
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *more,
    ]
    return "\r\n".join([*lines, "", body]).encode()


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def answer(connection):
    """Return the status and the body of what a server sends until it closes the connection."""
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_200_clients_at_a_time_are_answered(server):
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(CLIENTS)]
        for connection in connections:
            connection.sendall(request(server, "POST", "/api/operate", BODY))
        answers = [answer(connection) for connection in connections]
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1


@pytest.mark.parametrize("path", ["/../../../../etc/passwd", "/./../explorer.css", "*", "/%"])
def test_a_path_as_no_browser_sends_it_leads_nowhere(server, path):
    with connect(server) as connection:
        connection.sendall(request(server, "GET", path))
        status, body = answer(connection)
    assert status == 404
    assert b"root:" not in body


@pytest.mark.parametrize(
    "text", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"A" * 100_000 + b"\r\n\r\n"]
)
def test_what_is_no_request_is_refused(server, text):
    with connect(server) as connection:
        connection.sendall(text + b"\r\n\r\n")
        status, _ = answer(connection)
    assert status == 400


def test_clients_that_leave_early_do_no_harm(server):
    for _ in range(20):
        with connect(server) as connection:
            connection.sendall(request(server, "POST", "/api/operate", BODY)[:-10])
    with connect(server) as connection:
        connection.sendall(request(server, "GET", "/"))
        assert answer(connection)[0] == 200


def test_a_body_that_does_not_arrive_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr("convoi.explorer.limits.BODY_SECONDS", 0.0)
    with connect(server) as connection:
        connection.sendall(request(server, "POST", "/api/operate", BODY)[:-10])
        assert answer(connection)[0] == 408


def test_only_loopback_is_listened_to():
    with open_listener() as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named():
    with open_listener() as listener:
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(ArgumentError, match=f"{port} of 127.0.0.1 cannot be used.*Choose"):
            open_listener(port)


def test_a_missing_package_is_named_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match=r"'uvicorn'.*pip install 'convoi\[explore\]'"):
        check_dependencies()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_the_command_serves_a_model_until_ctrl_c(model, tmp_path):
    file = tmp_path / "digits.safetensors"
    model.save(file)
    command = "from convoi.cli import main; main()"
    arguments = ["explore", str(file), "--no-browser", "--threads", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+)/ shows the model digits.safetensors", line)
        assert found, line + process.stderr.read()
        served = Server(int(found[1]))
        with connect(served) as idle:
            idle.sendall(request(served, "GET", "/").replace(b"Connection: close\r\n", b""))
            assert idle.recv(1)
            process.send_signal(SIGINT)
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert not out + err

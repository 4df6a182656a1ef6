from __future__ import annotations

import json

import pytest

from convoi.explorer import limits
from tests.explorer.conftest import DIGITS, PORT

COMPUTATIONS = ("operate", "connect", "shift", "recognize")
OPERATE = {"sample": "disc", "kernel": {"name": "sobel"}}


def refused(response, status):
    """Return the message of a refusal, which is JSON whatever was asked."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["status"] == status
    return error["message"]


def post_text(client, name, text, **headers):
    headers = {"content-type": "application/json", **headers}
    return client.post(f"/api/{name}", content=text, headers=headers)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/explorer.css", "text/css"),
        ("/main.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
def test_the_files_of_the_page_are_served_with_their_types(client, path, kind):
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)


def test_the_page_names_no_other_host_and_has_no_inline_code(client):
    page = client.get("/").text
    assert "//" not in page.replace("<!doctype html>", "")
    assert "style=" not in page
    assert "onclick" not in page
    assert "<script>" not in page


def test_every_answer_tells_the_browser_to_stay_at_home(client):
    for response in (client.get("/"), client.get("/nothing"), client.get("/api/choices")):
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/static/index.html",
        "/app.py",
        "/index.html%00.js",
        "/api",
        "/api/nothing",
    ],
)
def test_there_are_no_other_files(client, path):
    refused(client.get(path), 404)


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1", ""])
def test_another_host_is_refused(client, host):
    assert "loopback" in refused(client.get("/", headers={"host": host}), 403)


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"127.0.0.1:{PORT}"])
def test_the_names_of_loopback_are_accepted(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_is_refused(client, headers):
    response = client.post("/api/operate", json=OPERATE, headers=headers)
    assert "own pages" in refused(response, 403)


def test_the_own_page_is_accepted(client):
    headers = {"origin": f"http://127.0.0.1:{PORT}", "sec-fetch-site": "same-origin"}
    assert client.post("/api/operate", json=OPERATE, headers=headers).status_code == 200


@pytest.mark.parametrize("name", COMPUTATIONS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        '"text"',
        '{"sample": NaN}',
        '{"fill_value": Infinity}',
        '{"a": ' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"a": ' + "9" * 6_000 + "}",
        "\xff\xfe",
        '{"nothing_of_this_name": 1}',
    ],
)
def test_a_malformed_request_is_refused(client, name, text):
    assert refused(post_text(client, name, text.encode("latin-1")), 400)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("operate", {"kernel": {"name": "nothing"}}, "'gaussian', 'box'"),
        ("operate", {"sample": "/etc/passwd"}, "'digit-0'"),
        ("operate", {"sample": ["disc"]}, "must be one of"),
        ("operate", {"kernel": None}, "JSON object"),
        ("operate", {"kernel": {"values": [[1, None]]}}, "must be a number"),
        ("operate", {"kernel": {"values": [[1, True]]}}, "must be a number"),
        ("operate", {"kernel": {"values": [[1], [1, 2]]}}, "equally many"),
        ("operate", {"kernel": {"values": []}}, "rows of numbers"),
        ("operate", {"kernel": {"values": [[]]}}, "rows of numbers"),
        ("operate", {"kernel": {"values": [[1] * (limits.TAPS + 1)]}}, "1 to 9"),
        ("operate", {"kernel": {"values": [[1e300]]}}, "1000000"),
        ("operate", {"kernel": {"name": "gaussian", "sigma": 1e9}}, "sigma"),
        ("operate", {"kernel": {"name": "box", "size": 10**9}}, "size"),
        ("operate", {"values": [[0] * (limits.IMAGE + 1)]}, "1 to 32"),
        ("operate", {"values": {"length": 1e9}}, "rows of numbers"),
        ("operate", {"values": [1, 2], "rank": 3}, "rank"),
        ("operate", {"stride": 0}, "stride"),
        ("operate", {"stride": 1.5}, "stride"),
        ("operate", {"dilation": 10**30}, "dilation"),
        ("operate", {"mode": "fill"}, "'full', 'same', 'valid'"),
        ("operate", {"boundary": "mirror"}, "'reflect'"),
        ("operate", {"mode": "valid", "dilation": 4, "kernel": {"name": "box", "size": 9}}, "fit"),
        ("connect", {"inputs": 10**9}, "inputs"),
        ("connect", {"inputs": 3, "taps": 4}, "taps"),
        ("shift", {"right": 10**9, "kernel": {"name": "box"}}, "right"),
        ("shift", {"pool": 10**9, "kernel": {"name": "box"}}, "pool"),
        ("recognize", {}, "strokes"),
        ("recognize", {"strokes": [[[0.5, 2]]]}, "from 0 to 1|less than or equal to 1"),
        ("recognize", {"strokes": [[[0.5]]]}, "two numbers"),
        ("recognize", {"strokes": [3]}, "list of points"),
        ("recognize", {"strokes": [[]] * (limits.STROKES + 1)}, "64 items"),
        ("recognize", {"strokes": [[[0, 0]] * (limits.POINTS + 1)]}, "2000 points"),
        ("recognize", {"example": 10**9}, "example"),
    ],
)
def test_a_request_out_of_bounds_is_refused_with_the_reason(client, name, change, words):
    body = {**OPERATE, **change} if name == "operate" else change
    message = refused(client.post(f"/api/{name}", json=body), 400)
    assert any(word in message for word in words.split("|")), message


def test_an_oversized_request_is_refused(client):
    text = json.dumps({"strokes": [], "a": " " * limits.BODY_BYTES})
    assert "65536" in refused(post_text(client, "recognize", text), 413)


def test_an_oversized_request_of_unknown_length_is_refused(client):
    pieces = (b" " * 1024 for _ in range(2 + limits.BODY_BYTES // 1024))
    refused(post_text(client, "operate", pieces), 413)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_form_of_another_site_could_send_is_refused(client, kind):
    refused(post_text(client, "operate", json.dumps(OPERATE), **{"content-type": kind}), 415)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/operate"), ("DELETE", "/"), ("PUT", "/")]
)
def test_other_methods_are_refused(client, method, path):
    refused(client.request(method, path), 405)


def test_an_error_of_the_server_tells_no_details(client, monkeypatch):
    def fail(_):
        raise RuntimeError("secret")

    monkeypatch.setattr("convoi.explorer.recognition.as_nist_digit", fail)
    message = refused(client.post("/api/recognize", json={"strokes": DIGITS[1]}), 500)
    assert "secret" not in message


def test_the_largest_drawing_fits_into_a_request():
    points = [[0.1234, 0.5678]] * limits.POINTS
    assert len(json.dumps({"strokes": [points]})) <= limits.BODY_BYTES

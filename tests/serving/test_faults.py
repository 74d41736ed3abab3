"""What may come over a wire: a right answer or a clear refusal, and nothing that hurts the others."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from keras_s2s.runtime import Generator

WRONG: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "Invalid JSON"),
    "half of it": (b'{"text": "a', 422, "Invalid JSON"),
    "no JSON": (b"text=a", 422, "Invalid JSON"),
    "two": (b'{"text": "a"} {"text": "b"}', 422, "Invalid JSON"),
    "a list": (b"[1]", 422, "should be an object"),
    "a number": (b"1e999", 422, "should be an object"),
    "deeply nested": (b"[" * 100_000, 422, "Invalid JSON"),
    "invalid UTF-8": (b'{"text": "a\xff"}', 422, "invalid unicode"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), 422, "Invalid JSON"),
    "a lone surrogate": (rb'{"text": "a\ud800"}', 422, "Invalid JSON"),
    "not a number": (b'{"text": "a", "length_penalty": NaN}', 422, "length_penalty"),
    "a huge number": (b'{"text": "a", "beam_size": 1' + b"0" * 50 + b"}", 422, "beam_size"),
    "no text": (b'{"text": []}', 422, "at least 1 item"),
    "no beam": (b'{"text": "a", "beam_size": 0}', 422, "beam_size"),
    "a negative length": (b'{"text": "a", "min_length": -1}', 422, "min_length"),
    "100,000 tokens": (json.dumps({"text": "ab " * 33_333}).encode(), 422, "at most 40 are allowed"),
    "10 MB": (json.dumps({"text": "a" * 10_000_000}).encode(), 413, "more than 1000000 bytes"),
    "many texts": (json.dumps({"text": ["a"] * 1000}).encode(), 413, "at most 64"),
    "a long text to suppress": (json.dumps({"text": "a", "suppress": ["a" * 201]}).encode(), 422, "at most 200"),
    "a key of its own": (b'{"text": "a", "__class__": "os.system"}', 422, "__class__: unknown key"),
    "a path for a model": (b'{"text": "a", "model": "../../etc"}', 404, "no '../../etc'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused(server: Any, what: str) -> None:
    body, status, why = WRONG[what]
    response = server.post("/v1/generate", body)
    assert response.status_code == status, response.text
    assert why in response.json()["error"]
    assert len(response.json()["error"]) < 500
    assert len(response.json()["error"].splitlines()) == 1


STRANGE = {
    "NUL": "ab\0cd",
    "control characters": "".join(map(chr, range(1, 32))),
    "emoji": "hi 👩‍👩‍👧‍👦 🏳️‍🌈",
    "right to left": "שלום abc مرحبا",
    "combining": "e" + "\u0301" * 30,
    "of no width": "a\u200bb\ufeffc\u202e",
    "beyond the BMP": "𝔘𝔫𝔦",
    "markup": "<img src=x onerror=alert(1)>",
    "spaces": " \t\u3000 ",
    "ends of lines": "a\nb\r\nc",
    "no character": "\uffff\ufdd0",
    "a tag": "</s><unk>",
}


@pytest.mark.parametrize("what", STRANGE)
def test_strange_texts_are_answered_as_a_generator_does(server: Any, generator: Generator, what: str) -> None:
    text = STRANGE[what]
    response = server.post("/v1/generate", {"text": ["hello", text, "abc"]})
    assert response.status_code == 200, response.text
    found = [result["hypotheses"][0]["text"] for result in response.json()["results"]]
    assert found == [best.text for best, *_ in generator(["hello", text, "abc"])]


def test_escapes_that_make_one_character_are_fine(server: Any, generator: Generator) -> None:
    response = server.post("/v1/generate", rb'{"text": "\ud83d\ude00 a"}')
    assert response.json()["results"][0]["hypotheses"][0]["text"] == generator(["😀 a"])[0][0].text


@pytest.fixture
def connect(server: Any) -> Iterator[Callable[[], socket.socket]]:
    """Opens connections to the server, which are closed at last."""
    parts = urlsplit(server.url)
    opened: list[socket.socket] = []

    def make() -> socket.socket:
        opened.append(socket.create_connection((parts.hostname, parts.port), timeout=60))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def answer(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


HEAD = b"POST /v1/generate HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: -5\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"413"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", b"400"),
        (HEAD + b"Content-Encoding: zstd\r\nContent-Length: 2\r\n\r\n\x28\xb5", b"415"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", b"422"),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\nd\r\n{"text": "a"}\r\n0\r\n\r\n', b"200"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"20000\r\n" + b" " * 0x20000 + b"\r\n") * 8, b"413"),
        (b"GET /v1/generate HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"405"),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /v1/models/%2e%2e%2f%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404"),
    ],
)
def test_odd_requests(connect: Callable[[], socket.socket], request_: bytes, status: bytes) -> None:
    connection = connect()
    connection.sendall(request_)
    assert answer(connection).split(b" ")[1] == status


def test_who_reads_slowly_holds_nobody(
    stepwise_bundle: Path, serving: Callable[..., Any], generator: Generator, texts: Any
) -> None:
    """Streams that nobody reads, while others ask."""
    some = [text for text in texts(64, seed=20) if text]
    body = json.dumps({"text": some, "beam_size": 16, "n_best": 16, "alignment": True, "stream": True}).encode()
    with serving(stepwise_bundle, "--queue", 1000) as server, contextlib.ExitStack() as at_last:
        parts = urlsplit(server.url)
        slow = [socket.create_connection((parts.hostname, parts.port), timeout=60) for _ in range(3)]
        for connection in map(at_last.enter_context, slow):
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        found = server.post("/v1/generate", {"text": "hello"}).json()
        assert found["results"][0]["hypotheses"][0]["text"] == generator(["hello"])[0][0].text
        for connection in slow:
            told = answer(connection)
            assert len(told) > 1_000_000
            assert told.count(b"event: result") == len(some)
            assert told.count(b"event: end") == 1


def test_a_body_that_comes_too_slowly_is_not_waited_for(stepwise_bundle: Path, serving: Callable[..., Any]) -> None:
    with serving(stepwise_bundle, "--timeout", 0.2) as server:
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
            connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"text"')
            assert answer(connection).split(b" ")[1] == b"408"


@pytest.fixture(scope="module", autouse=True)
def _unhurt(server: Any, generator: Generator) -> Iterator[None]:
    """Nothing of all this hurts the server."""
    yield
    response = server.post("/v1/generate", {"text": "hello"})
    assert response.json()["results"][0]["hypotheses"][0]["text"] == generator(["hello"])[0][0].text
    assert server.get("/v2/health/ready").status_code == 200
    assert not [line for line in server.log if line.get("status") == 500 or line["level"] == "error"]

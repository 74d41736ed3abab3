"""Too much waits: every costly request is refused before it is read, however its path is written."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

MODEL = "/v2/models/stepwise"
COSTLY = {
    "/v1/generate": "/v1/generate",
    "/v1/score": "/v1/score",
    "/v1/%67enerate?again=1": "/v1/generate",
    f"{MODEL}/infer": "/v2/models/{name}/infer",
    f"{MODEL}/versions/1/infer": "/v2/models/{name}/versions/{version}/infer",
    f"{MODEL}/versions/7/infer": "/v2/models/{name}/versions/{version}/infer",
    "/v2/models/%73tepwise/%69nfer": "/v2/models/{name}/infer",
    f"{MODEL}/infer?a=/v2": "/v2/models/{name}/infer",
}
"""Paths, and the route of each."""


def connection(server: Any) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


@pytest.fixture(scope="module")
def full(stepwise_bundle: Path, serving: Callable[..., Any]) -> Iterator[Any]:
    """A server whose queue is full, and stays so: its only worker is stopped."""
    with serving(stepwise_bundle, "--workers", 1, "--batch-size", 1, "--queue", 1) as server:
        pid = server.process.pid
        (worker,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        with contextlib.ExitStack() as at_last:
            waiting = at_last.enter_context(connection(server))
            at_last.callback(os.kill, worker, signal.SIGCONT)
            os.kill(worker, signal.SIGSTOP)
            body = json.dumps({"text": ["hello"] * 64}).encode()
            waiting.sendall(b"POST /v1/generate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert any(server.metric("waiting", engine="whole") > 2 for _ in range(10_000))
            yield server


def answer_to_head(server: Any, method: str, path: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
    """The answer to a request of which nothing but the head is sent, though a body is announced."""
    head = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", "Content-Length: 900000", *headers]
    with connection(server) as asking:
        asking.sendall("\r\n".join([*head, "", ""]).encode())
        told = b"".join(iter(lambda: asking.recv(65_536), b""))
    first, _, body = told.partition(b"\r\n\r\n")
    status, *lines = first.decode().split("\r\n")
    found = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split(" ")[1]), found, body


@pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",), ("Content-Encoding: gzip",)])
@pytest.mark.parametrize("path", COSTLY)
def test_a_costly_request_is_refused_unread(full: Any, path: str, headers: tuple[str, ...]) -> None:
    before = full.metric("requests_total", path=COSTLY[path], status="429")
    status, told, body = answer_to_head(full, "POST", path, *headers)
    assert status == 429
    assert int(told["retry-after"]) >= 1
    (error,) = json.loads(body).values()
    assert error == f"too many requests wait; try again in {told['retry-after']} s"
    assert full.metric("requests_total", path=COSTLY[path], status="429") == before + 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"{MODEL}/infer/", 404),
        ("POST", "/v1/generate/", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/step%2Fwise/infer", 404),
        ("POST", "/v2/models/a%0Ab/infer", 404),
        ("POST", f"{MODEL}/generate", 404),
        ("GET", f"{MODEL}/infer", 405),
        ("HEAD", f"{MODEL}/infer", 405),
        ("PUT", "/v1/generate", 405),
        ("GET", MODEL, 200),
        ("GET", f"{MODEL}/config", 200),
        ("GET", f"{MODEL}/stats", 200),
        ("GET", f"{MODEL}/ready", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/metrics", 200),
    ],
)
def test_what_costs_nothing_is_answered(full: Any, method: str, path: str, status: int) -> None:
    assert answer_to_head(full, method, path)[0] == status


def test_the_index_is_read_and_answered(full: Any) -> None:
    assert full.post("/v2/repository/index", b"").json()[0]["state"] == "READY"


def test_refusals_count_as_failures_of_the_model_that_the_path_names(full: Any) -> None:
    def failures() -> int:
        (model,) = full.get(f"{MODEL}/stats").json()["model_stats"]
        return model["inference_stats"]["fail"]["count"]

    before = failures()
    answer_to_head(full, "POST", f"{MODEL}/infer")
    assert failures() == before + 1


def test_paths_of_metrics_are_those_of_routes(full: Any) -> None:
    for number in range(3):
        answer_to_head(full, "POST", f"/v2/models/other-{number}/infer")
        answer_to_head(full, "POST", f"/v2/other-{number}")
    assert "other-" not in full.get("/metrics").text
    assert full.metric("requests_total", path="other", status="404") >= 3

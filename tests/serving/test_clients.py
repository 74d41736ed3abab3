"""The clients in docs/clients, against a server."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from keras_s2s.runtime import Generator

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"
PROGRAMS = {"client.py": sys.executable, "client.mjs": "node"}


def run(client: str, url: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SERVER": url, "KERAS_S2S_TOKEN": token}
    command = [PROGRAMS[client], str(CLIENTS / client)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def events(*told: tuple[str, dict[str, Any]]) -> bytes:
    return "".join(f"event: {event}\ndata: {json.dumps(data)}\n\n" for event, data in told).encode()


def hypotheses(text: str) -> dict[str, Any]:
    return {"hypotheses": [{"text": text}]}


class BusyOnce(BaseHTTPRequestHandler):
    """Refuses the first request, and answers those that follow."""

    refused = 0

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not type(self).refused:
            type(self).refused += 1
            self.send_response(429)
            self.send_header("Retry-After", "0")
            answer = b'{"error": "too many requests wait"}'
        else:
            self.send_response(200)
            results = {"results": [hypotheses("one"), hypotheses("two")]}
            told = events(("written", {"text": "o"}), ("result", hypotheses("one")), ("end", {}))
            answer = told if "stream" in asked else json.dumps(results).encode()
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def busy_once() -> Iterator[str]:
    """The address of a server that is busy at the first request."""
    BusyOnce.refused = 0
    with HTTPServer(("127.0.0.1", 0), BusyOnce) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_client_is_run() -> None:
    assert {path.name for path in CLIENTS.iterdir()} == {"README.md", *PROGRAMS}


@pytest.mark.parametrize("client", PROGRAMS)
def test_a_client_gets_the_answers_and_what_is_written_on_the_way(
    client: str, stepwise_bundle: Path, serving: Callable[..., Any], generator: Generator
) -> None:
    with serving(stepwise_bundle, KERAS_S2S_TOKEN="quetzal") as server:
        done = run(client, server.url, "quetzal")
        assert done.returncode == 0, done.stderr
        two = [best.text for best, *_ in generator(["5 mars 2013", "March 5th, 2013"], beam_size=4)]
        whole = generator(["5 mars 2013"])[0][0].text
        lines = done.stdout.removesuffix("\n").split("\n")
        assert lines[:2] == two and lines[-1] == whole
        assert len(lines) > 3
        assert "token" in run(client, server.url).stderr


@pytest.mark.parametrize("client", PROGRAMS)
def test_a_client_tries_again_when_the_server_is_busy(client: str, busy_once: str) -> None:
    done = run(client, busy_once)
    assert done.stdout.splitlines() == ["one", "two", "o", "one"], done.stderr
    assert BusyOnce.refused == 1

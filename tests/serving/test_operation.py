"""A server in operation: deadlines, clients that leave, overload, signals, new bundles, its log and its metrics."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest

from keras_s2s import bundle
from keras_s2s.runtime import Generator

Serving = Callable[..., Any]
SMALL = ("--workers", 1, "--batch-size", 1, "--queue", 1)


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives, when it is true at last; it is asked again and again for a minute."""
    stop = threading.Event()
    watchdog = threading.Timer(60, stop.set)
    watchdog.daemon = True
    watchdog.start()
    try:
        while not (found := condition()):
            assert not stop.is_set(), "it never came to be"
        return found
    finally:
        watchdog.cancel()


def ask_all(server: Any, bodies: Sequence[Any], clients: int = 16) -> list[httpx.Response]:
    """The answers to many requests at the same time."""
    limits = httpx.Limits(max_connections=clients)
    with httpx.Client(timeout=60, limits=limits) as client, ThreadPoolExecutor(clients) as pool:
        return list(pool.map(lambda body: client.post(f"{server.url}/v1/generate", json=body), bodies))


def connection(server: Any) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def request(body: Any) -> bytes:
    content = json.dumps(body).encode()
    return b"POST /v1/generate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content) + content


def _workers(server: Any) -> list[int]:
    """The processes that it started."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_request_that_takes_too_long_gets_504_and_leaves_its_batch(server: Any) -> None:
    response = server.post("/v1/generate", {"text": "hello", "timeout": 1e-5})
    assert response.status_code == 504
    assert response.json() == {"error": "not done within 1e-05 s; ask for less, or allow more time"}
    until(lambda: server.metric("running") == 0 == server.metric("waiting"))
    stream = server.post("/v1/generate", {"text": "hello", "timeout": 1e-5, "stream": True})
    assert stream.text.startswith('event: error\ndata: {"error": "not done within 1e-05 s')


def test_what_a_client_that_left_asked_for_is_given_up(stepwise_bundle: Path, serving: Serving) -> None:
    """One text at a time: who comes after those that left is answered long before all of theirs could be."""
    with serving(stepwise_bundle, "--workers", 1, "--batch-size", 1, "--queue", 1000) as server:
        for _ in range(3):
            with connection(server) as leaving:
                leaving.sendall(request({"text": ["hello world 123"] * 64, "beam_size": 16}))
                until(lambda: server.metric("running", engine="whole"))
        assert server.post("/v1/generate", {"text": "hello"}).status_code == 200
        until(lambda: server.metric("running") == 0 == server.metric("waiting"))
        assert server.metric("texts_total") < 3 * 64
        server.stop()
        assert sum(line.get("status") == 499 for line in server.log) == 3


def test_overload_is_refused_and_what_is_taken_is_right(
    stepwise_bundle: Path, serving: Serving, generator: Generator, texts: Any
) -> None:
    some = [text for text in texts(200, seed=12) if text.strip()]
    with serving(stepwise_bundle, *SMALL) as server:
        answers = ask_all(server, [{"text": text} for text in some])
        assert {answer.status_code for answer in answers} == {200, 429}
        for text, answer in zip(some, answers, strict=True):
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
                assert "too many requests wait" in answer.json()["error"]
            else:
                assert answer.json()["results"][0]["hypotheses"][0]["text"] == generator([text])[0][0].text
        refused = sum(answer.status_code == 429 for answer in answers)
        assert server.metric("rejections_total", status="429") == refused
        assert server.metric("requests_total", path="/v1/generate", status="429") == refused
        assert server.metric("texts_total") == len(some) - refused


def test_a_server_that_is_to_stop_finishes_what_it_has_taken(
    stepwise_bundle: Path, serving: Serving, generator: Generator
) -> None:
    with serving(stepwise_bundle, "--workers", 1, "--batch-size", 1, "--queue", 1000) as server:
        many = ["hello world"] * 40
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(server.post, "/v1/generate", {"text": many}) for _ in range(3)]
            until(lambda: server.metric("running") + server.metric("waiting") > 80)
            for worker in _workers(server):  # Who manages processes may signal all of a service's.
                os.kill(worker, signal.SIGTERM)
            assert server.stop() == 0
            expected = generator(["hello world"])[0][0].text
            for one in asked:
                results = one.result().json()["results"]
                assert [result["hypotheses"][0]["text"] for result in results] == [expected] * 40
        with pytest.raises(httpx.ConnectError):
            server.get("/v2/health/live")


def test_a_worker_that_is_killed_is_replaced(stepwise_bundle: Path, serving: Serving, generator: Generator) -> None:
    texts = ["hello world 123"] * 64
    with serving(stepwise_bundle, "--workers", 2, "--batch-size", 1, "--queue", 1000) as server:
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(server.post, "/v1/generate", {"text": texts, "beam_size": 16}) for _ in range(4)]
            until(lambda: server.metric("running", engine="whole") == 2)
            first = _workers(server)
            os.kill(first[0], signal.SIGKILL)
            answers = [one.result() for one in asked]
        lost = [answer for answer in answers if answer.status_code == 503]
        assert len(lost) == 1
        assert lost[0].json() == {"error": "a worker was lost; try again"}
        assert lost[0].headers["retry-after"] == "1"
        expected = generator(texts[:1], beam_size=16)[0][0].text
        for answer in answers:
            if answer not in lost:
                assert {result["hypotheses"][0]["text"] for result in answer.json()["results"]} == {expected}
        until(lambda: len(set(_workers(server)) - {first[0]}) == 2)
        assert server.post("/v1/generate", {"text": "hello"}).status_code == 200
        server.stop()
        assert [line["texts"] for line in server.log if line["event"] == "a worker was lost"] == [1]


def test_workers_end_with_a_server_that_is_killed(stepwise_bundle: Path, serving: Serving) -> None:
    with serving(stepwise_bundle, "--workers", 2) as server:
        workers = _workers(server)
        assert len(workers) == 2
        server.process.kill()
        server.wait()
        until(lambda: not any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers))


def _replace(path: Path) -> None:
    """Puts a bundle in the place of the one there that writes three tokens at most."""
    manifest = bundle.read(path).manifest
    short = manifest.decoding.model_copy(update={"max_length_factor": 0.0, "max_length_extra": 3})
    with bundle.building(path) as folder:
        shutil.copytree(path, folder, dirs_exist_ok=True)
        bundle.write(folder, manifest.model_copy(update={"decoding": short}))


def test_a_bundle_is_replaced_without_losing_a_request(
    stepwise_bundle: Path, tmp_path: Path, serving: Serving, generator: Generator
) -> None:
    path = tmp_path / "served"
    shutil.copytree(stepwise_bundle, path)
    text, stop = "hello world", threading.Event()
    with serving(path) as server:
        answers: list[str] = []

        def ask() -> None:
            while not stop.is_set():
                response = server.post("/v1/generate", {"text": text})
                assert response.status_code == 200
                answers.append(response.json()["results"][0]["hypotheses"][0]["text"])

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            try:
                until(lambda: len(answers) > 10)
                _replace(path)
                until(lambda: server.metric("reloads_total", outcome="replaced") == 1)
                seen = len(answers)
                until(lambda: len(answers) > seen + 10)
            finally:
                stop.set()
            for one in asking:
                one.result()
        old, new = generator([text])[0][0].text, generator([text], max_length_factor=0.0, max_length_extra=3)[0][0].text
        assert old != new
        assert {*answers} == {old, new}
        assert server.post("/v1/generate", {"text": text}).json()["results"][0]["hypotheses"][0]["text"] == new


def test_a_bundle_that_is_spoilt_is_not_taken_and_the_old_one_serves(
    stepwise_bundle: Path, tmp_path: Path, serving: Serving, generator: Generator
) -> None:
    path = tmp_path / "served"
    shutil.copytree(stepwise_bundle, path)
    with serving(path) as server:
        for file in path.rglob("*.onnx"):
            file.write_bytes(b"spoilt")
        weights = path / "onnx/int8/weights.bin"
        weights.write_bytes(bytes(weights.stat().st_size))
        (path / "bundle.json").write_text((path / "bundle.json").read_text() + " ")
        until(lambda: server.metric("reloads_total", outcome="failed"))
        some = ["hello world", "abc 12"]
        for options in ({}, {"beam_size": 1}, {"strategy": "sample", "seed": 2}):  # the last two open graphs anew
            results = server.post("/v1/generate", {"text": some, **options}).json()["results"]
            found = [result["hypotheses"][0]["text"] for result in results]
            assert found == [best.text for best, *_ in generator(some, **options)]
        errors = until(lambda: [line["error"] for line in server.log if line["event"] == "reload failed"])
        until(lambda: server.metric("reloads_total", outcome="failed") > len(errors) + 1)
        errors = [line["error"] for line in server.log if line["event"] == "reload failed"]
        assert len(set(errors)) == len(errors), "told again and again"
        assert "SHA-256 is not the one in bundle.json" in errors[-1]


def test_without_the_token_nothing_is_answered_but_whether_it_lives(stepwise_bundle: Path, serving: Serving) -> None:
    with serving(stepwise_bundle, KERAS_S2S_TOKEN="secret") as server:
        for path in ("/v1/models", "/metrics", "/v2", "/v2/models/stepwise"):
            response = server.get(path)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        for given in ("secret", "Bearer secre", "Bearer secrets", "bearer\xa0secret", "Basic secret"):
            headers = {"authorization": given.encode("latin-1")}
            assert server.post("/v1/generate", {"text": "a"}, headers=headers).status_code == 401
        headers = {"authorization": "Bearer secret"}
        assert server.post("/v1/generate", {"text": "a"}, headers=headers).status_code == 200
        assert {server.get(path).status_code for path in ("/v2/health/live", "/v2/health/ready", "/")} == {200}


def test_a_token_comes_from_a_file_too(stepwise_bundle: Path, tmp_path: Path, serving: Serving) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    with serving(stepwise_bundle, "--token-file", file) as server:
        assert server.get("/v1/models").status_code == 401
        assert server.get("/v1/models", headers={"authorization": "Bearer secret"}).status_code == 200


def test_the_log_tells_of_requests_but_not_their_texts(stepwise_bundle: Path, serving: Serving) -> None:
    for arguments, tells in ((), False), (("--log-text",), True):
        with serving(stepwise_bundle, *arguments) as server:
            response = server.post("/v1/generate", {"text": "quetzalcoatl"}, headers={"x-request-id": "mine-1"})
            assert response.headers["x-request-id"] == "mine-1"
            made = server.post("/v1/generate", {"text": "a"}, headers={"x-request-id": "no\tgood"}).headers[
                "x-request-id"
            ]
            assert len(made) == 32
            server.stop()
            first, second = [line for line in server.log if line["event"] == "request"]
            assert {name: first[name] for name in ("request_id", "method", "path", "status", "model", "texts")} == {
                "request_id": "mine-1",
                "method": "POST",
                "path": "/v1/generate",
                "status": 200,
                "model": "stepwise",
                "texts": 1,
            }
            assert second["request_id"] == made
            assert ("quetzalcoatl" in json.dumps(server.log)) == tells


def test_metrics(stepwise_bundle: Path, serving: Serving, generator: Generator, texts: Any) -> None:
    some = texts(40, seed=13)
    with serving(stepwise_bundle) as server:
        server.post("/v1/generate", {"text": some, "beam_size": 1, "stream": True})
        server.post("/v1/generate", {"text": some, "beam_size": 1})
        real = [text for text in some if text.strip()]
        written = sum(len(best.tokens) + 1 for best, *_ in generator(real, beam_size=1))
        assert server.metric("tokens_total", engine="steps") == written
        count = len(real)
        assert server.metric("texts_total", engine="steps") == server.metric("texts_total", engine="whole") == count
        assert server.metric("queue_wait_seconds_count") == 2 * count
        assert server.metric("time_to_first_token_seconds_count") == count
        assert server.metric("token_seconds_count") > 5
        assert server.metric("batch_fill_count", engine="steps") == server.metric("token_seconds_count")
        assert server.metric("source_padding_total") > 0
        assert server.metric("requests_total", path="/v1/generate", status="200") == 2


def test_several_models(stepwise_bundle: Path, many_graphs_bundle: Path, serving: Serving) -> None:
    with serving(stepwise_bundle, many_graphs_bundle, "--precision", "fp32") as server:
        assert [model["name"] for model in server.get("/v1/models").json()["models"]] == ["stepwise", "many"]
        refused = server.post("/v1/generate", {"text": "abc"})
        assert (refused.status_code, refused.json()["error"]) == (
            422,
            "model: this server has several, say which; it has stepwise, many",
        )
        answer = server.post("/v1/generate", {"text": ["abc", "d"], "model": "many"}).json()
        assert [result["hypotheses"][0]["text"] for result in answer["results"]] == ["abc", "d"]
        server.stop()
        (line,) = [line for line in server.log if "for lack of steps" in line["event"]]
        assert (line["model"], line["graph"], line["export"]) == ("many", "beam", "beam.steps")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere: no such folder; expected a bundle, a folder with a bundle.json"),
        (("BUNDLE", "BUNDLE"), "two bundles' folders have the same name"),
        (("BUNDLE", "--precision", "int3"), "no graphs of precision 'int3'"),
        (("BUNDLE", "--host", "203.0.113.1"), "203.0.113.1:0: cannot be listened at"),
        (("BUNDLE", "--token-file", "nowhere"), "nowhere: cannot be read"),
        (("BUNDLE", "--batch-size", "0"), "Invalid value for '--batch-size'"),
    ],
)
def test_mistakes_are_told_in_one_line(stepwise_bundle: Path, arguments: tuple[str, ...], message: str) -> None:
    given = [str(stepwise_bundle) if argument == "BUNDLE" else argument for argument in arguments]
    command = [sys.executable, "-m", "keras_s2s.cli", "serve", *given, "--port", "0"]
    done = subprocess.run(command, capture_output=True, timeout=120, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1

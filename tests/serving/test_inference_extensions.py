"""What Triton's tools ask beside inference: inputs that a model takes, its configuration, statistics, the index."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from keras_s2s import bundle
from keras_s2s.runtime import Generator

MODEL = "/v2/models/stepwise"
INFER = f"{MODEL}/infer"
GREEDY = {"strategy": "greedy", "beam_size": 1}
BUNDLES: dict[str, tuple[dict[str, Any], set[str], bool]] = {
    "all": ({}, {"greedy", "beam", "beam-constrained", "sample"}, True),
    "none": ({}, {"greedy", "beam", "sample", "score"}, False),
    "greedy": (GREEDY, {"greedy", "greedy-constrained"}, True),
    "of-the-other-search": (GREEDY, {"greedy", "beam", "beam-constrained"}, False),
    "of-a-beam": ({}, {"beam", "greedy", "greedy-constrained"}, False),
    "only-constrained": ({}, {"beam-constrained"}, True),
}
"""Bundles: their defaults, their graphs, and whether a request without options may have a prefix."""


def of_graphs(source: Path, path: Path, decoding: Mapping[str, Any], graphs: set[str]) -> None:
    """Saves a bundle with some of the graphs, or with others of the same inputs in their place."""
    shutil.copytree(source, path)
    manifest = bundle.read(path).manifest
    there = manifest.graphs["fp32"] | {"greedy-constrained": manifest.graphs["fp32"]["beam-constrained"]}
    kept = {name: file for name, file in there.items() if name in graphs}
    changes = {"graphs": {"fp32": kept}, "steps": {}, "decoding": manifest.decoding.model_copy(update=decoding)}
    bundle.write(path, manifest.model_copy(update=changes))


@pytest.fixture(scope="module")
def several(
    stepwise_bundle: Path, tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., Any]
) -> Iterator[Any]:
    """A server of `BUNDLES`."""
    folder = tmp_path_factory.mktemp("graphs")
    for name, (decoding, graphs, _) in BUNDLES.items():
        of_graphs(stepwise_bundle, folder / name, decoding, graphs)
    with serving(*(folder / name for name in BUNDLES), "--precision", "fp32", "--workers", 1) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as connected:
        yield connected


def tensor(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "shape": [len(values), 1], "datatype": "BYTES", "data": list(values)}


@pytest.mark.parametrize("name", BUNDLES)
def test_what_is_listed_works_and_what_is_not_is_refused(several: Any, name: str) -> None:
    is_listed = BUNDLES[name][2]
    metadata = several.get(f"/v2/models/{name}").json()
    inputs = ["text", "prefix"] if is_listed else ["text"]
    assert metadata["inputs"] == [{"name": one, "datatype": "BYTES", "shape": [-1, 1]} for one in inputs]
    config = several.get(f"/v2/models/{name}/config").json()
    assert config["input"] == [
        {"name": one, "data_type": "TYPE_STRING", "dims": [1], "optional": one == "prefix"} for one in inputs
    ]
    text = tensor("text", "abc", "hello")
    found = several.post(f"/v2/models/{name}/infer", {"inputs": [text]}).json()
    types = [(one["name"], one["datatype"]) for one in found["outputs"]]
    assert types == [(one["name"], one["datatype"]) for one in metadata["outputs"]]
    for prefixes in (("1", "2"), ("", "1"), ("", "")):
        answer = several.post(f"/v2/models/{name}/infer", {"inputs": [text, tensor("prefix", *prefixes)]})
        if is_listed:
            texts = answer.json()["outputs"][0]["data"]
            assert [one.startswith(prefix) for one, prefix in zip(texts, prefixes, strict=True)] == [True, True]
        else:
            assert answer.status_code == 422
            (error,) = answer.json().values()
            assert error.startswith(f"inputs: prefix: {name}: no graph '")
            assert "-constrained' in fp32, which has " in error
            assert len(error.splitlines()) == 1


def test_options_that_choose_another_search_choose_its_inputs(several: Any) -> None:
    inputs = [tensor("text", "abc"), tensor("prefix", "1")]
    chosen = {"inputs": inputs, "parameters": {"beam_size": 4}}
    answer = several.post("/v2/models/of-the-other-search/infer", chosen)
    assert answer.json()["outputs"][0]["data"][0].startswith("1")
    wrong = several.post("/v2/models/all/infer", {"inputs": inputs, "parameters": {"beam_size": 1}})
    assert "inputs: prefix: all: no graph 'greedy-constrained'" in wrong.json()["error"]
    option = several.post("/v2/models/none/infer", {"inputs": inputs, "parameters": {"patience": -1}})
    assert option.json()["error"].startswith("body: parameters.patience")


def test_a_configuration_is_what_triton_s_tools_read(client: triton.InferenceServerClient) -> None:
    config = client.get_model_config("stepwise")
    assert config == client.get_model_config("stepwise", "1")
    assert (config["name"], config["max_batch_size"]) == ("stepwise", 64)
    assert config["platform"] == client.get_model_metadata("stepwise")["platform"]
    assert config["output"] == [
        {"name": "text", "data_type": "TYPE_STRING", "dims": [-1]},
        {"name": "score", "data_type": "TYPE_FP32", "dims": [-1]},
    ]
    for model, version in (("other", ""), ("stepwise", "2")):
        with pytest.raises(InferenceServerException, match=r"\[404\]"):
            client.get_model_config(model, version)


def test_the_largest_batch_of_a_configuration_is_taken_and_no_larger_one(
    stepwise_bundle: Path, serving: Callable[..., Any]
) -> None:
    with serving(stepwise_bundle, "--max-texts", 3, "--workers", 1) as server:
        most = server.get(f"{MODEL}/config").json()["max_batch_size"]
        assert most == 3
        statuses = [
            server.post(INFER, {"inputs": [tensor("text", *["a"] * count)]}).status_code for count in (most, most + 1)
        ]
        assert statuses == [200, 413]


def test_the_index_lists_models(several: Any) -> None:
    listed = [{"name": name, "version": "1", "state": "READY", "reason": ""} for name in BUNDLES]
    with triton.InferenceServerClient(several.url.removeprefix("http://")) as client:
        assert client.get_model_repository_index() == listed
    for body in (b"", b"{}", b'{"ready": true}', b'{"ready": false}'):
        assert several.post("/v2/repository/index", body).json() == listed
    assert several.post("/v2/repository/index", b"[]").status_code == 422
    refused = several.post("/v2/repository/models/all/load", b"{}")
    assert (refused.status_code, refused.json()) == (404, {"error": "not found"})


def told(server: Any, name: str = "stepwise") -> dict[str, Any]:
    """The statistics of a model."""
    (model,) = server.get(f"/v2/models/{name}/stats").json()["model_stats"]
    assert (model["name"], model["version"], model["batch_stats"]) == (name, "1", [])
    return model


def counts(server: Any) -> dict[str, int]:
    """What is counted, without times."""
    model = told(server)
    times = {name: one["count"] for name, one in model["inference_stats"].items()}
    return {"inferences": model["inference_count"], "executions": model["execution_count"], **times}


def counted(server: Any, before: dict[str, int], name: str) -> dict[str, int]:
    """The counts, when one more of a name is counted: that of a stream is, a moment after its end was read."""
    for _ in range(1000):
        after = counts(server)
        if after[name] > before[name]:
            return after
    raise AssertionError(f"{name} is not counted")


ANSWERED = ("success", "queue", "compute_input", "compute_infer", "compute_output")
REQUESTS: dict[str, tuple[str, Any, int]] = {
    "infer": (INFER, {"inputs": [tensor("text", "abc", "hello")]}, 2),
    "a version": (f"{MODEL}/versions/1/infer", {"inputs": [tensor("text", "abc")]}, 1),
    "a blank text": (INFER, {"inputs": [tensor("text", "")]}, 1),
    "generate": ("/v1/generate", {"text": ["abc", "", "de"]}, 3),
    "a stream": ("/v1/generate", {"text": ["abc", "de"], "stream": True}, 2),
    "score": ("/v1/score", {"source": ["abc", "de"], "target": ["a", "d"]}, 2),
}
FAILED: dict[str, tuple[str, Any]] = {
    "no JSON": (INFER, b"{"),
    "too many texts": (INFER, {"inputs": [tensor("text", *["a"] * 65)]}),
    "too late": (INFER, {"inputs": [tensor("text", *["hello"] * 64)], "parameters": {"timeout": 1, "beam_size": 16}}),
    "a wrong option": ("/v1/generate", {"text": "abc", "beam_size": 17}),
    "a late stream": ("/v1/generate", {"text": "abc", "stream": True, "timeout": 1e-6}),
    "too many pairs": ("/v1/score", {"source": "abc", "target": ["a", "b"]}),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_what_is_answered_is_counted(server: Any, what: str) -> None:
    path, body, texts = REQUESTS[what]
    before = counts(server)
    assert server.post(path, body).status_code == 200
    after = counted(server, before, "success")
    changed = {name: after[name] - before[name] for name in after}
    assert (changed.pop("executions") > 0) == (what != "a blank text")
    assert changed == {"inferences": texts, "fail": 0, "cache_hit": 0, "cache_miss": 0, **dict.fromkeys(ANSWERED, 1)}


@pytest.mark.parametrize("what", FAILED)
def test_what_fails_is_counted_as_that(server: Any, what: str) -> None:
    before = counts(server)
    server.post(*FAILED[what])
    after = counted(server, before, "fail")
    changed = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    changed.pop("executions", None)
    assert changed == {"fail": 1}


def test_what_asks_for_no_work_is_not_counted(stepwise_bundle: Path, serving: Callable[..., Any]) -> None:
    with serving(stepwise_bundle) as server:
        for path in ("/v2", MODEL, f"{MODEL}/ready", f"{MODEL}/config", "/v2/models/stats", "/v1/models", "/metrics"):
            assert server.get(path).status_code == 200
        server.post(f"{MODEL}/versions/2/infer", {"inputs": [tensor("text", "abc")]})
        server.post("/v1/generate", {"text": 5})
        assert set(counts(server).values()) == {0}


def test_a_batch_is_an_execution_and_of_a_stream_each_step_is(
    stepwise_bundle: Path, serving: Callable[..., Any], generator: Generator
) -> None:
    steps = len(generator(["hello 12"], beam_size=1)[0][0].tokens) + 1
    with serving(stepwise_bundle) as server:
        for stream, expected in ((False, 1), (True, 1 + steps)):
            server.post("/v1/generate", {"text": "hello 12", "beam_size": 1, "stream": stream})
            assert counts(server)["executions"] == expected


def test_the_parts_of_a_request_are_its_whole_time(server: Any) -> None:
    begun, before = time.time(), told(server)["inference_stats"]
    for _ in range(5):
        server.post(INFER, {"inputs": [tensor("text", "abc", "hello 12")]})
    model = told(server)
    after = model["inference_stats"]
    spent = {name: after[name]["ns"] - before[name]["ns"] for name in after}
    parts = [spent[name] for name in ANSWERED[1:]]
    assert all(part > 0 for part in parts)
    assert abs(sum(parts) - spent["success"]) < 100
    assert spent["cache_hit"] == spent["cache_miss"] == spent["fail"] == 0
    assert 1000 * begun - 1 <= model["last_inference"] <= 1000 * time.time() + 1


def test_who_waits_for_a_worker_is_in_the_queue(stepwise_bundle: Path, serving: Callable[..., Any]) -> None:
    """One text at a time: while the worker is stopped, the second of two requests waits for it."""
    with serving(stepwise_bundle, "--workers", 1, "--batch-size", 1, "--queue", 1000) as server:
        pid = server.process.pid
        (worker,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        os.kill(worker, signal.SIGSTOP)
        try:
            body = {"inputs": [tensor("text", "hello")]}
            asking = [threading.Thread(target=server.post, args=(INFER, body)) for _ in range(2)]
            for thread in asking:
                thread.start()
            assert any(server.metric("waiting", engine="whole") == 1 for _ in range(10_000))
            begun = time.perf_counter()
            assert [counts(server)["success"] for _ in range(9)] == [0] * 9
            waited = time.perf_counter() - begun
        finally:
            os.kill(worker, signal.SIGCONT)
        for thread in asking:
            thread.join()
        stats = told(server)["inference_stats"]
        assert stats["queue"]["count"] == 2
        assert stats["queue"]["ns"] >= 1e9 * waited
        assert stats["success"]["ns"] >= 2e9 * waited


def test_statistics_of_one_model_and_of_all(several: Any) -> None:
    before = {model["name"]: model for model in several.get("/v2/models/stats").json()["model_stats"]}
    assert list(before) == list(BUNDLES)
    several.post("/v2/models/none/infer", {"inputs": [tensor("text", "abc")]})
    with triton.InferenceServerClient(several.url.removeprefix("http://")) as client:
        after = {model["name"]: model for model in client.get_inference_statistics()["model_stats"]}
        (alone,) = client.get_inference_statistics("none")["model_stats"]
        assert client.get_inference_statistics("none", "1")["model_stats"] == [alone]
        with pytest.raises(InferenceServerException, match=r"\[404\]"):
            client.get_inference_statistics("other")
    assert alone == after["none"]
    assert alone["inference_count"] == before["none"]["inference_count"] + 1
    assert {name for name in BUNDLES if before[name] != after[name]} == {"none"}


def test_a_bundle_that_takes_another_s_place_begins_anew(
    stepwise_bundle: Path, tmp_path: Path, serving: Callable[..., Any]
) -> None:
    path = tmp_path / "stepwise"
    shutil.copytree(stepwise_bundle, path)
    with serving(path, "--workers", 1) as server:
        server.post(INFER, {"inputs": [tensor("text", "abc")]})
        assert counts(server)["executions"] == 1
        manifest = bundle.read(path).manifest
        with bundle.building(path) as folder:
            shutil.copytree(path, folder, dirs_exist_ok=True)
            bundle.write(folder, manifest.model_copy(update={"created": "2026-02-01"}))
        assert any(server.metric("reloads_total", outcome="replaced") for _ in range(100_000))
        assert set(counts(server).values()) == {0}
        server.post(INFER, {"inputs": [tensor("text", "abc")]})
        assert counts(server)["inferences"] == 1


def test_numbers_are_such_as_clients_read(server: Any) -> None:
    """Whole numbers, as unsigned 64 bits hold them."""
    numbers = json.loads(server.get(f"{MODEL}/stats").text)["model_stats"][0]
    flat = [numbers["last_inference"], numbers["inference_count"], numbers["execution_count"]]
    flat += [value for one in numbers["inference_stats"].values() for value in one.values()]
    assert all(type(number) is int and 0 <= number < np.iinfo("uint64").max for number in flat)

"""The Open Inference Protocol: Triton's own client says what a generator says, and no bytes break the server."""

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from keras_s2s import __version__
from keras_s2s.runtime import Generator

Texts = Callable[..., list[str]]
LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/stepwise/infer"
LOWEST = np.finfo(np.float32).min


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as connected:
        yield connected


def tensor(texts: list[str], name: str = "text", binary: bool = True) -> triton.InferInput:
    """An input as the client makes it; `binary` is its default."""
    made = triton.InferInput(name, [len(texts)], "BYTES")
    made.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=object), binary_data=binary)
    return made


def in_json(*texts: str, **changes: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts), **changes}


def decoded(found: triton.InferResult) -> list[list[str]]:
    """The texts found, which are bytes where they came as bytes."""
    return [[text.decode() if isinstance(text, bytes) else text for text in row] for row in found.as_numpy("text")]


def filled(hypotheses: Any, width: int) -> tuple[list[list[str]], list[list[float]]]:
    """What the outputs should be."""
    rows = [[(one.text, one.score) for one in found] for found in hypotheses]
    rows = [[*row, *[("", LOWEST)] * (width - len(row))] for row in rows]
    return [[text for text, _ in row] for row in rows], [[score for _, score in row] for row in rows]


def test_a_client_sees_the_server_and_its_model(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("stepwise")
    assert client.is_model_ready("stepwise", "1")
    assert not client.is_model_ready("stepwise", "2")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata() == {
        "name": "keras_s2s",
        "version": __version__,
        "extensions": ["binary_tensor_data", "parameters", "model_configuration", "statistics"],
    }
    metadata = client.get_model_metadata("stepwise")
    assert metadata == client.get_model_metadata("stepwise", "1")
    assert (metadata["name"], metadata["versions"]) == ("stepwise", ["1"])
    assert metadata["inputs"] == [{"name": name, "datatype": "BYTES", "shape": [-1, 1]} for name in ("text", "prefix")]
    assert metadata["outputs"] == [
        {"name": "text", "datatype": "BYTES", "shape": [-1, -1]},
        {"name": "score", "datatype": "FP32", "shape": [-1, -1]},
    ]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam_size": 1},
        {"beam_size": 3, "n_best": 3, "length_penalty": 0.6, "length_penalty_base": 5.0},
        {"strategy": "sample", "n_best": 4, "temperature": 0.7, "seed": 9},
        {"min_length": 4, "suppress": ["ab"], "replace_unknown": True},
    ],
)
def test_a_client_gets_what_a_generator_says(
    client: triton.InferenceServerClient, generator: Generator, texts: Texts, options: Any, binary: bool
) -> None:
    some = texts(20, seed=3)
    assert "" in some
    outputs = None if binary else [triton.InferRequestedOutput(name, binary_data=False) for name in ("text", "score")]
    found = client.infer("stepwise", [tensor(some, binary=binary)], outputs=outputs, parameters=options)
    width = options.get("n_best", 1)
    written, scores = filled(generator(some, **options), width)
    assert decoded(found) == written
    assert found.as_numpy("score").dtype == np.float32
    np.testing.assert_allclose(found.as_numpy("score"), scores, atol=1e-2)
    sent = [found.get_output(name) for name in ("text", "score")]
    assert [("data" in one, "parameters" in one) for one in sent] == [(not binary, binary)] * 2
    assert [one["shape"] for one in sent] == [[20, width]] * 2


def test_where_less_was_found_empty_texts_of_the_lowest_score_fill_up(client: triton.InferenceServerClient) -> None:
    found = client.infer("stepwise", [tensor(["abc", ""])], parameters={"beam_size": 4, "n_best": 3})
    assert found.as_numpy("text")[1].tolist() == [b"", b"", b""]
    assert found.as_numpy("score")[1].tolist() == [0.0, LOWEST, LOWEST]
    assert all(found.as_numpy("text")[0])


def test_ids_versions_and_what_triton_reserves(client: triton.InferenceServerClient, generator: Generator) -> None:
    reserved = {"sequence_id": 7, "sequence_start": True, "sequence_end": True, "priority": 3, "timeout": 20_000_000}
    found = client.infer("stepwise", [tensor(["hello 12"])], model_version="1", request_id="an id", **reserved)
    assert found.get_response()["id"] == "an id"
    assert (found.get_response()["model_name"], found.get_response()["model_version"]) == ("stepwise", "1")
    assert decoded(found) == [[generator(["hello 12"])[0][0].text]]
    assert "id" not in client.infer("stepwise", [tensor(["a"])], timeout=0).get_response()
    with pytest.raises(InferenceServerException, match=r"\[504\] not done within 1e-06 s"):
        client.infer("stepwise", [tensor(["hello 12"])], timeout=1)


def test_only_the_outputs_that_are_wanted_and_each_as_it_is_wanted(
    server: Any, client: triton.InferenceServerClient
) -> None:
    wanted = [triton.InferRequestedOutput("score", binary_data=False), triton.InferRequestedOutput("text")]
    found = client.infer("stepwise", [tensor(["abc", "hello"])], outputs=wanted)
    first, second = found.get_response()["outputs"]
    assert (first["name"], "data" in first, second["name"], "data" in second) == ("score", True, "text", False)
    both = client.infer("stepwise", [tensor(["abc", "hello"])])
    assert decoded(found) == decoded(both)
    assert found.as_numpy("score").tolist() == both.as_numpy("score").tolist()
    outputs = [{"name": "text"}, {"name": "score", "parameters": {"binary_data": False}}]
    asked = {"inputs": [in_json("abc", "hello")], "outputs": outputs, "parameters": {"binary_data_output": True}}
    answer = server.post(INFER, asked)
    first, second = json.loads(answer.content[: int(answer.headers[LENGTH])])["outputs"]
    assert ("data" in first, "data" in second) == (False, True)
    alone = client.infer("stepwise", [tensor(["abc"])], outputs=[triton.InferRequestedOutput("score")])
    assert [one["name"] for one in alone.get_response()["outputs"]] == ["score"]
    assert alone.as_numpy("score").tolist() == both.as_numpy("score")[:1].tolist()


@pytest.mark.parametrize("beam_size", [1, 3])
def test_texts_alone_are_those_that_come_with_scores(
    client: triton.InferenceServerClient, texts: Texts, beam_size: int
) -> None:
    given, options = [tensor(texts(20, seed=5))], {"beam_size": beam_size}
    alone = client.infer("stepwise", given, outputs=[triton.InferRequestedOutput("text")], parameters=options)
    assert [one["name"] for one in alone.get_response()["outputs"]] == ["text"]
    assert decoded(alone) == decoded(client.infer("stepwise", given, parameters=options))


@pytest.mark.parametrize("binary", [(True, True), (True, False), (False, True), (False, False)])
def test_prefixes(client: triton.InferenceServerClient, generator: Generator, binary: tuple[bool, bool]) -> None:
    some, begins = ["abc", "hello", ""], ["xy", "", "q"]
    inputs = [tensor(begins, "prefix", binary[0]), tensor(some, "text", binary[1])]
    found = decoded(client.infer("stepwise", inputs))
    assert found == [[best.text] for best, *_ in generator(some, prefix=begins)]
    assert found[0][0].startswith("xy")


def test_texts_of_every_alphabet(server: Any, client: triton.InferenceServerClient) -> None:
    some = ["é\x00ß", "日本 12", "😀 a", " \n\t"]
    found = decoded(client.infer("stepwise", [tensor(some)]))
    answer = server.post("/v1/generate", {"text": some}).json()
    assert found == [[result["hypotheses"][0]["text"]] for result in answer["results"]]


def test_what_kserve_sends(server: Any) -> None:
    """Its client names the model again, and gives a binary body its content type."""
    asked = {"id": "7", "model_name": "stepwise", "inputs": [in_json("abc", parameters=None)], "parameters": None}
    plain = server.post(INFER, {**asked, "outputs": None})
    assert plain.headers["content-type"] == "application/json"
    assert LENGTH not in plain.headers
    raw = struct.pack("<I", 3) + b"abc"
    one = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({**asked, "inputs": [one]}).encode()
    headers = {LENGTH: str(len(head)), "content-type": "application/octet-stream"}
    assert server.post(INFER, head + raw, headers=headers).json() == plain.json()
    assert plain.json()["id"] == "7"
    assert server.get("/v2/models/stepwise/ready").json() == {"name": "stepwise", "ready": True}
    assert server.post(INFER, {"inputs": [in_json("abc", shape=[1.0])]}).json()["outputs"] == plain.json()["outputs"]


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "inputs: this key is required"),
    ({"inputs": []}, 422, "inputs: List should have at least 1 item"),
    ({"inputs": [in_json("a", name="other")]}, 422, "inputs.0.name: Input should be 'text' or 'prefix'"),
    ({"inputs": [in_json("a", name="prefix")]}, 422, "inputs: 'text' is missing"),
    ({"inputs": [in_json("a"), in_json("a")]}, 422, "inputs: text: given twice"),
    ({"inputs": [in_json("a"), in_json("b", "c", name="prefix")]}, 422, "2 prefixes for 1 texts"),
    ({"inputs": [in_json()]}, 422, "inputs.0.shape.0: Input should be greater than or equal to 1"),
    ({"inputs": [in_json("a", shape=[2])]}, 422, "inputs: text: shape [2] for 1 values"),
    ({"inputs": [in_json("a", shape=[10**30])]}, 422, "for 1 values"),
    ({"inputs": [in_json("a", shape=[1, 1, 1])]}, 422, "inputs.0.shape: List should have at most 2 items"),
    ({"inputs": [in_json("a", "b", shape=[1, 2])]}, 422, "inputs: text: shape [1, 2], expected [n] or [n, 1]"),
    ({"inputs": [in_json("a", "b", shape=[2, 2])]}, 422, "inputs: text: shape [2, 2], expected [n] or [n, 1]"),
    ({"inputs": [in_json("a", shape=[2, 1])]}, 422, "inputs: text: shape [2, 1] for 1 values"),
    ({"inputs": [in_json("a", shape=[1, 0])]}, 422, "inputs.0.shape.1: Input should be greater than or equal to 1"),
    ({"inputs": [in_json("a", shape=[])]}, 422, "inputs.0.shape: List should have at least 1 item"),
    ({"inputs": [in_json("a", data=[["a", "b"]])]}, 422, "inputs.0.data.0: Input should be a valid string"),
    ({"inputs": [in_json("a", data=[["a"], "b"])]}, 422, "inputs.0.data.0: Input should be a valid string"),
    ({"inputs": [in_json("a", data=[[["a"]]])]}, 422, "inputs.0.data.0: Input should be a valid string"),
    ({"inputs": [in_json("a"), in_json("b", "c", name="prefix", shape=[2, 1])]}, 422, "2 prefixes for 1 texts"),
    ({"inputs": [in_json("a", shape=[-1])]}, 422, "inputs.0.shape.0"),
    ({"inputs": [in_json("a", datatype="FP32")]}, 422, "inputs.0.datatype: Input should be 'BYTES', got 'FP32'"),
    ({"inputs": [in_json("a", data=[5])]}, 422, "inputs.0.data.0: Input should be a valid string, got 5"),
    ({"inputs": [in_json("a", data=None)]}, 422, f"either 'data', or 'binary_data_size' and the header {LENGTH}"),
    ({"inputs": [in_json("a", parameters={"binary_data_size": 5})]}, 422, "expected either 'data', or"),
    ({"inputs": [in_json("a", parameters={"content_type": "base64"})]}, 422, "content_type: Input should be 'str'"),
    ({"inputs": [in_json("a", parameters={"shared_memory_region": "r"})]}, 422, "shared_memory_region: unknown key"),
    ({"inputs": [in_json("a")], "parameters": {"scores": False}}, 422, "parameters.scores: unknown key"),
    ({"inputs": [in_json("a")], "outputs": [{"name": "logits"}]}, 422, "outputs.0.name: Input should be 'text' or"),
    ({"inputs": [in_json("a")], "outputs": [{"name": "text"}] * 2}, 422, "outputs: text: wanted twice"),
    (
        {"inputs": [in_json("a")], "outputs": [{"name": "score", "parameters": {"classification": 2}}]},
        422,
        "classification: unknown key",
    ),
    ({"inputs": [in_json("a")], "parameters": {"beamsize": 3}}, 422, "beamsize: unknown key; did you mean 'beam_size'"),
    ({"inputs": [in_json("a")], "parameters": {"n_best": 5}}, 422, "n_best: expected at most the beam size, 4, got 5"),
    ({"inputs": [in_json("a")], "parameters": {"beam_size": 17}}, 422, "at most 16 are taken"),
    ({"inputs": [in_json("a")], "parameters": {"seed": 2**31, "strategy": "sample"}}, 422, "seed"),
    ({"inputs": [in_json("a")], "parameters": {"timeout": -1}}, 422, "timeout"),
    ({"inputs": [in_json("a")], "id": 5}, 422, "id: Input should be a valid string, got 5"),
    ({"inputs": [in_json(*["a"] * 65)]}, 413, "65 texts, at most 64 are taken"),
    ({"inputs": [in_json("a" * 50)]}, 422, "text 1: 51 source tokens"),
]


@pytest.mark.parametrize(("body", "status", "why"), REFUSED)
def test_what_is_refused_is_told_in_one_line(server: Any, body: Any, status: int, why: str) -> None:
    response = server.post(INFER, body)
    assert (response.status_code, set(response.json())) == (status, {"error"})
    assert why in response.json()["error"]
    assert len(response.json()["error"].splitlines()) == 1


def binary_body(raw: bytes, texts: int, size: int | None = None) -> bytes:
    """The JSON of a request whose texts follow."""
    parameters = {"binary_data_size": len(raw) if size is None else size}
    one = {"name": "text", "shape": [texts], "datatype": "BYTES", "parameters": parameters}
    return json.dumps({"inputs": [one]}).encode()


ABC = struct.pack("<I", 3) + b"abc"
BYTES: list[tuple[bytes, bytes, str | None, str]] = [
    (binary_body(ABC, 1), ABC, "", f"{LENGTH}: ''"),
    (binary_body(ABC, 1), ABC, "0", "a request without JSON is not taken"),
    (binary_body(ABC, 1), ABC, "-5", f"{LENGTH}: '-5'"),
    (binary_body(ABC, 1), ABC, "1e2", f"{LENGTH}: '1e2'"),
    (binary_body(ABC, 1), ABC, "9" * 5000, "expected how many of the"),
    (binary_body(ABC, 1), ABC, "10", "Invalid JSON"),
    (binary_body(ABC, 1), ABC, None, "Invalid JSON"),
    (binary_body(ABC, 1), ABC[:-1], "all", "binary_data_size 7, but 6 bytes are left"),
    (binary_body(ABC, 1), ABC + b"d", "all", "1 bytes more than"),
    (binary_body(ABC, 2), ABC, "all", "shape [2] for 1 values"),
    (binary_body(ABC, 1, size=6), ABC[:-1], "all", "value 1 ends after the 6 bytes"),
    (binary_body(ABC + b"\x01", 1), ABC + b"\x01", "all", "value 2 ends after the 8 bytes"),
    (binary_body(b"\xff" * 7, 1), b"\xff" * 7, "all", "value 1 ends after the 7 bytes"),
    (binary_body(ABC, 1), struct.pack("<I", 3) + b"a\xffb", "all", "value 1 is no UTF-8"),
    (binary_body(ABC, 1), struct.pack("<I", 3) + b"\xed\xa0\x80", "all", "value 1 is no UTF-8"),
    (binary_body(b"", 1), b"", "all", "shape [1] for 0 values"),
    (b"\xff\xfe{}", b"", "all", "body: "),
    (b"[" * 100_000, b"", None, "body: "),
    (b"", b"", None, "body: "),
]


@pytest.mark.parametrize(("head", "raw", "length", "why"), BYTES)
def test_bytes_that_are_refused(server: Any, head: bytes, raw: bytes, length: str | None, why: str) -> None:
    headers = {} if length is None else {LENGTH: str(len(head)) if length == "all" else length}
    response = server.post(INFER, head + raw, headers=headers)
    assert response.status_code == 422
    assert why in response.json()["error"]
    assert len(response.json()["error"].splitlines()) == 1


def test_whatever_bytes_come_it_is_no_fault_of_the_server(server: Any) -> None:
    rng = random.Random(1)
    head = binary_body(ABC * 3, 3)
    statuses = []
    for _ in range(150):
        body = bytearray(head + ABC * 3)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(body))
            body[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        length = rng.choice([len(head), len(head), rng.randrange(len(body) + 9)])
        response = server.post(INFER, bytes(body), headers={LENGTH: str(length)})
        assert response.status_code in (200, 413, 422), (bytes(body), length)
        statuses.append(response.status_code)
    assert set(statuses) >= {200, 422}


def test_other_versions_and_models(server: Any, client: triton.InferenceServerClient) -> None:
    for path in ("", "/ready"):
        assert server.get(f"/v2/models/stepwise/versions/1{path}").status_code == 200
        assert server.get(f"/v2/models/stepwise/versions/2{path}").json() == {
            "error": "version: no '2'; 'stepwise' has 1"
        }
        assert server.get(f"/v2/models/stepwise/versions/2{path}").status_code == 404
    assert server.get("/v2/models/a%0Ab").json() == {"error": "model: no 'a b'; this server has stepwise"}
    for name, version in (("other", ""), ("stepwise", "2")):
        with pytest.raises(InferenceServerException, match=r"\[404\]"):
            client.infer(name, [tensor(["a"])], model_version=version)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("shape", [[4], [4, 1]])
def test_texts_may_be_a_batch_of_one_value_each(
    server: Any, client: triton.InferenceServerClient, generator: Generator, shape: list[int], binary: bool
) -> None:
    some, begins = ["abc", "", "hello 12", "x"], ["a", "", "1", ""]
    inputs = []
    for name, values in (("text", some), ("prefix", begins)):
        made = triton.InferInput(name, shape, "BYTES")
        made.set_data_from_numpy(np.array([one.encode() for one in values], object).reshape(shape), binary_data=binary)
        inputs.append(made)
    found = client.infer("stepwise", inputs, parameters={"beam_size": 4, "n_best": 2})
    written, _ = filled(generator(some, prefix=begins, beam_size=4, n_best=2), 2)
    assert decoded(found) == written
    assert found.get_output("text")["shape"] == found.get_output("score")["shape"] == [4, 2]
    one_best = client.infer("stepwise", inputs)
    assert one_best.as_numpy("text").shape == one_best.as_numpy("score").shape == (4, 1)


def test_json_may_show_the_shape(server: Any) -> None:
    """Values in a row, and values in rows of one, are the same; what a client of MLServer says of texts is taken."""
    flat = server.post(INFER, {"inputs": [in_json("abc", "de")]}).json()
    content = {"content_type": "str"}
    rows = in_json("abc", "de", shape=[2, 1], data=[["abc"], ["de"]], parameters=content)
    outputs = [{"name": "text", "parameters": content}, {"name": "score"}]
    shown = server.post(INFER, {"inputs": [rows], "outputs": outputs, "parameters": content}).json()
    assert shown == flat
    assert shown["outputs"][0]["shape"] == [2, 1]


def test_several_requests_at_a_time(server: Any, generator: Generator, texts: Texts) -> None:
    some = texts(12, seed=5)
    with triton.InferenceServerClient(server.url.removeprefix("http://"), concurrency=4) as several:
        asked = [several.async_infer("stepwise", [tensor([text])]) for text in some]
        found = [decoded(one.get_result()) for one in asked]
    assert found == [filled([best], 1)[0] for best in generator(some)]


def test_the_log_tells_of_it(server: Any, client: triton.InferenceServerClient) -> None:
    client.infer("stepwise", [tensor(["abc", "hello"])], headers={"X-Request-Id": "of-the-log"})
    line = server.logged(request_id="of-the-log")
    assert (line["model"], line["texts"], line["status"]) == ("stepwise", 2, 200)
    assert line["tokens"] > 2
    assert "text" not in line

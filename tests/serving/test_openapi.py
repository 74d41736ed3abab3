"""The OpenAPI document is valid, the server keeps to it whatever schemathesis tries, and its page needs no network."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis

FILES = Path(__file__).parent / "schemathesis"


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    return server.get("/openapi.json").json()


def below(node: Any) -> Iterator[dict[str, Any]]:
    """All objects of a document."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, dict | list):
        for part in node.values() if isinstance(node, dict) else node:
            yield from below(part)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_document_is_valid_and_whole(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    names = {node["$ref"] for node in below(document) if isinstance(node.get("$ref"), str)}
    assert names == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert not [node for node in below(document) if "$defs" in node]


def test_every_route_is_described(document: dict[str, Any]) -> None:
    routes = {(method, path) for path, method, _ in operations(document)}
    model, version = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
    costly = {("post", path) for path in ("/v1/generate", "/v1/score", f"{model}/infer", f"{version}/infer")}
    assert routes == {
        *costly,
        ("post", "/v2/repository/index"),
        *[("get", path) for path in ("/v1/models", "/v1/models/{name}", "/metrics", "/v2", "/v2/models/stats")],
        *[("get", f"/v2/health/{what}") for what in ("live", "ready")],
        *[("get", f"{of}{what}") for of in (model, version) for what in ("", "/ready", "/config", "/stats")],
    }
    for path, method, operation in operations(document):
        assert operation["summary"].endswith(".")
        answers, open_to_all = operation["responses"], path.startswith("/v2/health")
        assert operation["security"] == ([] if open_to_all else [{}, {"token": []}])
        assert ("401" in answers) == (not open_to_all)
        assert ("404" in answers) == ("{name}" in path or (method, path) in costly)
        assert ("429" in answers) == ((method, path) in costly)
        if (method, path) in costly:
            assert set(answers) >= {"500", "504"}
        if method == "post":
            assert set(answers) >= {"200", "400", "408", "413", "415", "422"}
            (examples,) = [kind["examples"] for kind in operation["requestBody"]["content"].values() if kind]
            assert examples
        assert all(answer["content"] for answer in answers.values())


def test_kinds_of_answers_and_bounds(document: dict[str, Any]) -> None:
    paths, schemas = document["paths"], document["components"]["schemas"]
    assert set(paths["/v1/generate"]["post"]["responses"]["200"]["content"]) == {
        "application/json",
        "text/event-stream",
    }
    assert set(paths["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}
    infer = paths["/v2/models/{name}/infer"]["post"]
    for content in (infer["requestBody"]["content"], infer["responses"]["200"]["content"]):
        assert set(content) == {"application/json", "application/octet-stream"}
    for schema in ("GenerateRequest", "InferParameters"):
        number, nothing = schemas[schema]["properties"]["beam_size"]["anyOf"]
        assert (number, nothing) == ({"type": "integer", "minimum": 1, "maximum": 1_000_000}, {"type": "null"})
        assert schemas[schema]["properties"]["beam_size"]["description"]


def test_every_example_is_answered(server: Any, document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if method == "post":
            for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
                answer = server.post(path.format(name="stepwise", version="1"), example["value"])
                assert answer.status_code == 200, (path, example, answer.text)


def test_what_is_no_operation(server: Any) -> None:
    for path in ("/v1/models/", "/v2/", "/other", "/v2/models/stepwise/other"):
        response = server.get(path)
        assert (response.status_code, response.json()) == (404, {"error": "not found"})
    response = server.get("/v1/generate")
    assert (response.status_code, response.json()) == (405, {"error": "method not allowed"})
    assert response.headers["allow"] == "POST"


def test_the_page_comes_from_here_alone(server: Any) -> None:
    page = server.get("/docs")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' data:;")
    assert "unsafe" not in policy
    assert page.headers["content-type"].startswith("text/html")
    for path, kind, part in (
        ("/docs.js", "text/javascript", 'url: "openapi.json"'),
        ("/swagger-ui-bundle.js", "text/javascript", "SwaggerUIBundle"),
        ("/swagger-ui.css", "text/css", ".swagger-ui"),
    ):
        assert f'"{path.removeprefix("/")}"' in page.text
        loaded = server.get(path)
        assert loaded.headers["content-type"].startswith(kind)
        assert part in loaded.text
    assert "://" not in page.text + server.get("/docs.js").text


def test_the_page_needs_no_token(serving: Callable[..., Any], stepwise_bundle: Path) -> None:
    """A browser sends none when an address is opened; nothing of it tells of the models."""
    with serving(stepwise_bundle, KERAS_S2S_TOKEN="secret") as guarded:
        for path in ("/docs", "/docs.js", "/swagger-ui.css", "/swagger-ui-bundle.js", "/openapi.json"):
            assert guarded.get(path).status_code == 200
        assert "stepwise" not in guarded.get("/openapi.json").text
        for path in ("/v2", "/v1/models", "/v2/models/stepwise", "/metrics"):
            assert guarded.get(path).status_code == 401
            assert guarded.get(path, headers={"authorization": "Bearer secret"}).status_code == 200


def let_try(url: str, folder: Path, examples: int, seed: int) -> None:
    """Lets schemathesis try the server, and fails with what it complains of.

    All of its checks are on. `schemathesis/schemathesis.toml` lets 422 pass where a valid body breaks a rule between
    its fields, and `schemathesis/hooks.py` then looks whether it was such a rule.
    """
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(FILES / "schemathesis.toml"), "run"]
    options = ["--checks", "all", "--max-examples", str(examples), "--seed", str(seed), "--no-color"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(FILES / "hooks.py"), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [*command, f"{url}/openapi.json", *options], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode != 0 or "No issues found" not in done.stdout:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


def test_schemathesis_finds_nothing(server: Any, tmp_path: Path) -> None:
    let_try(server.url, tmp_path, examples=10, seed=1)
    assert server.metric("requests_total", path="/v2/models/{name}/infer", status="200") > 10
    assert server.metric("requests_total", path="/v1/generate", status="200") > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_schemathesis_finds_nothing_in_a_long_time(server: Any, tmp_path: Path, seed: int) -> None:
    let_try(server.url, tmp_path, examples=200, seed=seed)

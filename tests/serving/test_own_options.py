"""Options that a bundle brings along, over HTTP."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

OPTIONS = {
    "alpha": {
        "type": "float",
        "default": 0.0,
        "help": "A number.",
        "minimum": 0,
        "maximum": 2,
        "feature": "constrained",
    },
    "count": {"type": "int", "default": 1, "help": "A whole number.", "exclusive_minimum": 0, "feature": None},
}


@pytest.fixture(scope="module")
def owner(
    stepwise_bundle: Path, tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., Any]
) -> Iterator[Any]:
    """A server of a bundle whose graphs say that they have options of their own; what they are given they leave."""
    path = tmp_path_factory.mktemp("own") / "owner"
    shutil.copytree(stepwise_bundle, path)
    manifest = json.loads((path / "bundle.json").read_text())
    for graphs in manifest["graphs"].values():
        graphs["beam-constrained"]["options"] = {"alpha": OPTIONS["alpha"]}
        graphs["greedy"]["options"] = {"count": OPTIONS["count"]}
    manifest["decoding"]["own"] = {"alpha": 0.0, "count": 1}
    (path / "bundle.json").write_text(json.dumps(manifest))
    with serving(path) as server:
        yield server


def test_the_form_lists_them(owner: Any) -> None:
    (entry,) = owner.get("/v1/models").json()["models"]
    found = {option["name"]: option for option in entry["options"]}
    assert found["alpha"] == {
        "name": "alpha",
        "label": "Alpha",
        "help": "A number.",
        "type": "float",
        "default": 0.0,
        "minimum": 0,
        "maximum": 2,
        "strategies": ["beam"],
        "stands_first": False,
        "own": True,
    }
    assert (found["count"]["exclusive_minimum"], found["count"]["strategies"]) == (0, ["greedy"])
    # Of this package's options those that its graphs can do, with the bundle's defaults.
    assert found["beam_size"]["default"] == 4
    assert found["beam_size"]["strategies"] == ["beam"]
    assert found["min_length"]["strategies"] == found["prefix"]["strategies"] == ["beam"]
    assert (found["top_p"]["exclusive_minimum"], found["top_p"]["maximum"]) == (0, 1)
    assert not {"coverage_penalty", "ctc_weight", "diversity", "strategy", "own"} & found.keys()
    assert owner.get("/v1/models/owner").json()["options"] == entry["options"]


def test_requests_give_them(owner: Any) -> None:
    text = {"text": "hello 12"}
    plain = owner.post("/v1/generate", text).json()["results"]
    for own in ({"alpha": 0.5}, {"alpha": 2}, {"alpha": 0.5, "count": 1}):
        answer = owner.post("/v1/generate", text | {"own": own})
        assert (answer.status_code, answer.json()["results"]) == (200, plain)
    assert owner.post("/v1/generate", text | {"strategy": "greedy", "own": {"count": 4}}).status_code == 200


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"own": {"alpha": 3}}, "generate: own: alpha: Input should be less than or equal to 2, got 3"),
        ({"own": {"alfa": 1}}, "generate: own: alfa: unknown key; did you mean 'alpha'?"),
        (
            {"own": {"count": 3}},
            "generate: own: count: strategy 'beam' does not look at it; leave it out or choose greedy",
        ),
        ({"own": {"alpha": 1}, "strategy": "greedy"}, "owner: no graph 'greedy-constrained' in int8, which has "),
        ({"strategy": "mine"}, "generate: strategy: no strategy 'mine'; there are greedy, beam, diverse, sample, "),
    ],
)
def test_a_wrong_one_is_one_line(owner: Any, request_: dict[str, Any], message: str) -> None:
    answer = owner.post("/v1/generate", {"text": "hello"} | request_)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(message)

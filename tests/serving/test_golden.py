"""A server of a bundle of an earlier version gives the answers that the version recorded."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


def test_answers_are_those_that_were_recorded(
    golden_bundles: Path, serving: Callable[..., contextlib.AbstractContextManager[Any]]
) -> None:
    commits = sorted(path.stem for path in GOLDEN.glob("*.json"))
    with serving(*(golden_bundles / commit for commit in commits), "--precision", "fp32", "--workers", 1) as server:
        for commit in commits:
            recorded = json.loads((GOLDEN / f"{commit}.json").read_text())
            answers, texts = recorded["precisions"]["fp32"], recorded["texts"]
            for name, expected in answers["searches"].items():
                body = {"model": commit, "text": texts, "tokens": True, **recorded["options"][name]}
                if name == "prefixed":
                    body["prefix"] = [recorded["prefix"]] * len(texts)
                results = server.post("/v1/generate", body).json()["results"]
                for result, wanted in zip(results, expected, strict=True):
                    for one, other in zip(result["hypotheses"], wanted, strict=True):
                        assert (one["text"], one["tokens"]) == (other["text"], other["tokens"])
                        assert one["score"] == pytest.approx(other["score"], abs=1e-5, rel=1e-5)
            targets = [one[0]["text"] for one in answers["searches"]["greedy"]]
            results = server.post("/v1/score", {"model": commit, "source": texts, "target": targets}).json()["results"]
            assert [one["log_probability"] for one in results] == pytest.approx(answers["score"], abs=1e-5, rel=1e-5)

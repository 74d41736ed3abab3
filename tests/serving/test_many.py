"""Every answer under load is that of the same text alone."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest

from keras_s2s.runtime import Generator

OPTIONS: list[dict[str, Any]] = [
    {},
    {"beam_size": 1},
    {"beam_size": 1, "max_length_extra": 3},
    {"beam_size": 2, "length_penalty": 0.3},
    {"n_best": 3},
    {"patience": 2.0},
    {"exhaustive": True, "n_best": 2},
    {"min_length": 3},
    {"no_repeat_ngram": 2, "allow_unknown": False},
    {"suppress": ["ab", "c"]},
    {"beam_size": 3, "prefix": "xy"},
    {"strategy": "sample", "n_best": 2, "seed": 5},
]


@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.slow)])
def test_every_answer_under_load_is_that_of_the_text_alone(
    stepwise_bundle: Path,
    serving: Callable[..., Any],
    generator: Generator,
    texts: Callable[..., list[str]],
    count: int,
) -> None:
    with serving(stepwise_bundle, "--queue", 1000) as server:
        _check(server, generator, texts(300, seed=14), count)


def _check(server: Any, generator: Generator, some: list[str], count: int) -> None:
    rng = np.random.default_rng(2)
    asked = [
        (some[rng.integers(len(some))], {**OPTIONS[rng.integers(len(OPTIONS))], "stream": bool(rng.integers(2))})
        for _ in range(count)
    ]
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=32)) as client, ThreadPoolExecutor(32) as pool:

        def ask(one: tuple[str, dict[str, Any]]) -> Any:
            text, options = one
            response = client.post(f"{server.url}/v1/generate", json={"text": text, "tokens": True, **options})
            assert response.status_code == 200, response.text
            if options.get("stream"):
                *_, result, _ = [json.loads(line[6:]) for line in response.text.splitlines() if line[:6] == "data: "]
            else:
                (result,) = response.json()["results"]
            return [hypothesis["tokens"] for hypothesis in result["hypotheses"]]

        answers = list(pool.map(ask, asked))
    alone: dict[str, list[list[int]]] = {}
    for (text, options), found in zip(asked, answers, strict=True):
        if (key := repr((text, options))) not in alone:
            others = {name: value for name, value in options.items() if name not in ("prefix", "stream")}
            prefix = [options["prefix"]] if "prefix" in options else None
            (hypotheses,) = generator([text], prefix=prefix, **others)
            alone[key] = [list(hypothesis.tokens) for hypothesis in hypotheses]
        assert found == alone[key], (text, options)
    for engine in ("steps", "whole"):
        filled, batches = (server.metric(f"batch_fill_{what}", engine=engine) for what in ("sum", "count"))
        assert filled / batches > 1 / 16, "no batch had more than one text"

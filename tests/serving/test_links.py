"""A bundle whose files are links is served, and its steps are made, as if they were not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keras_s2s.bundle import Decoding
from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.feeds import Sentence


@pytest.fixture(params=[os.symlink, os.link], ids=["symbolic", "hard"])
def linked(request: pytest.FixtureRequest, stepwise_bundle: Path, tmp_path: Path) -> Path:
    """The bundle, each file of which is a link."""
    shutil.copytree(stepwise_bundle, tmp_path / "linked", copy_function=request.param)
    return tmp_path / "linked"


def test_it_is_served(
    linked: Path, serving: Callable[..., Any], generator: Generator, texts: Callable[..., list[str]]
) -> None:
    some = texts(3)
    with serving(linked, "--workers", 1) as server:
        results = server.post("/v1/generate", {"text": some}).json()["results"]
    found = [result["hypotheses"][0]["text"] for result in results]
    assert found == [hypotheses[0].text for hypotheses in generator(some)]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_its_steps(linked: Path, stepwise_bundle: Path, generator: Generator, precision: str) -> None:
    decoding: Decoding = generator.bundle.manifest.decoding.replace(strategy="greedy", beam_size=1, n_best=1)
    found = []
    for path in (linked, stepwise_bundle):
        steps = Steps.load(path, "greedy", precision, 1)
        batch = steps.start([Sentence([5, 6, 7, 2])], decoding)
        results: list[Any] = []
        while not results:
            batch = steps.advance(batch)
            results, _ = steps.finished(batch)
        found.append([candidates for _, candidates in results])
    assert found[0] == found[1]

"""Bundles of earlier versions give the answers that those versions recorded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keras_s2s.compression.quantization import Wanted, quantize_bundle
from keras_s2s.data import Pairs
from keras_s2s.runtime import Generator, Steps

RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).parent.glob("*.json"))}
PRECISIONS = {"fp32": 1e-5, "int8": 1e-2}
"""How far scores may be from the recorded ones."""

each_bundle = pytest.mark.parametrize("commit", RECORDED)
each_precision = pytest.mark.parametrize("precision", PRECISIONS)


@pytest.fixture(params=[(commit, precision) for commit in RECORDED for precision in PRECISIONS], ids="-".join)
def case(request: pytest.FixtureRequest, golden_bundles: Path) -> Any:
    return Case(golden_bundles, *request.param)


class Case:
    """One precision of one bundle, and what was recorded with it."""

    def __init__(self, bundles: Path, commit: str, precision: str) -> None:
        self.path, self.precision = bundles / commit, precision
        self.recorded = RECORDED[commit]
        self.answers = self.recorded["precisions"][precision]
        self.texts = self.recorded["texts"]
        self.generator = Generator.load(self.path, precision, 1)

    def check(self, found: Any, expected: list[dict[str, Any]]) -> None:
        """Compares the hypotheses of a text, or the candidates of a sentence."""
        assert [list(one.tokens) for one in found] == [one["tokens"] for one in expected]
        assert [getattr(one, "text", None) for one in found] == [one.get("text") for one in expected]
        assert [one.score for one in found] == self.near([one["score"] for one in expected])
        for one, other in zip(found, expected, strict=True):
            assert list(one.token_scores) == self.near(other["token_scores"])

    def near(self, numbers: list[float]) -> Any:
        tolerance = PRECISIONS[self.precision]
        return pytest.approx(numbers, abs=tolerance, rel=tolerance)


def test_the_oldest_bundle_and_those_since_are_there() -> None:
    assert list(RECORDED) == ["9ad5b2f", "f8720e3"]


def test_searches(case: Case) -> None:
    options = case.recorded["options"]
    for name, expected in case.answers["searches"].items():
        prefix = [case.recorded["prefix"]] * len(case.texts) if name == "prefixed" else None
        for found, wanted in zip(case.generator(case.texts, prefix=prefix, **options[name]), expected, strict=True):
            case.check(found, wanted)


def test_searches_a_step_at_a_time(case: Case) -> None:
    for name, graph in case.recorded["steps"].items():
        plan = case.generator.plan(case.recorded["options"][name], prefixed=False)
        steps = Steps.load(case.path, graph, case.precision, 1)
        sentences = case.generator.sentences(case.texts, [""] * len(case.texts), plan.options)
        waiting = [sentence for sentence in sentences if sentence is not None]
        batch, waiting = steps.start(waiting[:3], plan.options, plan.suppressed), waiting[3:]
        found = {}
        while batch is not None:
            batch = steps.advance(batch)
            done, places = steps.finished(batch)
            found.update({sentence.number: candidates for sentence, candidates in done})
            coming, waiting = waiting[:2], waiting[2:]
            new = steps.start(coming, plan.options, plan.suppressed) if coming else None
            batch = steps.exchange(batch, places, new)
        for number, expected in enumerate(case.answers["steps"][name], 1):
            case.check(found[number], expected)


def test_scores_of_targets(case: Case) -> None:
    targets = [one[0]["text"] for one in case.answers["searches"]["greedy"]]
    found = [one.log_probability for one in case.generator.score(case.texts, targets)]
    assert found == case.near(case.answers["score"])


@each_bundle
def test_inspect_finds_the_bundle_whole(golden_bundles: Path, commit: str) -> None:
    command = [sys.executable, "-m", "keras_s2s.cli", "inspect", str(golden_bundles / commit), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["manifest"]["schema_revision"] == 1
    assert found["parameters"] == 6_416
    assert found["verified_files"] == 25


@each_bundle
def test_quantize_adds_a_precision_and_leaves_the_others(golden_bundles: Path, commit: str, tmp_path: Path) -> None:
    copy = shutil.copytree(golden_bundles / commit, tmp_path / commit)
    recorded = RECORDED[commit]
    texts, expected = recorded["texts"], recorded["precisions"]["fp32"]["searches"]["greedy"]
    pairs = Pairs(texts, [one[0]["text"] for one in expected])
    variants = quantize_bundle(copy, pairs, Wanted(["weight8"], {}, "exact_match"))
    assert [variant.name for variant in variants] == ["fp32", "weight8"]
    assert [variant.value for variant in variants] == [100, 100]
    for precision in ("fp32", "weight8"):
        found = Generator.load(copy, precision, 1)(texts, strategy="greedy")
        assert [list(best.tokens) for best, *_ in found] == [one[0]["tokens"] for one in expected]

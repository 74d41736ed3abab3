"""The examples of strategies, features and length penalties run, and what they export needs none of their code."""

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.feeds import Sentence

pytestmark = pytest.mark.xdist_group("extending_search")


@pytest.fixture(scope="module")
def ran(extending: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs the example of a section once, in a process of its own; gives its folder and what it printed."""

    @functools.cache
    def run(name: str) -> tuple[Path, list[str]]:
        folder = tmp_path_factory.mktemp("example")
        (code,) = re.findall(r"```python\n(.*?)```", extending[name], re.S)
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return folder, done.stdout.splitlines()

    return run


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command, in a process that has none of the example's code."""
    line = [sys.executable, "-m", "keras_s2s.cli", *map(str, arguments)]
    return subprocess.run(line, input="adda\n", capture_output=True, text=True, check=False, env={**os.environ})


def manifest(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))


def test_a_strategy_of_ones_own(ran: Any) -> None:
    folder, printed = ran("Search strategies")
    bundle = folder / "early_bundle"
    written = manifest(bundle)
    option = written["graphs"]["int8"]["early"]["options"]["threshold"]
    assert (option["type"], option["default"], option["minimum"], option["maximum"]) == ("float", 1.0, 0.0, 1.0)
    assert option["help"] == "The probability of the end that suffices."
    assert written["graphs"]["fp32"]["greedy"]["options"] == {}
    assert {c["decoding"] for c in written["verification"]["comparisons"]} >= {"greedy", "early"}
    generator = Generator.load(bundle, "fp32")
    plain, same = generator(["adda"]), generator(["adda"], strategy="early")
    assert plain == same
    lengths = [len(generator(["adda"], strategy="early", own={"threshold": t})[0][0].tokens) for t in (1.0, 0.1, 0.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1] == 0
    # The example asks the graph in int8.
    said = Generator.load(bundle)(["adda"], strategy="early", own={"threshold": 0.5})
    assert printed == [said[0][0].text]
    with pytest.raises(UserError, match=r"^generate: own: threshold: strategy 'greedy' does not look at it; .* early$"):
        generator(["adda"], strategy="greedy", own={"threshold": 0.5})
    with pytest.raises(UserError, match=r"^generate: beam_size: expected 1 with strategy 'early', got 3$"):
        generator(["adda"], strategy="early", beam_size=3)
    with pytest.raises(UserError, match=r"^generate: strategy: no strategy 'erly'; there are greedy, .*, early$"):
        generator(["adda"], strategy="erly")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_its_steps_say_the_same(ran: Any, precision: str) -> None:
    bundle = ran("Search strategies")[0] / "early_bundle"
    generator, steps = Generator.load(bundle, precision), Steps.load(bundle, "early", precision)
    plan = generator.plan({"strategy": "early", "own": {"threshold": 0.2}}, False)
    sentences = [Sentence([*ids, 2], number) for number, ids in enumerate(([5, 6, 7], [8], [4, 4, 9, 5, 6]))]
    batch, found = steps.start(sentences, plan.options), {}
    while batch is not None:
        batch = steps.advance(batch)
        results, places = steps.finished(batch)
        found |= {sentence.number: candidates[0].tokens for sentence, candidates in results}
        batch = steps.exchange(batch, places)
    assert [found[number] for number in range(3)] == [one[0].tokens for one in generator.search(sentences, plan)]
    other = generator.plan({"strategy": "early", "own": {"threshold": 0.3}}, False)
    assert steps.shared(plan.options) != steps.shared(other.options)


@pytest.mark.slow
def test_a_feature_of_ones_own(ran: Any) -> None:
    folder, _ = ran("Features of a search")
    generator = Generator.load(folder / "calm_bundle", "fp32")
    assert generator.plan({}, False).graph == "greedy"
    assert generator.plan({"own": {"end_bonus": 0.0}}, False).graph == "greedy"
    plan = generator.plan({"own": {"end_bonus": 5.0}}, False)
    assert plan.graph == "greedy-calm"
    assert dict(plan.options.own) == {"end_bonus": 5.0, "calmness": 1.0}
    soon, late = (generator(["adda"], own={"end_bonus": bonus})[0][0] for bonus in (10, -10))
    assert len(soon.tokens) < len(late.tokens)
    ends = [generator(["adda"], own={"calmness": c})[0][0].token_scores[0] for c in (0.5, 50)]
    assert ends[0] > ends[1] == pytest.approx(-np.log(10), abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"end_bonos": 1.0}, "generate: own: end_bonos: unknown key; did you mean 'end_bonus'?"),
        ({"end_bonus": 11.0}, "generate: own: end_bonus: Input should be less than or equal to 10, got 11.0"),
        ({"calmness": 0}, "generate: own: calmness: Input should be greater than 0, got 0"),
        ({"calmness": True}, "generate: own: calmness: Input should be a valid number, got True"),
    ],
)
def test_a_wrong_value_is_one_line(ran: Any, own: dict[str, Any], message: str) -> None:
    generator = Generator.load(ran("Features of a search")[0] / "calm_bundle", "fp32")
    with pytest.raises(UserError) as error:
        generator(["adda"], own=own)
    assert str(error.value) == message


@pytest.mark.slow
def test_the_command_line_takes_and_lists_them(ran: Any) -> None:
    bundle = ran("Features of a search")[0] / "calm_bundle"
    generator = Generator.load(bundle)
    done = command("generate", bundle, "--own", "end_bonus=-2.5", "--own", "calmness=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == generator(["adda"], own={"end_bonus": -2.5, "calmness": 2})[0][0].text + "\n"
    done = command("generate", bundle, "--own", "end_bonus=soon")
    assert done.returncode == 2
    assert "expected NAME=VALUE" in done.stderr
    shown = " ".join(command("inspect", bundle).stdout.split())
    assert "calmness float, by default 1.0, above 0, at most 100; of calm. Divides the model's scores." in shown


@pytest.mark.slow
def test_a_length_penalty_of_ones_own(ran: Any) -> None:
    folder, printed = ran("Length penalties")
    assert manifest(folder / "counted_bundle")["decoding"]["own"] == {"counted_tokens": 4}
    generator = Generator.load(folder / "counted_bundle", "fp32")
    total = sum(generator(["addda"])[0][0].token_scores)
    for most in (1, 3, 100):
        (found,) = generator(["addda"], own={"counted_tokens": most})[0]
        assert found.score == pytest.approx(total / min(most, len(found.tokens) + 1), rel=1e-4)
    assert len(printed) == 2

"""Options of a call, and the graph that they need."""

from typing import Any

import pytest

from keras_s2s import UserError
from keras_s2s.bundle import Decoding, GraphFile, Manifest
from keras_s2s.runtime.options import choose_graph, options_of

DEFAULTS = Decoding(strategy="beam", beam_size=5, n_best=2)
FILE = GraphFile(path="x", sha256="0" * 64)


def manifest(*graphs: str, shortlist: bool = False) -> Manifest:
    return Manifest.model_construct(
        decoding=DEFAULTS, graphs={"fp32": dict.fromkeys(graphs, FILE)}, shortlist=FILE if shortlist else None
    )


@pytest.mark.parametrize(
    ("given", "strategy", "beam_size", "n_best"),
    [
        ({}, "beam", 5, 2),
        ({"beam_size": 1}, "greedy", 1, 1),
        ({"beam_size": 3}, "beam", 3, 1),
        ({"strategy": "greedy"}, "greedy", 1, 1),
        ({"strategy": "sample", "n_best": 7}, "sample", 1, 7),
        ({"strategy": "diverse"}, "diverse", 5, 1),
        ({"n_best": 4}, "beam", 5, 4),
    ],
)
def test_what_is_given_and_what_follows(given: dict, strategy: str, beam_size: int, n_best: int) -> None:
    options = options_of(manifest(), given)
    assert (options.strategy, options.beam_size, options.n_best) == (strategy, beam_size, n_best)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"beam_size": 0}, "generate: beam_size: "),
        ({"top_p": 1.2}, "generate: top_p: .*less than or equal to 1, got 1.2"),
        ({"min_p": -0.1}, "generate: min_p: "),
        ({"temperature": 0.0}, "generate: temperature: "),
        ({"n_best": 6}, "generate: n_best: expected at most the beam size, 5, got 6"),
        ({"strategy": "greedy", "beam_size": 3}, "generate: beam_size: expected 1 with strategy 'greedy', got 3"),
        ({"patience": 5e-324}, "generate: patience: "),  # 0 in float32.
        ({"strategy": "sample", "temperature": 5e-324}, "generate: temperature: "),
        ({"word_reward": 1e38}, "generate: word_reward: "),  # Of some tokens, infinite in float32.
        ({"length_penalty": -1e3}, "generate: length_penalty: "),
        ({"strategy": "sample", "seed": 2**31}, "generate: seed: "),
        ({"min_length": 11, "max_length_factor": 0}, "min_length: expected at most the maximum length, 10, got 11"),
        ({"strategy": "beem"}, "generate: strategy: no strategy 'beem'; there are greedy, beam, diverse, sample, ctc_"),
        ({"own": {"alpha": 0.7}}, "generate: own: the bundle has no options of its own; leave it out"),
        ({"own": {"alpha": "0.7"}}, "generate: own"),
        ({"temperature": 2.0}, "generate: temperature: strategy 'beam' does not look at it; .* or choose sample$"),
        ({"strategy": "diverse", "seed": 3}, "generate: seed: strategy 'diverse' does not"),
        ({"beam_size": 1, "coverage_penalty": 0.2}, "generate: coverage_penalty: .* choose beam or diverse$"),
        ({"strategy": "ctc_greedy", "min_length": 2}, "generate: min_length: strategy 'ctc_greedy' does not"),
        ({"beamsize": 3}, "generate: beamsize: unknown key; did you mean 'beam_size'?"),
    ],
)
def test_a_wrong_option_is_one_line(given: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        options_of(manifest(), given)
    assert "\n" not in str(error.value)


def test_an_option_at_rest_says_nothing() -> None:
    options_of(manifest(), {"temperature": 1.0, "seed": 1, "diversity": 0.5})
    options_of(manifest(), {"strategy": "sample", "temperature": 2.0, "seed": 3})


def choose(there: Manifest, prefixed: bool = False, **given: Any) -> str:
    return choose_graph(there, "fp32", options_of(there, given), prefixed, "b")


def test_the_smallest_graph_that_can_is_chosen() -> None:
    there = manifest("greedy", "beam-constrained-coverage", "beam-constrained", "beam")
    assert choose(there) == "beam"
    assert choose(there, beam_size=1) == "greedy"
    for constraint in ({"min_length": 2}, {"suppress": ("a",)}, {"allow_unknown": False}, {"no_repeat_ngram": 3}):
        assert choose(there, **constraint) == "beam-constrained"
    assert choose(there, prefixed=True) == "beam-constrained"
    assert choose(there, coverage_penalty=0.1) == "beam-constrained-coverage"


def test_a_shortlist_is_used_where_there_is_one() -> None:
    there = manifest("beam", "beam-shortlist", "greedy", shortlist=True)
    assert choose(there) == "beam-shortlist"
    assert choose(there, shortlist=False) == "beam"
    assert choose(there, beam_size=1) == "greedy"
    assert choose(manifest("beam", "beam-shortlist")) == "beam"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"strategy": "diverse"}, "diverse"),
        ({"strategy": "ctc_beam"}, "ctc_beam"),
        ({"ctc_weight": 0.3, "min_length": 1}, "beam-constrained-joint"),
        ({"shortlist": True}, "beam-shortlist"),
    ],
)
def test_a_graph_that_is_not_there_is_named(given: dict, name: str) -> None:
    with pytest.raises(UserError, match=f"^b: no graph '{name}' in fp32, which has greedy, beam; export .* '{name}'$"):
        choose(manifest("greedy", "beam"), **given)

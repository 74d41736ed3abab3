"""A search a step at a time says what the loop says, however its sentences come and go."""

import functools
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.bundle import Decoding, strategy_and_features
from keras_s2s.decoding import Ensemble, Fusion, StepPrograms, make_steps, step_problems
from keras_s2s.export.forms import Form, KerasGraph, keras_form, programs_of
from keras_s2s.layers import CELLS, MIXERS
from keras_s2s.models import (
    GRUDecoderConfig,
    GRUEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.runtime import Steps
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.graph import Candidates

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

V = 12
BLOCKS: dict[str, Any] = {"heads": 2, "feed_forward": 12}
TRANSFORMER: dict[str, Any] = {"encoder": TransformerEncoderConfig(layers=1, **BLOCKS)}
GRU: dict[str, Any] = {"encoder": GRUEncoderConfig()}
PARTS: dict[str, Any] = {
    **{
        f"{kind} positions": {
            **TRANSFORMER,
            "decoder": TransformerDecoderConfig(layers=1, positions=kind, maximum_length=5, **BLOCKS),
        }
        for kind in ("learned", "rotary", "relative", "alibi")
    },
    **{kind: {**GRU, "decoder": {"kind": kind, "layers": 2, **BLOCKS}} for kind in MIXERS},
    **{
        kind: {"encoder": {"kind": kind}, "decoder": {"kind": kind, "layers": 2, "input_feeding": True}}
        for kind in CELLS
    },
    **{f"{kind} attention": {**GRU, "decoder": GRUDecoderConfig(attention=kind)} for kind in ("dot", "general")},
    "language model": {"decoder": TransformerDecoderConfig(layers=1, **BLOCKS)},
}
WITH_FEATURES = [
    ("transformer", "greedy-constrained"),
    ("transformer", "beam-constrained-coverage"),
    ("lstm", "beam-constrained-coverage"),
    ("ensemble", "beam-coverage"),
    ("fusion", "beam-constrained"),
]
COVERED = {
    *(kind for kind, _ in WITH_FEATURES),
    "rotary positions",
    "dot attention",
    "general attention",
    "language model",
}
# A beam asks everything of a decoder that greedy search asks.
SEARCHES = [
    *WITH_FEATURES,
    *((kind, "beam") for kind in PARTS if kind not in COVERED),
    ("gru", "greedy"),
    *(
        pytest.param(kind, "greedy", marks=pytest.mark.slow)
        for kind in (*PARTS, "fusion")
        if kind not in ("gru", "language model")
    ),
]
CONSTRAINTS: dict[str, Any] = {"min_length": 3, "no_repeat_ngram": 2, "repetition_penalty": 1.2, "allow_unknown": False}
SUPPRESSED = [[5], [6, 7]]


@functools.cache
def make(kind: str, seed: int = 5) -> Any:
    """Weights are large enough that results have several lengths."""
    if kind == "ensemble":
        return Ensemble([make("rotary positions"), make("dot attention", 4)], [1, 2])
    if kind == "fusion":
        return Fusion(make("general attention"), make("language model"), 0.3)
    source = {} if kind == "language model" else {"source_vocabulary": V}
    keras.utils.set_random_seed(1)
    model = build(ModelConfig(**source, target_vocabulary=V, width=8, **PARTS[kind]))
    rng = np.random.default_rng(seed)
    model.set_weights([w + rng.normal(scale=0.8, size=w.shape) for w in model.get_weights()])
    # No training teaches a model to write padding or BOS.
    model.head.bias.assign(np.where(np.arange(V) < 2, -30, model.head.bias))
    return model


@functools.cache
def made_steps(model: Any, graph: str) -> StepPrograms:
    return make_steps(model, *strategy_and_features(graph))


@functools.cache
def of_keras(model: Any, graph: str) -> Steps:
    made = made_steps(model, graph)
    return Steps({part: KerasGraph(program) for part, program in made.programs.items()}, made.layouts, V)


@functools.cache
def in_a_loop(model: Any, graph: str) -> Form:
    return keras_form(programs_of(model, [graph], groups=1), V)


def options(graph: str) -> Decoding:
    strategy, features = strategy_and_features(graph)
    return Decoding(
        strategy=strategy,
        beam_size=3 if strategy == "beam" else 1,
        n_best=3 if strategy == "beam" else 1,
        max_length_factor=1.0,
        max_length_extra=4,
        coverage_penalty=0.3 if "coverage" in features else 0.0,
        **(CONSTRAINTS if "constrained" in features else {}),
    )


def sentences(graph: str, count: int = 14) -> list[Sentence]:
    """Sources of 0 to 10 tokens, and where they can be prefixes of 0 to 3."""
    rng = np.random.default_rng(6)
    ids = [[*rng.integers(4, V, size=(3 * number) % 11).tolist(), 2] for number in range(count)]
    prefixes = [
        rng.integers(8, V, size=number % 4).tolist() if "constrained" in graph else [] for number in range(count)
    ]
    return [Sentence(*row) for row in zip(ids, range(count), prefixes, strict=True)]


def same(found: Candidates, expected: Candidates, tolerance: float = 1e-5) -> None:
    assert [candidate.tokens for candidate in found] == [candidate.tokens for candidate in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=tolerance)
        np.testing.assert_allclose(ours.token_scores, theirs.token_scores, atol=10 * tolerance)


@pytest.mark.parametrize(("kind", "graph"), SEARCHES)
def test_a_sentence_is_the_same_among_others_of_any_age_as_in_a_loop_of_its_own(
    kind: str, graph: str, served: Any
) -> None:
    model, decoding, some = make(kind), options(graph), sentences(graph)
    form = in_a_loop(model, graph)
    expected = [form.search(graph, [sentence], decoding, SUPPRESSED)[0] for sentence in some]
    assert len({len(best.tokens) for best, *_ in expected}) > 3
    steps = of_keras(model, graph)
    for seed in (1, 2):
        ages, found = [], dict[int, Candidates]()
        for batch, results in served(steps, some, decoding, SUPPRESSED, seed):
            ages.append(len(set(batch.state["length"].tolist())))
            found |= {sentence.number: candidates for sentence, candidates in results}
        assert max(ages) > 2
        assert len(found) == len(some)
        for number, candidates in found.items():
            same(candidates, expected[number])


@pytest.mark.parametrize("graph", ["greedy-constrained", "beam-constrained-coverage"])
def test_a_batch_that_begins_together_says_what_the_loop_says(graph: str) -> None:
    model, decoding, some = make("transformer"), options(graph), sentences(graph)
    expected = in_a_loop(model, graph).search(graph, some, decoding)
    steps = of_keras(model, graph)
    batch = steps.start(some, decoding)
    while not batch.state["done"].all():
        batch = steps.advance(batch)
    results, places = steps.finished(batch)
    assert steps.exchange(batch, places) is None
    for (sentence, candidates), own in zip(results, some, strict=True):
        assert sentence is own
        same(candidates, expected[sentence.number])


def test_a_batch_keeps_no_more_padding_than_it_needs() -> None:
    steps = of_keras(make("transformer"), "beam-constrained-coverage")
    decoding = options("beam").replace(max_length_factor=0.0)
    long, short = Sentence([5] * 22 + [2], 0), Sentence([6, 2], 1)
    batch = steps.start([long], decoding.replace(max_length_extra=2))
    for _ in range(2):
        batch = steps.advance(batch)
    batch = steps.exchange(batch, (), steps.start([short], decoding.replace(max_length_extra=9)))
    shapes = {name: list(value.shape) for name, value in batch.state.items()}
    assert shapes["state/memory/key_0"] == [2, 2, 24, 4]
    assert shapes["state/rows/key_0"] == [6, 2, 2, 4]
    assert shapes["carry/finished_tokens"] == [2, 3, 3]
    batch = steps.advance(batch)
    ((sentence, _),), places = steps.finished(batch)
    assert sentence is long
    batch = steps.exchange(batch, places)
    shapes = {name: list(value.shape) for name, value in batch.state.items()}
    assert shapes["state/memory/key_0"] == [1, 2, 4, 4]
    assert shapes["state/rows/key_0"] == [3, 2, 1, 4]
    assert shapes["carry/finished_tokens"] == [1, 3, 2]


def test_sentences_of_other_options_do_not_share_a_batch() -> None:
    steps, decoding = of_keras(make("gru"), "beam"), options("beam")
    one, other = (steps.start([Sentence([5, 2])], decoding.replace(beam_size=size)) for size in (3, 4))
    with pytest.raises(UserError, match=r"^beam_size: 3 and 4; a batch has the same options for all of its sentences$"):
        steps.exchange(one, (), other)


def test_nothing_is_done_before_it_is_done() -> None:
    steps = of_keras(make("gru"), "greedy")
    batch = steps.start([Sentence([5, 2])], options("greedy"))
    results, places = steps.finished(batch)
    assert (results, len(places)) == ([], 0)
    assert steps.exchange(batch, places) is batch


@pytest.mark.parametrize(
    ("strategy", "features", "message"),
    [
        ("sample", (), "'sample' has no steps; greedy and beam have"),
        ("ctc_beam", (), "'ctc_beam' has no steps; greedy and beam have"),
        ("beam", ("shortlist",), "'shortlist' has no steps, as its sentences begin and end together"),
        ("greedy", ("constrained", "joint"), "'joint' has no steps, as its sentences begin and end together"),
    ],
)
def test_what_has_no_steps_is_said(strategy: str, features: tuple[str, ...], message: str) -> None:
    assert step_problems(strategy, features) == [message]


@pytest.mark.parametrize(
    ("strategy", "features", "message"),
    [
        ("diverse", (), "'diverse' has no steps; greedy and beam have"),
        ("greedy", ("coverage",), "'coverage' ranks the hypotheses of a beam; 'greedy' has none"),
    ],
)
def test_steps_that_cannot_be_made_are_an_error(strategy: str, features: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=f"^decoding: {message}$"):
        make_steps(make("lstm"), strategy, features)


def test_what_each_tensor_s_axes_are() -> None:
    made = made_steps(make("transformer"), "beam-constrained-coverage").layouts
    layouts = {name: (layout.axes, layout.padding) for name, layout in made.items()}
    assert {name: layouts[name] for name in ("limit", "ids", "prefix", "state/rows/position")} == {
        "limit": (("sentences",), 0),
        "ids": (("rows", ""), 0),
        "prefix": (("sentences", "prefix"), 0),
        "state/rows/position": (("rows",), 0),
    }
    assert layouts["state/memory/key_1"] == (("sentences", "", "source", ""), 0)
    assert layouts["state/memory/mask"] == (("sentences", "source"), 0)
    assert layouts["state/rows/key_1"] == (("rows", "", "past", ""), 0)
    assert layouts["state/rows/coverage"] == (("rows", "source"), 1)
    assert layouts["history/tokens"] == (("rows", "time"), 1)
    assert layouts["carry/scores"] == (("sentences", ""), 0)
    assert layouts["carry/finished_tokens"] == (("sentences", "", "time"), 1)
    assert layouts["carry/finished_token_scores"] == (("sentences", "", "time"), 0)

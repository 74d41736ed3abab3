"""By how much a search preferred what it found, and how near a tie is where two forms part."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from keras_s2s.bundle import Decoding
from keras_s2s.export.checks import Check
from keras_s2s.export.forms import keras_form, keras_steps, programs_of
from keras_s2s.export.near_ties import Margins
from keras_s2s.export.replay import Replay
from keras_s2s.models import (
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.graph import Candidate, Candidates
from keras_s2s.runtime.steps import Steps

V, NOISE = 12, 0.04
BLOCKS: dict[str, Any] = {"layers": 1, "heads": 2, "feed_forward": 12}
KINDS: dict[str, dict[str, Any]] = {
    "transformer": {"encoder": TransformerEncoderConfig(**BLOCKS), "decoder": TransformerDecoderConfig(**BLOCKS)},
    "lstm": {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig()},
}
LIMITS: dict[str, Any] = {"max_length_factor": 1.5, "max_length_extra": 3}
SEARCHES = {
    "greedy": Decoding(strategy="greedy", beam_size=1, **LIMITS),
    "beam": Decoding(strategy="beam", beam_size=3, **LIMITS),
}
SENTENCES = [
    Sentence([*np.random.default_rng(number).integers(4, V, size=1 + number % 6).tolist(), 2], number)
    for number in range(80)
]
GRAPHS = pytest.mark.parametrize("graph", SEARCHES)
KINDS_OF_MODELS = pytest.mark.parametrize("kind", KINDS)


def made(kind: str) -> Any:
    """Weights are large enough that results are of several lengths."""
    keras.utils.set_random_seed(1)
    model = build(ModelConfig(source_vocabulary=V, target_vocabulary=V, width=8, **KINDS[kind]))
    rng = np.random.default_rng(5)
    model.set_weights([w + rng.normal(scale=0.8, size=w.shape) for w in model.get_weights()])
    model.head.bias.assign(np.where(np.arange(V) < 2, -30, np.array(model.head.bias)))
    return model


class Told(NamedTuple):
    """A search of a model, and what it and the same model with a little noise find for all sentences."""

    model: Any
    steps: Steps
    ours: list[Candidates]
    theirs: list[Candidates]

    def parted(self) -> list[tuple[int, Candidate, Candidate]]:
        """The sentences of which they find different things."""
        best = (
            (number, one[0], other[0]) for number, (one, other) in enumerate(zip(self.ours, self.theirs, strict=True))
        )
        return [(number, one, other) for number, one, other in best if one.tokens != other.tokens]


@pytest.fixture(scope="module")
def told() -> Callable[[str, str], Told]:
    models = {kind: made(kind) for kind in KINDS}

    @functools.cache
    def of(kind: str, graph: str) -> Told:
        """Both searches are one program; the noise is added to the bias of the head."""
        model = models[kind]
        form = keras_form(programs_of(model, [graph], groups=1), V)
        ours = form.search(graph, SENTENCES, SEARCHES[graph])
        bias = np.array(model.head.bias)
        model.head.bias.assign(bias + np.random.default_rng(9).uniform(-NOISE, NOISE, V))
        theirs = form.search(graph, SENTENCES, SEARCHES[graph])
        model.head.bias.assign(bias)
        return Told(model, keras_steps(model, graph, V), ours, theirs)

    return of


@KINDS_OF_MODELS
@GRAPHS
def test_what_a_replay_finds(told: Any, kind: str, graph: str) -> None:
    _, steps, ours, _ = told(kind, graph)
    for sentence, (best, *_) in zip(SENTENCES[:8], ours, strict=False):
        replay = Replay.of(steps, sentence, SEARCHES[graph])
        assert replay.found[0].tokens == best.tokens
        assert replay.margin(best) == 0
        for length in range(1, len(best.tokens) + 1):
            assert best.tokens[:length] in replay.kept[length - 1]
        assert all(len(kept) <= SEARCHES[graph].beam_size for kept in replay.kept)


@KINDS_OF_MODELS
@GRAPHS
def test_what_a_little_noise_changes_is_near(told: Any, kind: str, graph: str) -> None:
    """Noise of n moves a token's log-probability by at most 2 n, and a hypothesis's by as much for each token."""
    search = told(kind, graph)
    assert len(search.parted()) >= 3
    for number, one, other in search.parted():
        bound = 2 * NOISE * max(len(one.token_scores), len(other.token_scores))
        assert Replay.of(search.steps, SENTENCES[number], SEARCHES[graph]).margin(other) <= bound


@pytest.mark.parametrize(
    ("kind", "graph", "form"),
    [
        ("transformer", "greedy", "fp32"),
        ("transformer", "beam", "int8"),
        ("lstm", "greedy", "int8"),
        ("lstm", "beam", "fp32"),
    ],
)
def test_a_wrong_token_is_far(told: Any, kind: str, graph: str, form: str) -> None:
    """Written by a fault of a form in the middle, with the numbers of the right one."""
    search, given = told(kind, graph), []
    check = Check(graph, graph, SEARCHES[graph], SENTENCES)
    margins = Margins(search.model, lambda form, graph: search.steps)
    for number, (best, *_) in enumerate(search.ours[:12]):
        if place := len(best.tokens) // 2:
            wrong = (*best.tokens[:place], 4 + (best.tokens[place] - 3) % (V - 4), *best.tokens[place + 1 :])
            given.append(margins.between(form, check, number, best, Candidate(wrong, best.score - 1, best[2]), 0.01)[0])
    assert len(given) > 5
    assert np.median(given) > 0.3


@KINDS_OF_MODELS
def test_a_beam_that_dropped_a_result_early_is_near_by_its_own_numbers(told: Any, kind: str) -> None:
    """Neither the tokens where the results part nor their scores need be near each other."""
    search, asked = told(kind, "beam"), []
    check = Check("beam", "beam 3", SEARCHES["beam"], SENTENCES)

    def numbers(form: str, graph: str) -> Any:
        asked.append((form, graph))
        return search.steps

    with_steps, without = Margins(search.model, numbers), Margins(search.model, lambda form, graph: None)
    for number, one, other in search.parted()[:4]:
        near = 2 * NOISE * max(len(one.token_scores), len(other.token_scores))
        margin, _ = with_steps.between("int8", check, number, one, other, 0.0)
        assert margin <= min(near, without.between("int8", check, number, one, other, 0.0)[0])
    assert set(asked) == {("int8", "beam")}

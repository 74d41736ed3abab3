"""Ensembles of look-up tables."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.decoding import BeamSearch, Ensemble, Greedy, generate


class Member:
    """A table step whose scores come from a source of its own name."""

    def __init__(self, step: Any, name: str, vocabulary: int = 5) -> None:
        self.step, self.name, self.vocabulary = step, name, vocabulary

    def start(self, source: Any) -> Any:
        return self.step.start(source[self.name])

    def __call__(self, ids: Any, state: Any, attention: bool = False) -> Any:
        return self.step(ids, state)


@pytest.fixture
def random_tables(token_tables: Callable) -> Callable:
    def make(seed: int) -> Any:
        return token_tables(np.random.default_rng(seed).normal(scale=1.5, size=(6, 5, 5)))

    return make


@pytest.fixture
def found(table_step: Any) -> Callable:
    step, source = table_step

    def decode(tables: list[Any], strategy: Any, **options: Any) -> Any:
        members = [Member(step, str(i)) for i in range(len(tables))]
        sources = {str(i): source(table) for i, table in enumerate(tables)}
        return generate(Ensemble(members, **options), strategy, sources, tf.fill((6,), 5))

    return decode


def log_softmax(scores: np.ndarray) -> np.ndarray:
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("combine", ["linear", "log-linear"])
@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3, 2)])
def test_an_ensemble_decodes_like_the_table_of_its_mean(
    found: Callable, random_tables: Callable, token_tables: Callable, combine: str, strategy: Any
) -> None:
    one, other = random_tables(1), random_tables(2)
    p, q = log_softmax(one.scores), log_softmax(other.scores)
    mean = np.log(0.25 * np.exp(p) + 0.75 * np.exp(q)) if combine == "linear" else 0.25 * p + 0.75 * q
    expected = found([token_tables(mean)], strategy)
    both = found([one, other], strategy, weights=[1, 3], combine=combine)
    assert np.array_equal(both.tokens, expected.tokens)
    np.testing.assert_allclose(both.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(both.token_scores, expected.token_scores, atol=1e-5)


def test_an_ensemble_of_one_is_its_member(found: Callable, random_tables: Callable, eager: Callable) -> None:
    tables = random_tables(3)
    alone, expected = found([tables], BeamSearch(3, 3)), eager(BeamSearch(3, 3), tables, 5)
    assert np.array_equal(alone.tokens, expected.tokens)
    np.testing.assert_allclose(alone.scores, expected.scores, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": [1.0]}, r"ensemble: weights \[1.0\]: expected 2 positive numbers, one a model"),
        ({"weights": [1.0, 0.0]}, "expected 2 positive numbers"),
        ({"weights": [1.0, float("nan")]}, "expected 2 positive numbers"),
        ({"combine": "log"}, "ensemble: combine 'log': expected 'log-linear' or 'linear'"),
    ],
)
def test_wrong_options_are_refused(table_step: Any, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Ensemble([Member(table_step[0], "0")] * 2, **options)


def test_other_vocabularies_are_refused(table_step: Any) -> None:
    members = [Member(table_step[0], "0"), Member(table_step[0], "1", vocabulary=6)]
    with pytest.raises(UserError, match="ensemble: target vocabularies of 5, 6 ids; the models must have been trained"):
        Ensemble(members)
    with pytest.raises(UserError, match="ensemble: no models"):
        Ensemble([])

"""Linear-chain conditional random fields (Lafferty et al. 2001): all labellings, the best one, and those of a place.

Log-potentials (B, S, V, V): [b, s, i, j] is the score of label j at place s after label i at the place before. A chain
starts from BOS (1). A padded place is the identity, 0 on the diagonal and -1e9 elsewhere: the chain stays.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from keras import ops

from keras_s2s.dynamic.semiring import FLOOR, IMPOSSIBLE, best, log_sum, select
from keras_s2s.special_ids import BOS, PADDING
from keras_s2s.typing import Tensor


def log_partition(potentials: Tensor) -> Tensor:
    """log sum over labellings of exp(their scores): (B, S, V, V) -> (B,).

    The gradient, the probabilities of pairs, is exact and is not differentiated further.
    """
    return _log_partition(potentials)


@ops.custom_gradient
def _log_partition(potentials: Tensor) -> tuple[Tensor, Any]:
    forwards = _forwards(potentials, log_sum)

    def gradient(upstream: Tensor) -> Tensor:
        return _pairs(potentials, forwards) * upstream[:, None, None, None]

    return log_sum(forwards[:, -1]), gradient


def path_score(potentials: Tensor, labels: Tensor) -> Tensor:
    """The score of one labelling: (B, S, V, V), labels (B, S) -> (B,). Trailing labels 0 stay at the last other one."""
    labels = ops.cast(labels, "int32")
    places = ops.arange(ops.shape(labels)[1])[None, :]
    end = ops.sum(ops.cast(labels != PADDING, "int32"), axis=1, keepdims=True) - 1
    final = ops.sum(ops.where(places == end, labels, 0), axis=1, keepdims=True)
    final = ops.where(end < 0, BOS, final)
    labels = ops.where(labels != PADDING, labels, final)
    before = ops.pad(labels, ((0, 0), (1, 0)), constant_values=BOS)[:, :-1]
    vocabulary = potentials.shape[-1]
    into = ops.matmul(potentials, ops.one_hot(labels, vocabulary)[:, :, :, None])[:, :, :, 0]  # (B, S, V)
    return ops.sum(into * ops.one_hot(before, vocabulary), axis=(1, 2))


def viterbi(potentials: Tensor) -> tuple[Tensor, Tensor]:
    """The labelling of the highest score (Viterbi 1967), 0 at padded places: tokens (B, S); and its score (B,)."""
    reached = _forwards(potentials, partial(ops.max, axis=-1))  # (B, S, V)
    places = ops.arange(ops.shape(potentials)[1])
    score, final = best(reached[:, -1])  # (B,)

    def back(place: Tensor, label: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        into = ops.transpose(ops.take(potentials, place, axis=1), (0, 2, 1))  # (B, V to, V from)
        _, label = best(ops.take(reached, place - 1, axis=1) + select(into, label[:, None])[:, 0])
        return place - 1, label, ops.where((places == place - 1)[None, :], label[:, None], tokens)

    def unfinished(place: Tensor, label: Tensor, tokens: Tensor) -> Tensor:
        return place > 0

    tokens = final[:, None] + ops.zeros_like(places)
    tokens = ops.while_loop(unfinished, back, (ops.shape(potentials)[1] - 1, final, tokens))[2]
    padded = potentials[:, :, 0, 1] < IMPOSSIBLE
    return ops.where(padded, PADDING, tokens), score


def marginals(potentials: Tensor) -> Tensor:
    """p(label at a place), by forward and backward sums: (B, S, V, V) -> (B, S, V); a padded place repeats the last."""
    forwards = _forwards(potentials, log_sum)
    return ops.exp(forwards + _backwards(potentials) - log_sum(forwards[:, -1])[:, None, None])


def _pairs(potentials: Tensor, forwards: Tensor) -> Tensor:
    """p(label i at the place before, label j at this one), (B, S, V, V)."""
    before = ops.concatenate([_start(potentials)[:, None, :], forwards[:, :-1]], axis=1)  # (B, S, V)
    after = _backwards(potentials)[:, :, None, :]
    return ops.exp(before[:, :, :, None] + potentials + after - log_sum(forwards[:, -1])[:, None, None, None])


def _forwards(potentials: Tensor, reduce: Callable) -> Tensor:
    """Of all labellings that have label v at place s, the sum or the maximum up to there, (B, S, V)."""
    return _chain(ops.transpose(potentials, (0, 1, 3, 2)), _start(potentials), reduce)


def _backwards(potentials: Tensor) -> Tensor:
    """Of all that may follow label v at place s, the sum, (B, S, V); 0 at the last place."""
    nothing = ops.zeros_like(potentials[:, :1, 0])
    after = ops.flip(_chain(ops.flip(potentials, axis=1), nothing[:, 0], log_sum), axis=1)
    return ops.concatenate([after[:, 1:], nothing], axis=1)


def _start(potentials: Tensor) -> Tensor:
    """(B, V): all chains come from BOS."""
    at_start = ops.where(ops.arange(potentials.shape[-1]) == BOS, 0.0, FLOOR)
    return at_start[None, :] + ops.zeros_like(potentials[:, 0, 0])


def _chain(into: Tensor, start: Tensor, reduce: Callable) -> Tensor:
    """States (B, V) from place to place, all of them, (B, S, V): the last axis of `into` (B, S, V, V) is reduced."""
    length = ops.shape(into)[1]
    places = ops.arange(length)

    def advance(place: Tensor, state: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        state = reduce(state[:, None, :] + ops.take(into, place, axis=1))
        return place + 1, state, ops.where((places == place)[None, :, None], state[:, None, :], states)

    def unfinished(place: Tensor, state: Tensor, states: Tensor) -> Tensor:
        return place < length

    states = ops.zeros_like(into[:, :, 0])
    return ops.while_loop(unfinished, advance, (ops.zeros((), "int32"), start, states))[2]

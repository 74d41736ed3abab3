"""A step that is a look-up table, and searches over it, compiled once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import decoding
from keras_s2s.typing import State

# Ids 0, 1 and 3 are ordinary tokens for a table.
VOCABULARY, EOS = 5, 2


@dataclass(frozen=True)
class Tables:
    """An automaton a sentence: a node stands for all that the table knows of a history.

    Attributes:
        scores: (B, M, V), of the next token at each of M nodes.
        following: (B, M, V), the node that a token leads to. A search starts at node 0 and first reads BOS.
    """

    scores: np.ndarray
    following: np.ndarray

    def __getitem__(self, sentences: Any) -> "Tables":
        return Tables(self.scores[sentences], self.following[sentences])


def by_newest_token(scores: np.ndarray) -> Tables:
    """Tables (B, V, V) of which the newest token chooses the row."""
    following = np.broadcast_to(np.arange(VOCABULARY), scores.shape)
    return Tables(scores.astype("float32"), following.astype("int32"))


def by_history(tables: Sequence[Mapping[tuple[int, ...], Sequence[float]]]) -> Tables:
    """Tables of weights (probabilities up to a factor), of which the whole history, BOS left out, chooses the row.

    Histories that a table leaves out continue with EOS.
    """
    histories = sorted({history for table in tables for history in table})
    node = {history: 2 + i for i, history in enumerate(histories)}  # 0 is before BOS, 1 after any other history.
    only_end = np.eye(VOCABULARY)[EOS]
    weights = np.array([[only_end, only_end, *(table.get(h, only_end) for h in histories)] for table in tables])
    following = [[node[()]] * VOCABULARY, [1] * VOCABULARY]
    following += [[node.get((*h, v), 1) for v in range(VOCABULARY)] for h in histories]
    with np.errstate(divide="ignore"):
        scores = np.log(weights)
    return Tables(scores.astype("float32"), np.broadcast_to(np.array(following, "int32"), weights.shape))


class TableStep:
    """Moves each row to its next node and looks up what follows there."""

    vocabulary = VOCABULARY

    def start(self, source: Mapping[str, Any]) -> State:
        zeros = tf.zeros_like(source["following"][:, 0, 0])
        return {"memory": dict(source), "rows": {"position": zeros, "node": zeros}}

    def __call__(self, ids: tf.Tensor, state: State, attention: bool = False) -> tuple[decoding.StepOutput, State]:
        memory, rows = state["memory"], state["rows"]
        shape = tf.shape(memory["scores"])
        per_sentence = tf.shape(ids)[0] // shape[0]
        first = tf.range(tf.shape(ids)[0]) // per_sentence * shape[1]  # (R,)
        place = tf.stack([first + rows["node"], ids[:, 0]], axis=1)
        node = tf.gather_nd(tf.reshape(memory["following"], (-1, VOCABULARY)), place)
        scores = tf.gather(tf.reshape(memory["scores"], (-1, VOCABULARY)), first + node)[:, None]
        scores.set_shape((None, 1, VOCABULARY))
        after = {"position": rows["position"] + 1, "node": node}
        return decoding.StepOutput(scores, tf.reduce_logsumexp(scores, axis=-1)), {"memory": memory, "rows": after}


def search(
    strategy: Any, scores: tf.Tensor, following: tf.Tensor, limit: tf.Tensor, processors: Sequence[Any] = ()
) -> decoding.Hypotheses:
    source = {"scores": scores, "following": following}
    return decoding.generate(TableStep(), strategy, source, limit, processors)


_TABLES = [
    tf.TensorSpec((None, None, VOCABULARY), tf.float32),
    tf.TensorSpec((None, None, VOCABULARY), tf.int32),
    tf.TensorSpec((None,), tf.int32),
]
_PENALTY = [tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.float32)]
_SIZES = [tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int32)]


@tf.function(input_signature=[*_TABLES, *_PENALTY], autograph=False)
def _greedy(scores: Any, following: Any, limit: Any, exponent: Any, base: Any) -> decoding.Hypotheses:
    strategy = decoding.Greedy(scorer=decoding.Scorer(decoding.LengthPenalty(exponent, base)))
    return search(strategy, scores, following, limit)


@tf.function(input_signature=[*_TABLES, *_PENALTY, *_SIZES], autograph=False)
def _beam(
    scores: Any, following: Any, limit: Any, exponent: Any, base: Any, size: Any, n_best: Any
) -> decoding.Hypotheses:
    strategy = decoding.BeamSearch(size, n_best, decoding.Scorer(decoding.LengthPenalty(exponent, base)))
    return search(strategy, scores, following, limit)


@dataclass(frozen=True)
class Found:
    """Hypotheses as plain arrays: tokens and token_scores (B, N, T), lengths, scores and finished (B, N)."""

    tokens: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray
    token_scores: np.ndarray
    finished: np.ndarray

    def texts(self, sentence: int = 0) -> list[tuple[int, ...]]:
        """Tokens of those hypotheses that there are, best first."""
        rows = zip(self.tokens[sentence], self.lengths[sentence], self.scores[sentence], strict=True)
        return [tuple(tokens[:n].tolist()) for tokens, n, score in rows if score > -np.inf]


Decode = Callable[..., Found]


def _found(hypotheses: decoding.Hypotheses) -> Found:
    return Found(*(np.asarray(part) for part in hypotheses))


def _limits(tables: Tables, limit: Any) -> np.ndarray:
    return np.broadcast_to(np.asarray(limit, "int32"), len(tables.scores))


@pytest.fixture(scope="session")
def greedy() -> Decode:
    """`greedy(tables, limit, penalty)`, compiled."""

    def decode(tables: Tables, limit: Any, penalty: decoding.LengthPenalty | None = None) -> Found:
        penalty = penalty or decoding.LengthPenalty()
        limits = _limits(tables, limit)
        return _found(_greedy(tables.scores, tables.following, limits, penalty.exponent, penalty.base))

    return decode


@pytest.fixture(scope="session")
def beam() -> Decode:
    """`beam(tables, limit, size, n_best, penalty)`, compiled; its options are tensors."""

    def decode(
        tables: Tables, limit: Any, size: int, n_best: int = 1, penalty: decoding.LengthPenalty | None = None
    ) -> Found:
        penalty = penalty or decoding.LengthPenalty()
        limits = _limits(tables, limit)
        options = (penalty.exponent, penalty.base, size, n_best)
        return _found(_beam(tables.scores, tables.following, limits, *options))

    return decode


@pytest.fixture(scope="session")
def eager() -> Decode:
    """`eager(strategy, tables, limit, processors)`: operator by operator, with the options as plain numbers."""

    def decode(strategy: Any, tables: Tables, limit: Any, processors: Sequence[Any] = ()) -> Found:
        limits = tf.constant(_limits(tables, limit))
        return _found(search(strategy, tf.constant(tables.scores), tf.constant(tables.following), limits, processors))

    return decode


@pytest.fixture(scope="session")
def history_tables() -> Callable[..., Tables]:
    """`by_history` for several sentences: one mapping for each."""
    return lambda *tables: by_history(tables)


@pytest.fixture(scope="session")
def token_tables() -> Callable[[np.ndarray], Tables]:
    """`by_newest_token`."""
    return by_newest_token


@pytest.fixture(scope="session")
def table_step() -> Any:
    """The step itself and the source that it starts from."""
    return TableStep(), lambda tables: {
        "scores": tf.constant(tables.scores),
        "following": tf.constant(tables.following),
    }

"""The step contract: `step(ids (R, 1), state) -> (StepOutput, state)`, all that a search knows of a model."""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

Tensor = Any
State = dict[str, dict[str, Tensor]]


class StepOutput(NamedTuple):
    """What a step says of the next token of each row.

    Attributes:
        scores: (R, V), not normalised.
        log_normalizer: (R,); the log-probability of token v is `scores[:, v] - log_normalizer`.
    """

    scores: Tensor
    log_normalizer: Tensor


Step = Callable[[Tensor, State], tuple[StepOutput, State]]


def model_step(model: Any) -> Step:
    """The step of a model: its decoder on one id a row, then its head."""

    def step(ids: Tensor, state: State) -> tuple[StepOutput, State]:
        hidden, state = model.decoder(ids, state)
        logits = model.head(hidden)[:, 0]  # (R, V)
        return StepOutput(logits, ops.logsumexp(logits, axis=-1)), state

    return step


def initial_state(model: Any, source_ids: Tensor) -> State:
    """Encodes sources (B, S) into a state of B rows."""
    return model.bridge(model.encoder(source_ids))


def repeat_rows(state: State, sentences: Tensor, times: Tensor) -> State:
    """Makes K rows of each of B: row r is one of sentence r // K. Memory stays as it is."""
    return select_rows(state, ops.arange(sentences * times) // times)


def select_rows(state: State, rows: Tensor) -> State:
    """Row r of the new state is row `rows[r]` of the old one. Memory stays as it is."""
    return {**state, "rows": {name: ops.take(value, rows, axis=0) for name, value in state["rows"].items()}}


def select(x: Tensor, index: Tensor) -> Tensor:
    """Picks along the second axis, sentence by sentence: x (B, N, ...), index (B, M) -> (B, M, ...)."""
    shape = tuple(ops.shape(x))
    first = ops.arange(shape[0])[:, None] * shape[1]
    return ops.take(ops.reshape(x, (-1, *shape[2:])), first + index, axis=0)

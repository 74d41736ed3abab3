"""The search: `start`, `advance`, `finish` over a step, with a strategy that chooses among continuations.

`generate` is a loop over `advance`; a server may call it a step at a time. A sentence's result depends on that
sentence alone: what is finished is frozen, whatever its batch-mates still do.
"""

from typing import Any, NamedTuple, Protocol

from keras import ops

from keras_s2s.decoding.step import State, Step, StepOutput, select_rows

BOS, EOS = 1, 2
Tensor = Any
Carry = dict[str, Tensor]


class Search(NamedTuple):
    """A search between two steps.

    Attributes:
        ids: (R, 1), the newest token of each row.
        state: the step's state, R rows.
        limit: (B,), the most tokens a hypothesis may have before EOS.
        length: (B,), tokens made so far.
        done: (B,), whether a sentence's result is final.
        carry: what the strategy keeps.
    """

    ids: Tensor
    state: State
    limit: Tensor
    length: Tensor
    done: Tensor
    carry: Carry


class Hypotheses(NamedTuple):
    """N results of each sentence, best first.

    Attributes:
        tokens: (B, N, T) without EOS, padded with 0.
        lengths: (B, N).
        scores: (B, N), normalised log-probabilities; -inf where there are fewer than N.
    """

    tokens: Tensor
    lengths: Tensor
    scores: Tensor


class Choice(NamedTuple):
    """What a strategy decided.

    Attributes:
        ids: (R, 1), each row's next token.
        parents: (R,), the rows that they continue, or None where each continues its own.
        done: (B,), whether a sentence's result is final now.
        carry: what the strategy keeps.
    """

    ids: Tensor
    parents: Tensor | None
    done: Tensor
    carry: Carry


class Strategy(Protocol):
    """Chooses among continuations. A frozen dataclass of its options."""

    def start(self, state: State, sentences: Tensor) -> tuple[State, Carry]:
        """Makes of a state of B rows one of R, and the first carry."""

    def choose(self, search: Search, output: StepOutput) -> Choice:
        """Continues hypotheses. Those at their limit can only end, and what is done stays as it is."""

    def finish(self, carry: Carry) -> Hypotheses:
        """Gives the results."""


def start(strategy: Strategy, state: State, limit: Tensor) -> Search:
    """Begins a search.

    Args:
        strategy: how to choose.
        state: of B rows, before any token.
        limit: (B,) int32, at least 0.
    """
    sentences = ops.shape(limit)[0]
    state, carry = strategy.start(state, sentences)
    rows = ops.shape(state["rows"]["position"])[0]
    length = ops.zeros_like(limit)
    return Search(ops.full((rows, 1), BOS, dtype="int32"), state, limit, length, length > 0, carry)


def advance(step: Step, strategy: Strategy, search: Search) -> Search:
    """Makes one token more for every row."""
    output, state = step(search.ids, search.state)
    choice = strategy.choose(search, output)
    if choice.parents is not None:
        state = select_rows(state, choice.parents)
    return Search(choice.ids, state, search.limit, search.length + 1, choice.done, choice.carry)


def finish(strategy: Strategy, search: Search) -> Hypotheses:
    """Gives the results of a search whose sentences are all done."""
    return strategy.finish(search.carry)

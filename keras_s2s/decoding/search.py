"""The search: `start`, `advance`, `finish` over a step, with a strategy that chooses among continuations.

`generate` is a loop over `advance`; a server may call it a step at a time. A sentence's result depends on that
sentence alone: what is finished is frozen, whatever its batch-mates still do.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from keras import ops

from keras_s2s.decoding.step import LogNormalizer, Step, StepOutput, WhenWanted, select_rows, sentences_of
from keras_s2s.special_ids import BOS, EOS
from keras_s2s.typing import State, Tensor

Carry = dict[str, Tensor]


class Search(NamedTuple):
    """A search between two steps.

    Attributes:
        ids: (R, 1), the newest token of each row.
        state: the step's state, R rows.
        sentence: (B,), which of the sources that the search began with each sentence is; what is given a source is
            looked up by it.
        limit: (B,), the most tokens a hypothesis may have before EOS.
        length: (B,), tokens made so far.
        done: (B,), whether a sentence's result is final.
        history: `tokens` (R, T), BOS first, and `token_scores` (R, T), their log-probabilities, 0 for BOS.
        carry: what the strategy keeps, B rows.
    """

    ids: Tensor
    state: State
    sentence: Tensor
    limit: Tensor
    length: Tensor
    done: Tensor
    history: dict[str, Tensor]
    carry: Carry


class Hypotheses(NamedTuple):
    """N results of each sentence, best first.

    Attributes:
        tokens: (B, N, T) without EOS, padded with 0.
        lengths: (B, N).
        scores: (B, N), of the scorer; -inf where there are fewer than N.
        token_scores: (B, N, T), the log-probability of each token and, after the last one, of EOS.
        finished: (B, N), whether the search ended it by itself; one that was cut at its limit is not finished.
    """

    tokens: Tensor
    lengths: Tensor
    scores: Tensor
    token_scores: Tensor
    finished: Tensor


class Choice(NamedTuple):
    """The choice of a strategy at one step.

    Attributes:
        tokens: (R,), each row's next token; padding where the row is finished.
        token_scores: (R,), their log-probabilities.
        parents: (R,), the rows that they continue, or None where each continues its own.
        done: (B,), whether a sentence's result is final now.
        carry: what the strategy keeps, B rows.
    """

    tokens: Tensor
    token_scores: Tensor
    parents: Tensor | None
    done: Tensor
    carry: Carry


class _NextScores(NamedTuple):
    scores: Tensor
    log_normalizer: LogNormalizer
    end: Tensor
    coverage: Tensor | None = None


class NextScores(WhenWanted, _NextScores):
    """The scores of every next token of each row.

    Attributes:
        scores: (R, V), not normalised; -inf where a processor forbids a token.
        log_normalizer: (R,), as `StepOutput` has it.
        end: (R,), the score of EOS before any processor, for rows at their limit.
        coverage: (R, S) or None; see `StepOutput`.
    """


class Strategy(Protocol):
    """Chooses among continuations. A frozen dataclass of its options.

    Attributes:
        n_best: N, how many results a sentence has; it may be a scalar tensor.
        branches: whether a row may continue another than its own.
    """

    branches: ClassVar[bool]

    @property
    def n_best(self) -> int | Tensor: ...

    def start(self, state: State, sentences: Tensor) -> tuple[State, Carry]:
        """Makes of a state of B rows one of R, and the first carry."""

    def choose(self, search: Search, following: NextScores) -> Choice:
        """Continues hypotheses. Those at their limit can only end, and what is done stays as it is."""

    def finish(self, search: Search) -> Hypotheses:
        """Gives the results; those of a sentence that is not done mean nothing yet."""


class Processor(Protocol):
    """Changes scores before a strategy chooses. A frozen dataclass of its options."""

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """Scores (R, V) as the processors before left them, and the model's own -> (R, V)."""


def start(strategy: Strategy, state: State, limit: Tensor) -> Search:
    """Begins a search.

    Args:
        strategy: how to choose.
        state: of B rows, before any token.
        limit: (B,) int32, at least 0.
    """
    sentences = ops.shape(limit)[0]
    state, carry = strategy.start(state, sentences)
    rows = sentences_of(state)
    ids = ops.full((rows, 1), BOS, dtype="int32")
    length = ops.zeros_like(limit)
    history = {"tokens": ids, "token_scores": ops.zeros((rows, 1), dtype="float32")}
    return Search(ids, state, ops.arange(sentences), limit, length, length > 0, history, carry)


def advance(step: Step, strategy: Strategy, search: Search, processors: Sequence[Processor] = ()) -> Search:
    """Makes one token more for every row.

    Args:
        step: scores continuations.
        strategy: chooses among them.
        search: as `start` or the last `advance` gave it.
        processors: change the scores, one after the other.
    """
    return follow(*extend(step, strategy, search, processors))


def extend(
    step: Step, strategy: Strategy, search: Search, processors: Sequence[Processor] = ()
) -> tuple[Search, Tensor | None]:
    """`advance` but for the state, whose rows are still those that were continued.

    Returns:
        The search, and the rows of its state, (R,), with which `follow` makes it whole, or None if it is.
    """
    output, state = step(search.ids, search.state)
    choice = strategy.choose(search, processed(output, processors, search))
    history = search.history
    if choice.parents is not None:
        history = {name: ops.take(value, choice.parents, axis=0) for name, value in history.items()}
    made = {"tokens": choice.tokens, "token_scores": choice.token_scores}
    history = {name: ops.concatenate([value, made[name][:, None]], axis=1) for name, value in history.items()}
    ids = choice.tokens[:, None]
    extended = search._replace(
        ids=ids, state=state, length=search.length + 1, done=choice.done, history=history, carry=choice.carry
    )
    return extended, choice.parents


def follow(search: Search, parents: Tensor | None = None) -> Search:
    """Gives each row the state of the row that it continues."""
    return search if parents is None else search._replace(state=select_rows(search.state, parents))


def finish(strategy: Strategy, search: Search) -> Hypotheses:
    """Gives the results of a search; those of a sentence that is not done mean nothing yet."""
    return strategy.finish(search)


class _Once:
    """The log-normaliser of each row, (R,), computed once for all who want it for certain."""

    def __init__(self, output: StepOutput) -> None:
        self._output, self._known = output, None

    def __call__(self, wanted: bool | Tensor) -> Tensor:
        found = self._known
        if found is None:
            found = ops.reshape(self._output.log_normalizer_if(wanted), (-1,))
        if wanted is True:
            self._known = found
        return found


def processed(output: StepOutput, processors: Sequence[Processor], search: Search) -> NextScores:
    """The scores that a strategy is given: a step's (R, T, V) as (R·T, V), changed by processors one after the other.

    Args:
        output: of a step.
        processors: change the scores.
        search: of R·T rows, each as old as its place.
    """
    scores = ops.reshape(output.scores, (-1, ops.shape(output.scores)[-1]))
    model = NextScores(scores, _Once(output), scores[:, EOS], output.coverage)
    for processor in processors:
        scores = processor(scores, model, search)
    return model._replace(scores=scores)

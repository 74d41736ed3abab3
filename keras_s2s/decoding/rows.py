"""Rows that never branch: the base of greedy search and sampling."""

from dataclasses import dataclass
from typing import ClassVar

from keras import ops

from keras_s2s.decoding.scoring import Scorer
from keras_s2s.decoding.search import Carry, Choice, Hypotheses, NextScores, Search
from keras_s2s.decoding.step import repeat_rows
from keras_s2s.layers.fused import select
from keras_s2s.special_ids import EOS, PADDING
from keras_s2s.typing import State, Tensor


@dataclass(frozen=True)
class IndependentRows:
    """N rows a sentence, each of which takes the token that `pick` gives.

    Args:
        n_best: N; it may be a scalar tensor.
        scorer: computes the scores that are reported; it changes no choice.
    """

    branches: ClassVar[bool] = False
    n_best: int | Tensor = 1
    scorer: Scorer = Scorer()

    def start(self, state: State, sentences: Tensor) -> tuple[State, Carry]:
        """Nothing but BOS."""
        shape = (sentences,) if self._is_one() else (sentences, self.n_best)
        return state if self._is_one() else repeat_rows(state, sentences, self.n_best), {
            "lengths": ops.zeros(shape, dtype="int32"),
            "scores": ops.zeros(shape, dtype="float32"),
            "ended": ops.zeros(shape, dtype="bool"),
            "cut": ops.zeros(shape, dtype="bool"),
        }

    def pick(self, search: Search, following: NextScores) -> Tensor:
        """The token of each row, (R,) int32."""
        raise NotImplementedError

    def gain(self, following: NextScores, token: Tensor, at_limit: Tensor) -> Tensor:
        """The log-probability of the token of each row, (R,), which is EOS for rows at their limit."""
        score = ops.squeeze(select(following.scores, token[:, None]), axis=1)
        return ops.where(at_limit, following.end, score) - following.log_normalizer

    def choose(self, search: Search, following: NextScores) -> Choice:
        """The token picked, EOS at the limit, padding after the end."""
        carry, ended = search.carry, self._flat(search.carry["ended"])
        at_limit = self._of_rows(search.length >= search.limit, search)
        picked = self.pick(search, following)
        token = ops.where(at_limit, EOS, picked)
        score = ops.where(ended, 0.0, self.gain(following, token, at_limit))
        ends = ops.logical_or(ended, token == EOS)
        goes_on = ops.logical_not(ends)
        is_cut = ops.logical_and(at_limit, ops.logical_not(ops.logical_or(ended, picked == EOS)))
        is_longer = self._by_sentence(goes_on, search)
        after = {
            "lengths": carry["lengths"] + ops.cast(is_longer, "int32"),
            "scores": carry["scores"] + self._by_sentence(score, search),
            "ended": self._by_sentence(ends, search),
            "cut": ops.logical_or(carry["cut"], self._by_sentence(is_cut, search)),
        }
        done = after["ended"] if self._is_one() else ops.all(after["ended"], axis=1)
        return Choice(ops.where(goes_on, token, PADDING), score, None, done, after)

    def finish(self, search: Search) -> Hypotheses:
        """All rows of a sentence, best first."""
        lengths, finished = search.carry["lengths"], ops.logical_not(search.carry["cut"])
        scores = self.scorer(search.carry["scores"], lengths + 1)
        tokens, token_scores = (
            self._by_sentence(search.history[name][:, 1:], search) for name in ("tokens", "token_scores")
        )
        if self._is_one():
            return Hypotheses(*(x[:, None] for x in (tokens, lengths, scores, token_scores, finished)))
        scores, order = ops.top_k(scores, self.n_best)
        tokens, lengths, token_scores, finished = (select(x, order) for x in (tokens, lengths, token_scores, finished))
        return Hypotheses(tokens, lengths, scores, token_scores, finished)

    def _is_one(self) -> bool:
        """Whether rows are sentences."""
        return isinstance(self.n_best, int) and self.n_best == 1

    def _of_rows(self, values: Tensor, search: Search) -> Tensor:
        """(B,) -> (R,)."""
        if self._is_one():
            return values
        return ops.take(values, ops.arange(ops.shape(search.ids)[0]) // self.n_best)

    def _flat(self, values: Tensor) -> Tensor:
        """(B, N) -> (R,)."""
        return values if self._is_one() else ops.reshape(values, (-1,))

    def _by_sentence(self, values: Tensor, search: Search) -> Tensor:
        """(R, ...) -> (B, N, ...), or (B, ...) where rows are sentences."""
        if self._is_one():
            return values
        return ops.reshape(values, (ops.shape(search.limit)[0], self.n_best, *tuple(ops.shape(values))[1:]))

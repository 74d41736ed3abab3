"""What greedy search and sampling share: rows that go on each for itself, and never branch."""

from dataclasses import dataclass

from keras import ops

from keras_s2s.decoding.scoring import Scorer
from keras_s2s.decoding.search import EOS, PADDING, Carry, Choice, Hypotheses, NextScores, Search, Tensor
from keras_s2s.decoding.step import State, repeat_rows
from keras_s2s.layers.fused import select


@dataclass(frozen=True)
class IndependentRows:
    """N rows a sentence, each of which takes the token that `pick` gives.

    Args:
        n_best: N; it may be a scalar tensor.
        scorer: computes the scores that are reported; it changes no choice.
    """

    n_best: int | Tensor = 1
    scorer: Scorer = Scorer()

    def start(self, state: State, sentences: Tensor) -> tuple[State, Carry]:
        """Nothing but BOS."""
        rows = sentences * self.n_best
        return state if self._is_one() else repeat_rows(state, sentences, self.n_best), {
            "lengths": ops.zeros((rows,), dtype="int32"),
            "scores": ops.zeros((rows,), dtype="float32"),
            "ended": ops.zeros((rows,), dtype="bool"),
        }

    def pick(self, search: Search, following: NextScores) -> Tensor:
        """The token of each row, (R,) int32."""
        raise NotImplementedError

    def choose(self, search: Search, following: NextScores) -> Choice:
        """The token picked, EOS at the limit, padding after the end."""
        carry = search.carry
        at_limit = self._of_rows(search.length >= search.limit, search)
        token = ops.where(at_limit, EOS, self.pick(search, following))
        score = ops.squeeze(select(following.scores, token[:, None]), axis=1)
        score = ops.where(at_limit, following.end, score) - following.log_normalizer
        score = ops.where(carry["ended"], 0.0, score)
        goes_on = ops.logical_and(ops.logical_not(carry["ended"]), token != EOS)
        after = {
            "lengths": carry["lengths"] + ops.cast(goes_on, "int32"),
            "scores": carry["scores"] + score,
            "ended": ops.logical_not(goes_on),
        }
        ended = after["ended"]
        done = ended if self._is_one() else ops.all(self._by_sentence(ended, search), axis=1)
        return Choice(ops.where(goes_on, token, PADDING), score, None, done, after)

    def finish(self, search: Search) -> Hypotheses:
        """All rows of a sentence, best first."""
        carry = search.carry
        scores = self.scorer(carry["scores"], carry["lengths"] + 1)
        found = [*(search.history[name][:, 1:] for name in ("tokens", "token_scores")), carry["lengths"], scores]
        tokens, token_scores, lengths, scores = (self._by_sentence(x, search) for x in found)
        if self._is_one():
            return Hypotheses(tokens, lengths, scores, token_scores)
        scores, order = ops.top_k(scores, self.n_best)
        return Hypotheses(select(tokens, order), select(lengths, order), scores, select(token_scores, order))

    def _is_one(self) -> bool:
        """Whether rows are sentences."""
        return isinstance(self.n_best, int) and self.n_best == 1

    def _of_rows(self, values: Tensor, search: Search) -> Tensor:
        """(B,) -> (R,)."""
        if self._is_one():
            return values
        return ops.take(values, ops.arange(ops.shape(search.ids)[0]) // self.n_best)

    def _by_sentence(self, values: Tensor, search: Search) -> Tensor:
        """(R, ...) -> (B, N, ...)."""
        return ops.reshape(values, (ops.shape(search.limit)[0], self.n_best, *tuple(ops.shape(values))[1:]))

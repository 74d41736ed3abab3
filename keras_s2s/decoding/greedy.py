"""Greedy search."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_s2s.decoding.scoring import LengthPenalty
from keras_s2s.decoding.search import BOS, EOS, Carry, Choice, Hypotheses, Search
from keras_s2s.decoding.step import State, StepOutput, select

Tensor = Any


@dataclass(frozen=True)
class Greedy:
    """Takes the best token of each step. One hypothesis a sentence, so R = B.

    Args:
        penalty: normalises the score that is reported; it changes no choice.
    """

    penalty: LengthPenalty = LengthPenalty()

    def start(self, state: State, sentences: Tensor) -> tuple[State, Carry]:
        """Nothing but BOS."""
        return state, {
            "tokens": ops.full((sentences, 1), BOS, dtype="int32"),
            "lengths": ops.zeros((sentences,), dtype="int32"),
            "scores": ops.zeros((sentences,), dtype="float32"),
        }

    def choose(self, search: Search, output: StepOutput) -> Choice:
        """The best token, EOS at the limit, padding after the end."""
        carry = search.carry
        best = ops.cast(ops.top_k(output.scores, 1)[1][:, 0], "int32")
        token = ops.where(search.length >= search.limit, EOS, best)
        score = select(output.scores, token[:, None])[:, 0] - output.log_normalizer
        goes_on = ops.logical_and(ops.logical_not(search.done), token != EOS)
        ids = ops.where(goes_on, token, 0)[:, None]
        carry = {
            "tokens": ops.concatenate([carry["tokens"], ids], axis=1),
            "lengths": carry["lengths"] + ops.cast(goes_on, "int32"),
            "scores": carry["scores"] + ops.where(search.done, 0.0, score),
        }
        return Choice(ids, None, ops.logical_not(goes_on), carry)

    def finish(self, carry: Carry) -> Hypotheses:
        """N = 1."""
        scores = self.penalty(carry["scores"], carry["lengths"] + 1)
        return Hypotheses(carry["tokens"][:, None, 1:], carry["lengths"][:, None], scores[:, None])

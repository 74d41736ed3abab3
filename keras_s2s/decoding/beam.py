"""Beam search."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_s2s.decoding.scoring import LengthPenalty
from keras_s2s.decoding.search import BOS, EOS, Carry, Choice, Hypotheses, Search
from keras_s2s.decoding.step import State, StepOutput, repeat_rows, select

Tensor = Any


@dataclass(frozen=True)
class BeamSearch:
    """Keeps the K best open hypotheses of a sentence, and apart from them the K best finished ones.

    Of the 2K best continuations, those among the first K that end are finished: their normalised score is compared
    with those of the other finished ones, and they are never extended. The best K that do not end stay open. A sentence
    is done when K hypotheses are finished or the limit is reached, where every open one must end.

    Args:
        size: K, at least 1; it may be a scalar tensor, and be larger than the vocabulary.
        n_best: N, from 1 to K; it may be a scalar tensor.
        penalty: ranks the finished ones.
    """

    size: int | Tensor = 4
    n_best: int | Tensor = 1
    penalty: LengthPenalty = LengthPenalty()

    def start(self, state: State, sentences: Tensor) -> tuple[State, Carry]:
        """K rows a sentence, of which the first alone is alive, so that the first step does not choose one K times."""
        shape = (sentences, self.size)
        first = ops.arange(self.size)[None, :] + ops.zeros((sentences, 1), dtype="int32") == 0
        return repeat_rows(state, sentences, self.size), {
            "tokens": ops.full((*shape, 1), BOS, dtype="int32"),
            "scores": ops.where(first, 0.0, -float("inf")),
            "finished_tokens": ops.full((*shape, 1), BOS, dtype="int32"),
            "finished_lengths": ops.zeros(shape, dtype="int32"),
            "finished_scores": ops.full(shape, -float("inf"), dtype="float32"),
        }

    def choose(self, search: Search, output: StepOutput) -> Choice:
        """Finishes and continues hypotheses."""
        carry = search.carry
        scores, parents, tokens = self._candidates(search, output)  # (B, 2K), best first
        ends = tokens == EOS
        finished = self._finish_candidates(search, scores, parents, ends)

        open_scores, order = ops.top_k(ops.where(ends, -float("inf"), scores), self.size)  # (B, K)
        parents = select(parents, order)
        tokens = select(tokens, order)
        history = select(carry["tokens"], parents)
        sentence = ops.arange(ops.shape(parents)[0])[:, None]
        carry = {
            "tokens": ops.concatenate([history, tokens[:, :, None]], axis=2),
            "scores": open_scores,
            **finished,
        }
        count = ops.sum(ops.cast(finished["finished_scores"] > -float("inf"), "int32"), axis=1)
        done = ops.logical_or(count >= self.size, search.length >= search.limit)
        rows = ops.reshape(sentence * self.size + parents, (-1,))
        return Choice(ops.reshape(tokens, (-1, 1)), rows, ops.logical_or(done, search.done), carry)

    def _candidates(self, search: Search, output: StepOutput) -> tuple[Tensor, Tensor, Tensor]:
        """The 2K best continuations of a sentence: log-probability, hypothesis and token, (B, 2K) each."""
        sentences = ops.shape(search.limit)[0]
        vocabulary = output.scores.shape[1]
        # The 2K best of a row suffice, and normalising after that spares a pass over V.
        width = ops.minimum(2 * self.size, vocabulary)
        best, tokens = ops.top_k(output.scores, width)  # (R, W)
        tokens = ops.cast(tokens, "int32")
        sentence = ops.arange(ops.shape(best)[0]) // self.size
        at_limit = ops.take(search.length >= search.limit, sentence)[:, None]  # (R, 1)
        only_end = ops.where(ops.arange(width)[None, :] == 0, output.scores[:, EOS : EOS + 1], -float("inf"))
        best = ops.where(at_limit, only_end, best)
        tokens = ops.where(at_limit, EOS, tokens)

        before = ops.reshape(search.carry["scores"], (-1, 1)) - output.log_normalizer[:, None]
        total = ops.reshape(before + best, (sentences, -1))  # (B, K·W)
        total, index = ops.top_k(total, 2 * self.size)  # (B, 2K)
        index = ops.cast(index, "int32")
        tokens = select(ops.reshape(tokens, (sentences, -1)), index)
        return total, index // width, tokens

    def _finish_candidates(self, search: Search, scores: Tensor, parents: Tensor, ends: Tensor) -> Carry:
        """Merges candidates that end into the K best finished hypotheses."""
        carry, size = search.carry, self.size
        may_end = ops.logical_and(ends[:, :size], ops.logical_not(search.done)[:, None])
        length = search.length[:, None] + 1
        ended = ops.where(may_end, self.penalty(scores[:, :size], length), -float("inf"))  # (B, K)
        history = select(carry["tokens"], parents[:, :size])  # (B, K, T)
        best, order = ops.top_k(ops.concatenate([carry["finished_scores"], ended], axis=1), size)
        tokens = ops.concatenate([carry["finished_tokens"], history], axis=1)  # (B, 2K, T)
        lengths = ops.concatenate([carry["finished_lengths"], ops.zeros_like(parents[:, :size]) + length - 1], axis=1)
        tokens = select(tokens, order)
        return {
            "finished_tokens": ops.pad(tokens, ((0, 0), (0, 0), (0, 1))),
            "finished_lengths": select(lengths, order),
            "finished_scores": best,
        }

    def finish(self, carry: Carry) -> Hypotheses:
        """The N best finished hypotheses."""
        n = self.n_best
        lengths, scores = carry["finished_lengths"][:, :n], carry["finished_scores"][:, :n]
        return Hypotheses(carry["finished_tokens"][:, :n, 1:], lengths, scores)

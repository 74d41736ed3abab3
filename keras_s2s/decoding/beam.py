"""Beam search."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from keras import ops

from keras_s2s.decoding.scoring import Scorer
from keras_s2s.decoding.search import Carry, Choice, Hypotheses, NextScores, Search
from keras_s2s.decoding.step import repeat_rows
from keras_s2s.layers.fused import select, top_k
from keras_s2s.special_ids import BOS, EOS
from keras_s2s.typing import State, Tensor

_IMPOSSIBLE = -float("inf")


class Beam(NamedTuple):
    """The beams of B sentences before a step.

    Attributes:
        history: `tokens` and `token_scores`, (B, K, T).
        length: (B,), tokens made so far.
        limit: (B,).
        done: (B,).
        carry: what `BeamSearch` keeps.
    """

    history: dict[str, Tensor]
    length: Tensor
    limit: Tensor
    done: Tensor
    carry: Carry


class Candidates(NamedTuple):
    """Continuations of a sentence, best first: (B, 2K) each.

    Attributes:
        scores: log-probability of the whole.
        gains: that of the token alone.
        parents: the hypothesis that is continued, from 0 to K - 1.
        tokens: with what.
    """

    scores: Tensor
    gains: Tensor
    parents: Tensor
    tokens: Tensor


class Endings(NamedTuple):
    """Hypotheses of a sentence that may end: (B, K) each.

    Attributes:
        scores: log-probability of the whole, EOS counted.
        gains: that of EOS alone.
        parents: the hypothesis that ends, from 0 to K - 1.
        may_end: whether it does.
        is_cut: whether the limit alone ends it.
    """

    scores: Tensor
    gains: Tensor
    parents: Tensor
    may_end: Tensor
    is_cut: Tensor


@dataclass(frozen=True)
class BeamSearch:
    """Keeps the K best open hypotheses of a sentence, and apart from them the K best finished ones.

    Of the 2K best continuations, those among the first K that end are finished: their score is compared with those of
    the other finished ones, and they are never extended. The best K that do not end stay open. A sentence is done when
    `patience · K` hypotheses have been finished (Kasai et al. 2022), or at the limit, where every open one must end.

    Args:
        size: K, at least 1; it may be a scalar tensor, and be larger than the vocabulary.
        n_best: N, from 1 to K; it may be a scalar tensor.
        scorer: ranks the finished ones.
        patience: above 0; it may be a scalar tensor.
        exhaustive: a sentence is done only when no open hypothesis can become one of the N best any more, which
            `Scorer.bound` proves; it may be a scalar tensor.
    """

    branches: ClassVar[bool] = True
    size: int | Tensor = 4
    n_best: int | Tensor = 1
    scorer: Scorer = Scorer()
    patience: float | Tensor = 1.0
    exhaustive: bool | Tensor = False

    def start(self, state: State, sentences: Tensor) -> tuple[State, Carry]:
        """K rows a sentence."""
        return repeat_rows(state, sentences, self.size), self.first(sentences)

    def first(self, sentences: Tensor) -> Carry:
        """Of K hypotheses the first alone is alive, so that the first step does not choose one K times."""
        shape = (sentences, self.size)
        is_first = ops.arange(self.size)[None, :] + ops.zeros((sentences, 1), dtype="int32") == 0
        return {
            "scores": ops.where(is_first, 0.0, _IMPOSSIBLE),
            "finished_count": ops.zeros((sentences,), dtype="int32"),
            "finished_tokens": ops.full((*shape, 1), BOS, dtype="int32"),
            "finished_token_scores": ops.zeros((*shape, 1), dtype="float32"),
            "finished_lengths": ops.zeros(shape, dtype="int32"),
            "finished_scores": ops.full(shape, _IMPOSSIBLE, dtype="float32"),
            "finished_cut": ops.zeros(shape, dtype="bool"),
        }

    def choose(self, search: Search, following: NextScores) -> Choice:
        """Finishes and continues hypotheses."""
        sentences = ops.shape(search.limit)[0]
        history = {name: split_rows(value, sentences, self.size) for name, value in search.history.items()}
        beam = Beam(history, search.length, search.limit, search.done, search.carry)
        kept, done, carry = self.continue_beam(beam, following)
        first = ops.arange(sentences)[:, None] * self.size
        tokens, gains, parents = (ops.reshape(x, (-1,)) for x in (kept.tokens, kept.gains, first + kept.parents))
        return Choice(tokens, gains, parents, done, carry)

    def continue_beam(
        self, beam: Beam, following: NextScores, handicap: Tensor | None = None
    ) -> tuple[Candidates, Tensor, Carry]:
        """One step of B beams.

        Args:
            beam: the beams.
            following: of the R = B·K rows.
            handicap: (R, V), subtracted where continuations are chosen, and nowhere else.

        Returns:
            The K continuations that stay open, (B, K) each, which sentences are done, and the carry.
        """
        found = self._candidates(beam, following, handicap)
        ends, at_limit = found.tokens == EOS, (beam.length >= beam.limit)[:, None]
        # The first K that do not end, in their order. At the limit there is none.
        place = ops.arange(2 * self.size, dtype="float32")[None, :]
        behind = ops.cast(2 * self.size, "float32")
        _, order = ops.top_k(ops.where(ends, -place - behind, -place), self.size)
        scores = ops.where(ops.logical_or(ends, at_limit), _IMPOSSIBLE, found.scores)
        kept = Candidates(*(select(x, order) for x in (scores, *found[1:])))
        finished = self._finish(beam, following, self._endings(beam, following, found, ends, at_limit))
        carry = {"scores": kept.scores, **finished}
        return kept, self._done(beam, carry), carry

    def _candidates(self, beam: Beam, following: NextScores, handicap: Tensor | None) -> Candidates:
        """The best continuations, as if there were no limit."""
        sentences = ops.shape(beam.limit)[0]
        ranked = following.scores if handicap is None else following.scores - handicap
        # The 2K best of a row suffice, and normalising after that spares a pass over V.
        width = ops.minimum(2 * self.size, ops.shape(ranked)[1])
        best, tokens = top_k(ranked, width)  # (R, W)
        scores = best if handicap is None else select(following.scores, tokens)
        before = ops.reshape(beam.carry["scores"], (-1, 1))
        total, index = ops.top_k(
            _of_sentence(before + (best - following.log_normalizer[:, None]), sentences), 2 * self.size
        )
        index = ops.cast(index, "int32")
        gains = select(_of_sentence(scores - following.log_normalizer[:, None], sentences), index)
        parents = index // width
        if handicap is not None:
            total = select(beam.carry["scores"], parents) + gains
        return Candidates(total, gains, parents, select(_of_sentence(tokens, sentences), index))

    def _endings(self, beam: Beam, following: NextScores, found: Candidates, ends: Tensor, at_limit: Tensor) -> Endings:
        """Those of the first K candidates that end; at the limit all K hypotheses, in their order."""
        scores, gains, parents, ends = (x[:, : self.size] for x in (*found[:3], ends))
        own = ops.arange(self.size)[None, :]
        # How often a hypothesis would have ended without a limit.
        would_end = ops.logical_and(ends, scores > _IMPOSSIBLE)
        same = ops.equal(own[:, :, None], parents[:, None, :])  # (B, K, K)
        times = ops.sum(ops.cast(ops.logical_and(same, would_end[:, None, :]), "int32"), axis=2)
        forced = _of_sentence(following.end - following.log_normalizer, ops.shape(beam.limit)[0])  # (B, K)
        scores = ops.where(at_limit, beam.carry["scores"] + forced, scores)
        may_end = ops.logical_and(ops.logical_or(ends, at_limit), ops.logical_not(beam.done)[:, None])
        return Endings(
            scores,
            ops.where(at_limit, forced, gains),
            ops.where(at_limit, own, parents),
            ops.logical_and(may_end, scores > _IMPOSSIBLE),
            ops.logical_and(at_limit, times == 0),
        )

    def _finish(self, beam: Beam, following: NextScores, new: Endings) -> Carry:
        """Merges hypotheses that end into the K best finished ones."""
        carry, size, sentences = beam.carry, self.size, ops.shape(beam.limit)[0]
        covered = following.coverage
        if covered is not None:
            covered = select(split_rows(covered, sentences, size), new.parents)  # (B, K, S)
        ended = self.scorer(new.scores, beam.length[:, None] + 1, covered)
        ended = ops.where(new.may_end, ended, _IMPOSSIBLE)  # (B, K)
        best, order = ops.top_k(ops.concatenate([carry["finished_scores"], ended], axis=1), size)

        def merged(old: Tensor, value: Tensor) -> Tensor:
            return select(ops.concatenate([old, value], axis=1), order)

        none = ops.zeros((sentences, size), dtype="int32")
        tokens, token_scores = (
            merged(carry[f"finished_{name}"], select(beam.history[name], new.parents))  # (B, K, T)
            for name in ("tokens", "token_scores")
        )
        last = merged(ops.cast(none, "float32"), new.gains)[:, :, None]
        return {
            "finished_count": carry["finished_count"] + ops.sum(ops.cast(new.may_end, "int32"), axis=1),
            "finished_scores": best,
            "finished_lengths": merged(carry["finished_lengths"], none + beam.length[:, None]),
            "finished_cut": merged(carry["finished_cut"], new.is_cut),
            "finished_tokens": ops.pad(tokens, ((0, 0), (0, 0), (0, 1))),
            "finished_token_scores": ops.concatenate([token_scores, last], axis=2),
        }

    def _done(self, beam: Beam, carry: Carry) -> Tensor:
        enough = ops.cast(ops.ceil(self.patience * ops.cast(self.size, "float32")), "int32")
        can_win = self.scorer.bound(carry["scores"], beam.length[:, None] + 1, beam.limit[:, None])
        last = ops.take(carry["finished_scores"], ops.minimum(self.n_best, self.size) - 1, axis=1)
        proven = ops.max(can_win, axis=1) <= last
        enough_finished = ops.logical_and(ops.logical_not(self.exhaustive), carry["finished_count"] >= enough)
        done = ops.logical_or(enough_finished, ops.logical_and(self.exhaustive, proven))
        done = ops.logical_or(done, beam.length >= beam.limit)
        return ops.logical_or(done, beam.done)

    def finish(self, search: Search) -> Hypotheses:
        """The N best finished hypotheses."""
        return best_finished(search.carry, self.n_best)


def best_finished(carry: Carry, n_best: int | Tensor) -> Hypotheses:
    """The first N of the finished hypotheses, which are in order."""
    tokens, lengths, scores, token_scores, cut = (
        carry[f"finished_{name}"][:, :n_best] for name in ("tokens", "lengths", "scores", "token_scores", "cut")
    )
    return Hypotheses(tokens[:, :, 1:], lengths, scores, token_scores[:, :, 1:], ops.logical_not(cut))


def split_rows(values: Tensor, sentences: Tensor, size: Tensor) -> Tensor:
    """(B·K, T) -> (B, K, T)."""
    return ops.reshape(values, (sentences, size, -1))


def _of_sentence(values: Tensor, sentences: Tensor) -> Tensor:
    """(B·K, ...) -> (B, K·...)."""
    return ops.reshape(values, (sentences, -1))

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
        at_limit = beam.length >= beam.limit
        free, forced = self._candidates(beam, following, handicap), self._ends(beam, following)
        found = Candidates(*(ops.where(at_limit[:, None], x, y) for x, y in zip(forced, free, strict=True)))
        ends = found.tokens == EOS
        is_cut = ops.logical_and(at_limit[:, None], ops.logical_not(self._would_end(free, found)))
        finished = self._finish(beam, following, found, ends, is_cut)
        # The first K that do not end, in their order.
        place = ops.arange(2 * self.size)[None, :]
        _, order = ops.top_k(-ops.where(ends, place + 2 * self.size, place), self.size)
        scores = ops.where(select(ends, order), _IMPOSSIBLE, select(found.scores, order))
        kept = Candidates(scores, *(select(x, order) for x in found[1:]))
        carry = {"scores": kept.scores, **finished}
        return kept, self._done(beam, carry), carry

    def _candidates(self, beam: Beam, following: NextScores, handicap: Tensor | None) -> Candidates:
        """The best continuations of hypotheses that are below their limit."""
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

    def _ends(self, beam: Beam, following: NextScores) -> Candidates:
        """All K hypotheses, ended; behind them K that are impossible."""
        gains = _of_sentence((following.end - following.log_normalizer)[:, None], ops.shape(beam.limit)[0])
        total, order = ops.top_k(beam.carry["scores"] + gains, self.size)
        order = ops.cast(order, "int32")
        none = ops.zeros_like(order)
        scores = ops.concatenate([total, ops.cast(none, "float32") + _IMPOSSIBLE], axis=1)
        gains = ops.concatenate([select(gains, order), ops.cast(none, "float32")], axis=1)
        parents = ops.concatenate([order, none], axis=1)
        return Candidates(scores, gains, parents, ops.zeros_like(parents) + EOS)

    def _would_end(self, free: Candidates, forced: Candidates) -> Tensor:
        """Whether the search would have ended the first K of `forced` without a limit: (B, K)."""
        first = [x[:, : self.size] for x in free]
        scores, _, parents, tokens = first
        ends = ops.logical_and(tokens == EOS, scores > _IMPOSSIBLE)
        same = ops.equal(forced.parents[:, : self.size, None], parents[:, None, :])  # (B, K, K)
        return ops.any(ops.logical_and(same, ends[:, None, :]), axis=2)

    def _finish(self, beam: Beam, following: NextScores, found: Candidates, ends: Tensor, is_cut: Tensor) -> Carry:
        """Merges candidates that end into the K best finished hypotheses."""
        carry, size = beam.carry, self.size
        scores, parents = found.scores[:, :size], found.parents[:, :size]
        may_end = ops.logical_and(ends[:, :size], ops.logical_not(beam.done)[:, None])
        may_end = ops.logical_and(may_end, scores > _IMPOSSIBLE)
        covered = following.coverage
        if covered is not None:
            covered = select(split_rows(covered, ops.shape(beam.limit)[0], size), parents)  # (B, K, S)
        ended = self.scorer(scores, beam.length[:, None] + 1, covered)
        ended = ops.where(may_end, ended, _IMPOSSIBLE)  # (B, K)
        best, order = ops.top_k(ops.concatenate([carry["finished_scores"], ended], axis=1), size)

        gains = found.gains[:, :size, None]
        new = {name: select(value, parents) for name, value in beam.history.items()}  # (B, K, T)
        new["tokens"] = ops.concatenate([new["tokens"], ops.zeros_like(parents[:, :, None])], axis=2)
        new["token_scores"] = ops.concatenate([new["token_scores"], gains], axis=2)
        lengths = ops.zeros_like(parents) + beam.length[:, None]
        merged = {
            "lengths": ops.concatenate([carry["finished_lengths"], lengths], axis=1),
            "cut": ops.concatenate([carry["finished_cut"], is_cut], axis=1),
        }
        for name, value in new.items():
            old = ops.pad(carry[f"finished_{name}"], ((0, 0), (0, 0), (0, 1)))
            merged[name] = ops.concatenate([old, value], axis=1)
        return {
            "finished_count": carry["finished_count"] + ops.sum(ops.cast(may_end, "int32"), axis=1),
            "finished_scores": best,
            **{f"finished_{name}": select(value, order) for name, value in merged.items()},
        }

    def _done(self, beam: Beam, carry: Carry) -> Tensor:
        enough = ops.cast(ops.ceil(self.patience * ops.cast(self.size, "float32")), "int32")
        can_win = self.scorer.bound(carry["scores"], beam.length[:, None] + 1, beam.limit[:, None])
        last = ops.min(
            ops.where(ops.arange(self.size)[None, :] < self.n_best, carry["finished_scores"], float("inf")), axis=1
        )
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
    """(B·K, ...) -> (B, K, ...)."""
    return ops.reshape(values, (sentences, size, *tuple(ops.shape(values))[1:]))


def _of_sentence(values: Tensor, sentences: Tensor) -> Tensor:
    """(B·K, W) -> (B, K·W)."""
    return ops.reshape(values, (sentences, -1))

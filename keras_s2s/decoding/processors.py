"""Processors: what changes scores before a strategy chooses. Options may be scalar tensors.

A forbidden token has the score -inf. Processors never hinder a hypothesis at its limit from ending; `ForcedPrefix`
comes last and `EndIfNothingElse` before it, so that something is always allowed.
"""

from dataclasses import dataclass

from keras import ops

from keras_s2s.decoding.search import NextScores, Search
from keras_s2s.special_ids import BOS, EOS, PADDING, UNKNOWN
from keras_s2s.typing import Tensor

_FORBIDDEN = -float("inf")


@dataclass(frozen=True)
class RepetitionPenalty:
    """Multiplies the log-probability of every token that was written before (Keskar et al. 2019).

    It needs log-probabilities, so the log-normaliser is computed at every step, whoever reads scores.

    Args:
        factor: above 1 discourages, 1 does nothing.
    """

    factor: float | Tensor

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        written = search.history["tokens"]  # (R, T)
        places = _places(written)
        before = ops.take(ops.reshape(scores, (-1,)), places[:, 0] * ops.shape(scores)[1] + places[:, 1])
        # So written, a factor of 1 changes no bit.
        kept = (1.0 - self.factor) * model.log_normalizer
        kept = ops.reshape(kept[:, None] + ops.zeros(ops.shape(written)), (-1,))
        return ops.scatter_update(scores, places, kept + self.factor * before)


@dataclass(frozen=True)
class Suppress:
    """Forbids sequences of tokens; one of a single token forbids that token.

    Args:
        sequences: (M, L) int32, at least one, each at the right end of its row after padding.
    """

    sequences: Tensor

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        length = ops.shape(self.sequences)[1]
        written = search.history["tokens"]
        rows = ops.shape(written)[0]
        # The newest L tokens, the one to come included.
        padded = ops.concatenate([ops.zeros((rows, length), dtype="int32"), written, written[:, :1]], axis=1)
        newest = padded[:, -length:][:, None, :]  # (R, 1, L)
        is_next = ops.arange(length) == length - 1
        fits = ops.logical_or(self.sequences == PADDING, ops.logical_or(is_next, ops.equal(newest, self.sequences)))
        misses = ops.sum(ops.cast(ops.logical_not(fits), "int32"), axis=-1)  # (R, M)
        return _forbid(scores, ops.where(misses == 0, self.sequences[:, -1], PADDING))


@dataclass(frozen=True)
class NoPadding:
    """Never lets padding or BOS be written. No training teaches a model to, but sampling tries everything."""

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        return ops.where(_column(scores) < EOS, _FORBIDDEN, scores)


@dataclass(frozen=True)
class NoUnknown:
    """Never lets the unknown token be written.

    Args:
        allowed: lets it, after all; an option of exported graphs.
    """

    allowed: bool | Tensor = False

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        forbidden = ops.logical_and(_column(scores) == UNKNOWN, ops.logical_not(self.allowed))
        return ops.where(forbidden, _FORBIDDEN, scores)


@dataclass(frozen=True)
class MinimumLength:
    """Forbids EOS before a number of tokens.

    Args:
        tokens: EOS not counted.
    """

    tokens: int | Tensor

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        too_short = _of_rows(search.length < self.tokens, scores)
        return ops.where(ops.logical_and(too_short, _column(scores) == EOS), _FORBIDDEN, scores)


@dataclass(frozen=True)
class NoRepeatNGram:
    """Forbids a token that would complete an n-gram that is there already (Paulus et al. 2018).

    Args:
        n: its length; 0 forbids nothing.
    """

    n: int | Tensor

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        written = search.history["tokens"]  # (R, T)
        length = ops.shape(written)[1]
        place = ops.arange(length)
        # Does the token d before j equal the one d before the token to come, for d = 1 to n - 1?
        distance = place[:, None] + 1
        before = ops.take(written, ops.maximum(place[None, :] - distance, 0), axis=1)  # (R, T, T): distance, j
        newest = ops.take(written, ops.maximum(length - distance, 0)[:, 0], axis=1)[:, :, None]
        differs = ops.logical_or(ops.not_equal(before, newest), place[None, :] < distance)
        misses = ops.sum(ops.cast(ops.logical_and(differs, distance < self.n), "int32"), axis=1)  # (R, T)
        # BOS is none: a row that began later than others has it in all places before its first token.
        repeats = ops.logical_and(misses == 0, ops.logical_and(self.n > 0, written > BOS))
        return _forbid(scores, ops.where(repeats, written, PADDING))


@dataclass(frozen=True)
class EndIfNothingElse:
    """Allows EOS where nothing is allowed."""

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        nothing = ops.max(scores[:, EOS:], axis=1, keepdims=True) == _FORBIDDEN
        return ops.where(ops.logical_and(nothing, _column(scores) == EOS), model.end[:, None], scores)


@dataclass(frozen=True)
class ForcedPrefix:
    """Makes a sentence begin with given tokens, whatever else is forbidden.

    Their scores are the model's own. BOS among them stands for any token that begins a word: one that is not forbidden,
    if there is one.

    Args:
        tokens: of each source, (B, P) int32, P at least 1, padded with 0. No longer than the sentence's limit.
        begins_word: (V,) bool, what BOS stands for; None where it does not occur.
    """

    tokens: Tensor
    begins_word: Tensor | None = None

    def __call__(self, scores: Tensor, model: NextScores, search: Search) -> Tensor:
        """See `Processor`."""
        tokens = ops.take(self.tokens, search.sentence, axis=0)
        longest = ops.shape(tokens)[1]
        place = ops.equal(search.length[:, None], ops.arange(longest))  # (B, P)
        token = ops.sum(ops.where(place, tokens, 0), axis=1)
        is_forced = ops.logical_and(search.length < longest, token != PADDING)
        token, is_forced = _of_rows(token, scores), _of_rows(is_forced, scores)  # (R, 1)
        forced = ops.where(ops.equal(_column(scores), token), model.scores, _FORBIDDEN)
        if self.begins_word is not None:
            forced = ops.where(token == BOS, _only(self.begins_word, scores, model), forced)
        return ops.where(is_forced, forced, scores)


def _only(chosen: Tensor, scores: Tensor, model: NextScores) -> Tensor:
    """Forbids all tokens but those chosen (V,); if these are all forbidden, none of them is."""
    allowed = ops.where(chosen[None, :], scores, _FORBIDDEN)
    nothing = ops.max(allowed, axis=1, keepdims=True) == _FORBIDDEN
    return ops.where(ops.logical_and(nothing, chosen[None, :]), model.scores, allowed)


def _column(scores: Tensor) -> Tensor:
    """The token of each column of scores (R, V): (1, V)."""
    return ops.arange(ops.shape(scores)[1], dtype="int32")[None, :]


def _of_rows(values: Tensor, scores: Tensor) -> Tensor:
    """Values of sentences (B,) for each of their rows: (R, 1)."""
    rows = ops.shape(scores)[0]
    return ops.take(values, ops.arange(rows) // (rows // ops.shape(values)[0]), axis=0)[:, None]


def _places(tokens: Tensor) -> Tensor:
    """Row and column in the scores of each token (R, N): (R·N, 2)."""
    row = ops.arange(ops.shape(tokens)[0], dtype="int32")[:, None] + ops.zeros_like(tokens)
    return ops.reshape(ops.stack([row, tokens], axis=-1), (-1, 2))


def _forbid(scores: Tensor, tokens: Tensor) -> Tensor:
    """Forbids tokens (R, N) of each row; padding may stand among them, since nobody may write it."""
    places = _places(tokens)
    return ops.scatter_update(scores, places, ops.full((ops.shape(places)[0],), _FORBIDDEN, dtype="float32"))

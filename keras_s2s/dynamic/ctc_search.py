"""Prefix beam search over CTC logits."""

from typing import NamedTuple

from keras import ops

from keras_s2s.dynamic.semiring import FLOOR, IMPOSSIBLE, log_add, select
from keras_s2s.special_ids import FIRST_LABEL, PADDING
from keras_s2s.typing import Tensor


class _Beam(NamedTuple):
    """The K best prefixes of each sentence.

    Attributes:
        tokens: (B, K, S), padded with 0.
        length: (B, K).
        last: (B, K), the last token, 0 of an empty prefix.
        label: (B, K), the log-probability of the alignments that end with the last token.
        blank: (B, K), of those that end with a blank.
        begins: (B, K, K), whether the row's prefix begins (or is) the column's.
    """

    tokens: Tensor
    length: Tensor
    last: Tensor
    label: Tensor
    blank: Tensor
    begins: Tensor

    @property
    def total(self) -> Tensor:
        """(B, K), the log-probability of a prefix being the whole labelling so far."""
        return log_add(self.label, self.blank)


def prefix_beam_search(logits: Tensor, size: int | Tensor, n_best: int | Tensor = 1) -> tuple[Tensor, Tensor, Tensor]:
    """The most probable labellings, alignments summed (Graves 2012, section 7.5.3; Hannun et al. 2014, algorithm 1).

    After each frame the K most probable prefixes remain. A prefix that is reached in several ways is one prefix, with
    the sum of its probabilities. With a K that holds all prefixes the result is exact.

    Args:
        logits: (B, S, C), the blank last, padded frames certainly blank. Ids 0, 1 and 2 are never produced.
        size: K, at least 1; it may be a scalar tensor, and larger than C.
        n_best: N, from 1 to K; it may be a scalar tensor.

    Returns:
        Tokens (B, N, S) padded with 0, lengths (B, N) and log-probabilities (B, N), best first; -inf, and no tokens,
        where a sentence has fewer than N labellings.
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    frames = ops.shape(logits)[1]

    def advance(frame: Tensor, *beam: Tensor) -> tuple:
        return frame + 1, *_advance(ops.take(log_probabilities, frame, axis=1), _Beam(*beam), size)

    def unfinished(frame: Tensor, *beam: Tensor) -> Tensor:
        return frame < frames

    first = _start(ops.shape(logits)[0], size, frames)
    beam = _Beam(*ops.while_loop(unfinished, advance, (ops.zeros((), "int32"), *first))[1:])
    scores = beam.total[:, :n_best]
    found = scores > IMPOSSIBLE
    tokens = ops.where(found[:, :, None], beam.tokens[:, :n_best], PADDING)
    return tokens, ops.where(found, beam.length[:, :n_best], 0), ops.where(found, scores, -float("inf"))


def _start(batch: Tensor, size: int | Tensor, frames: Tensor) -> _Beam:
    """The empty prefix, and K - 1 impossible rows, of which none begins another."""
    nothing = ops.zeros((batch, size), "int32")
    first = ops.arange(size)[None, :] + nothing == 0
    return _Beam(
        tokens=ops.zeros((batch, size, frames), "int32"),
        length=nothing,
        last=nothing,
        label=ops.full((batch, size), FLOOR, "float32"),
        blank=ops.where(first, 0.0, FLOOR),
        begins=ops.logical_and(first[:, :, None], first[:, None, :]),
    )


def _advance(frame: Tensor, beam: _Beam, size: int | Tensor) -> _Beam:
    """Log-probabilities (B, C) of a frame make another beam of a beam."""
    of_last = select(frame, beam.last)  # (B, K)
    # A repeated label is a new one only after a blank.
    follows_same = beam.last[:, :, None] == beam.last[:, None, :]
    child = ops.logical_and(beam.begins, beam.length[:, None, :] == beam.length[:, :, None] + 1)  # (B, parent, child)
    from_parent = ops.where(follows_same, beam.blank[:, :, None], beam.total[:, :, None])
    from_parent = ops.max(ops.where(child, from_parent, FLOOR), axis=1) + of_last  # at most one is its parent

    label = log_add(beam.label + of_last, from_parent)
    blank = beam.total + frame[:, -1:]
    longer = _extensions(frame, beam, child)  # (B, K, V)
    labels = longer.shape[2]
    candidates = ops.concatenate([log_add(label, blank), ops.reshape(longer, (ops.shape(frame)[0], -1))], axis=1)
    scores, chosen = ops.top_k(candidates, size)
    chosen = ops.cast(chosen, "int32")  # (B, K)

    stays = chosen < size
    source = ops.where(stays, chosen, (chosen - size) // labels)
    token = chosen - size - source * labels + FIRST_LABEL
    length = select(beam.length, source) + ops.where(stays, 0, 1)
    is_last = ops.arange(ops.shape(beam.tokens)[2])[None, None, :] == length[:, :, None] - 1
    is_new = ops.logical_and(is_last, ops.logical_not(stays)[:, :, None])
    tokens = ops.where(is_new, token[:, :, None], select(beam.tokens, source))
    last = ops.where(stays, select(beam.last, source), token)
    return _Beam(
        tokens=tokens,
        length=length,
        last=last,
        label=ops.where(stays, select(label, source), scores),
        blank=ops.where(stays, select(blank, source), FLOOR),
        begins=_begins(select(beam.begins, source), source, tokens, length, last),
    )


def _extensions(frame: Tensor, beam: _Beam, child: Tensor) -> Tensor:
    """The log-probability of each prefix with each label after it, (B, K, V), unless it is in the beam already."""
    ids = ops.arange(FIRST_LABEL, frame.shape[1] - 1)
    is_last = beam.last[:, :, None] == ids  # (B, K, V)
    longer = ops.where(is_last, beam.blank[:, :, None], beam.total[:, :, None]) + frame[:, None, FIRST_LABEL:-1]
    known = ops.matmul(ops.cast(child, "float32"), ops.cast(is_last, "float32"))
    return ops.where(known > 0, FLOOR, longer)


def _begins(rows: Tensor, source: Tensor, tokens: Tensor, length: Tensor, last: Tensor) -> Tensor:
    """One prefix begins another if its source began the other's source, and its last token is there too."""
    both = select(ops.transpose(rows, (0, 2, 1)), source)  # (B, column, row)
    place = ops.maximum(length - 1, 0)
    there = select(ops.transpose(tokens, (0, 2, 1)), place)  # (B, row, column)
    same = ops.logical_or(there == last[:, :, None], length[:, :, None] == 0)
    return ops.logical_and(ops.transpose(both, (0, 2, 1)), same)

"""Connectionist temporal classification (Graves et al. 2006): all alignments of a labelling, and the best one.

Logits (B, S, C) have the blank as their last class. A padded frame has 0 at the blank and -1e9 elsewhere: it is blank
for certain and changes nothing. Ids 0, 1 and 2 (padding, BOS, EOS) are no labels.
"""

from typing import Any

from keras import ops

from keras_s2s.dynamic.semiring import FLOOR, IMPOSSIBLE, best, log_add, log_sum, select, sum_in_order
from keras_s2s.special_ids import EOS, FIRST_LABEL, PADDING
from keras_s2s.typing import Tensor


def log_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """log p(labels), the sum over all alignments (Graves et al. 2006, section 4.1): (B, S, C), (B, T) -> (B,).

    Labels are padded with 0 at their end; an EOS is padding too. The gradient is exact and is not differentiated
    further. Labels that do not fit the frames (each takes one, and one more where it equals the label before) have a
    finite logarithm of about -1e9 and no gradient.
    """
    return _log_probability(ops.cast(logits, "float32"), ops.cast(labels, "int32"))


@ops.custom_gradient
def _log_probability(logits: Tensor, labels: Tensor) -> tuple[Tensor, Any]:
    log_probabilities = ops.log_softmax(logits, axis=-1)  # (B, S, C)
    batch, frames, classes = tuple(ops.shape(logits))
    states, count = _states(labels, logits.shape[-1] - 1)  # (B, L), (B,)
    places = ops.reshape(ops.arange(batch * frames), (batch, frames, 1)) * classes + states[:, None, :]  # (B, S, L)
    emissions = ops.take(ops.reshape(log_probabilities, (-1,)), places)
    real = ops.arange(ops.shape(states)[1])[None, :] <= 2 * count[:, None]
    emissions = ops.where(real[:, None, :], emissions, FLOOR)

    through = _through(emissions, states, count, logits.shape[-1] - 1)  # (B, S, L)
    value = log_sum(through[:, 0])

    def gradient(upstream: Tensor) -> tuple[Tensor, None]:
        occupied = ops.reshape(ops.softmax(through, axis=-1), (-1,))
        by_class = ops.segment_sum(occupied, ops.reshape(places, (-1,)), batch * frames * classes)
        change = ops.reshape(by_class, (batch, frames, classes)) - ops.exp(log_probabilities)
        return change * ops.where(value > IMPOSSIBLE, upstream, 0.0)[:, None, None], None

    return value, gradient


def _states(labels: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """The states of an alignment, a blank before and after each label, (B, 2T+1); and how many labels there are."""
    real = ops.logical_and(labels != PADDING, labels != EOS)
    labels = ops.where(real, labels, blank)
    pairs = ops.stack([ops.full_like(labels, blank), labels], axis=2)  # (B, T, 2)
    states = ops.reshape(pairs, (-1, 2 * ops.shape(labels)[1]))
    return ops.pad(states, ((0, 0), (0, 1)), constant_values=blank), ops.sum(ops.cast(real, "int32"), axis=1)


def _through(emissions: Tensor, states: Tensor, count: Tensor, blank: int) -> Tensor:
    """The log-probability of all alignments that are in state l at frame s, (B, S, L).

    What comes after a state is what comes before it with frames and states in reverse: both are made by one loop.
    """
    length = ops.shape(states)[1]
    before = ops.pad(states, ((0, 0), (2, 0)), constant_values=blank)[:, :-2]
    jumps = ops.logical_and(states != blank, states != before)  # from two states before
    jumps_reversed = ops.pad(ops.flip(jumps, axis=1), ((0, 0), (2, 0)), constant_values=False)[:, :-2]
    jumps = ops.concatenate([jumps, jumps_reversed], axis=0)
    both = ops.concatenate([emissions, ops.flip(emissions, axis=(1, 2))], axis=0)  # (2B, S, L)
    first = ops.concatenate([ops.zeros_like(count), length - 1 - 2 * count], axis=0)[:, None]
    start = ops.where(ops.arange(length)[None, :] == first, 0.0, FLOOR)

    def frame(reached: Tensor, emission: Tensor) -> tuple[Tensor, Tensor]:
        moved = ops.pad(reached, ((0, 0), (2, 0)), constant_values=FLOOR)
        reached = log_add(reached, moved[:, 1:-1], ops.where(jumps, moved[:, :-2], FLOOR)) + emission
        return reached, reached

    _, reached = ops.scan(frame, start, ops.transpose(both, (1, 0, 2)))  # (S, 2B, L)
    forwards, backwards = ops.split(ops.transpose(reached, (1, 0, 2)), 2, axis=0)
    return forwards + ops.flip(backwards, axis=(1, 2)) - emissions


def greedy(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The labels of the most probable alignment: repeated labels are merged, then blanks dropped.

    Returns:
        Tokens (B, S) padded with 0, lengths (B,), and the log-probability of that one alignment (B,).
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    scores, classes = best(log_probabilities[:, :, FIRST_LABEL:])
    classes = classes + FIRST_LABEL  # (B, S)
    before = ops.pad(classes, ((0, 0), (1, 0)))[:, :-1]
    kept = ops.logical_and(classes != logits.shape[-1] - 1, classes != before)

    frames = ops.arange(ops.shape(classes)[1])[None, :]
    lengths = ops.sum(ops.cast(kept, "int32"), axis=1)
    # Kept frames first, each kind in its order.
    rank = ops.where(kept, ops.shape(classes)[1], 0) - frames
    _, order = ops.top_k(ops.cast(rank, "float32"), ops.shape(classes)[1])
    tokens = ops.where(frames < lengths[:, None], select(classes, ops.cast(order, "int32")), PADDING)
    return tokens, lengths, sum_in_order(scores)

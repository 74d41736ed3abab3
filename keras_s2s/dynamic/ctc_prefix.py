"""CTC probabilities of growing prefixes, for decoding with attention and CTC together (Watanabe et al. 2017).

Log-probabilities (B, S, C) have the blank as their last class; a padded frame has 0 at the blank and -1e9 elsewhere.
There are R = B·K prefixes, those of a sentence next to each other; what belongs to the sentence is not repeated.
A prefix is known by its last token, BOS (1) if it is empty, and by its `forward` (R, S, 2): at each frame, the
log-probability that the prefix is all there is up to that frame, ending with its last label [0] or with a blank [1].
A prefix that no alignment has, has about -1e9.
"""

from keras import ops

from keras_s2s.dynamic.semiring import FLOOR, IMPOSSIBLE, log_add, log_sum, select
from keras_s2s.special_ids import BOS, EOS, FIRST_LABEL
from keras_s2s.typing import Tensor

_SMALLEST = 1e-37


def with_padding(log_probabilities: Tensor) -> Tensor:
    """A padded frame more behind all others, (B, S, C) -> (B, S+1, C)."""
    classes = ops.arange(ops.shape(log_probabilities)[2])
    frame = ops.where(ops.equal(classes, classes[-1]), 0.0, FLOOR)
    return ops.concatenate([log_probabilities, ops.zeros_like(log_probabilities[:, :1]) + frame], axis=1)


def start(log_probabilities: Tensor) -> Tensor:
    """`forward` (B, S, 2) of the empty prefix: every frame is blank."""
    blank = ops.cumsum(log_probabilities[:, :, -1], axis=1)
    return ops.stack([ops.full_like(blank, FLOOR), blank], axis=2)


def extensions(log_probabilities: Tensor, forward: Tensor, last: Tensor) -> Tensor:
    """log p(prefix + v, whatever follows) for each class v (Watanabe et al. 2017, algorithm 2): (R, C).

    At EOS it is the log-probability that the prefix is the whole labelling, so that the probabilities of a row sum to
    that of its prefix; at the blank, which continues nothing, -1e9. What is e^85 times less probable than the prefix
    being all there is before its likeliest frame is given as that much.

    Args:
        log_probabilities: (B, S, C).
        forward: (R, S, 2), of the prefixes.
        last: (R,), their last tokens.
    """
    batch, frames, classes = tuple(ops.shape(log_probabilities))
    after_any, after_blank = _before_each_frame(forward, last)  # (R, S)
    rows = ops.shape(forward)[0] // batch
    # No label is at a padded frame, whose number must not matter to what is the likeliest one.
    padded = ops.repeat(log_probabilities[:, :, FIRST_LABEL] < IMPOSSIBLE, rows, axis=0)
    after_any = ops.where(padded, FLOOR, after_any)
    highest = ops.max(after_any, axis=1, keepdims=True)
    weights = ops.reshape(ops.exp(after_any - highest), (batch, rows, frames))
    # As a product of probabilities this is a matrix product, where logarithms would need (R, S, C) at once.
    sums = ops.reshape(ops.matmul(weights, ops.exp(log_probabilities)), (-1, classes))
    following = ops.log(ops.maximum(sums, _SMALLEST)) + highest

    repeated = log_sum(after_blank + _of_tokens(log_probabilities, last))
    whole = log_add(forward[:, -1, 0], forward[:, -1, 1])
    ids = ops.arange(classes)[None, :]
    following = ops.where(ids == last[:, None], repeated[:, None], following)
    following = ops.where(ids == EOS, whole[:, None], following)
    return ops.where(ids == classes - 1, FLOOR, following)


def extend(log_probabilities: Tensor, forward: Tensor, last: Tensor, token: Tensor) -> Tensor:
    """`forward` of each prefix with its next token after it.

    Args:
        log_probabilities: (B, S, C).
        forward: (R, S, 2), of the prefixes.
        last: (R,), their last tokens.
        token: (R,), what comes after.
    """
    of_token = _of_tokens(log_probabilities, token)  # (R, S)
    rows = ops.shape(forward)[0] // ops.shape(log_probabilities)[0]
    of_blank = ops.repeat(log_probabilities[:, :, -1], rows, axis=0)
    after_any, after_blank = _before_each_frame(forward, last)
    begins = ops.where((last == token)[:, None], after_blank, after_any)
    label = _recurrence(of_token, of_token + begins)
    blank = _recurrence(of_blank, of_blank + _later(label, FLOOR))
    return ops.stack([label, blank], axis=2)


def _before_each_frame(forward: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The log-probability of the prefix up to the frame before, in any way and ending with a blank: (R, S) each."""
    first = ops.where(last == BOS, 0.0, FLOOR)[:, None]
    any_way = log_add(forward[:, :, 0], forward[:, :, 1])
    return _later(any_way, first), _later(forward[:, :, 1], first)


def _later(x: Tensor, first: Tensor | float) -> Tensor:
    """x (R, S) one frame later."""
    return ops.concatenate([ops.zeros_like(x[:, :1]) + first, x[:, :-1]], axis=1)


def _of_tokens(log_probabilities: Tensor, tokens: Tensor) -> Tensor:
    """The log-probabilities of each row's token: (B, S, C), (R,) -> (R, S)."""
    batch, frames, _ = tuple(ops.shape(log_probabilities))
    by_class = ops.transpose(log_probabilities, (0, 2, 1))
    return ops.reshape(select(by_class, ops.reshape(tokens, (batch, -1))), (-1, frames))


def _recurrence(factor: Tensor, term: Tensor) -> Tensor:
    """y_s = log(exp(factor_s + y_{s-1}) + exp(term_s)) over (R, S), as a sum over all frames up to each.

    That takes (R, S, S) numbers, and spares a loop inside the loop of a search.
    """
    sums, place = ops.cumsum(factor, axis=1), ops.arange(ops.shape(factor)[1])
    since = term[:, None, :] + sums[:, :, None] - sums[:, None, :]  # (R, S, S): up to the first, begun at the second
    return log_sum(ops.where(place[None, :] <= place[:, None], since, FLOOR))

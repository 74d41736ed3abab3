"""Recurrences over a whole sequence at once."""

from keras import ops

from keras_s2s.typing import Tensor


def linear_recurrence(decay: Tensor, x: Tensor, first: Tensor) -> Tensor:
    """c_t = decay_t · c_{t-1} + x_t in log2 T rounds (Hillis and Steele 1986; Martin and Cundy 2018).

    Args:
        decay: (N, T, D).
        x: (N, T, D), T at least 1.
        first: c before the sequence, (N, D).

    Returns:
        (N, T, D).
    """
    length = ops.shape(x)[1]
    begun = x[:, :1] + decay[:, :1] * first[:, None]
    if x.shape[1] == 1:
        return begun
    x = ops.concatenate([begun, x[:, 1:]], axis=1)
    place = ops.arange(length)

    # After a round, x_t holds what the last 2 · distance places add to c_t, and decay_t their common decay.
    def double(distance: Tensor, decay: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        reaches = (place >= distance)[None, :, None]
        earlier = ops.maximum(place - distance, 0)
        before = ops.where(reaches, ops.take(x, earlier, axis=1), 0.0)
        longer = ops.where(reaches, ops.take(decay, earlier, axis=1), 1.0)
        return distance * 2, decay * longer, x + decay * before

    def unfinished(distance: Tensor, decay: Tensor, x: Tensor) -> Tensor:
        return distance < length

    return ops.while_loop(unfinished, double, (ops.ones((), "int32"), decay, x))[2]

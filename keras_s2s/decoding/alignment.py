"""Where a decoder looks while it writes a given target."""

from typing import Any

from keras import ops

from keras_s2s.decoding.search import BOS
from keras_s2s.decoding.step import initial_state

Tensor = Any


def alignment(model: Any, source_ids: Tensor, tokens: Tensor) -> Tensor:
    """Attention at each target token and at its EOS.

    Args:
        model: has `encoder`, `bridge` and `decoder`.
        source_ids: (B, S).
        tokens: (B, T), without BOS and EOS.

    Returns:
        (B, T+1, S), each row a distribution over the source.
    """
    ids = ops.pad(tokens, ((0, 0), (1, 0)), constant_values=BOS)
    return model.decoder(ids, initial_state(model, source_ids), return_attention=True)[2]

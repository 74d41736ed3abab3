"""The bridge to the recurrent decoder, and the attentions it makes keys for."""

from functools import partial
from typing import Any

import keras
from keras import ops

from keras_s2s.layers import CELLS, AdditiveAttention, DotAttention, GeneralAttention, Linear
from keras_s2s.models.part_config import RecurrentDecoderConfig
from keras_s2s.models.state import first_position
from keras_s2s.typing import State, Tensor

Attention = AdditiveAttention | GeneralAttention | DotAttention


def make_attention(kind: str, width: int) -> Attention:
    """The attention layer of a kind."""
    if kind in ("dot", "scaled"):
        return DotAttention(scaled=kind == "scaled", name="attention")
    if kind == "general":
        return GeneralAttention(name="attention")
    return AdditiveAttention(width, name="attention")


class RecurrentBridge(keras.layers.Layer):
    """Makes the decoder's first state from the mean of the encoder's outputs (Sennrich et al. 2017).

    The mean makes the first part of each layer's state; the other parts are zeros.

    Args:
        config: the decoder's.
        width: D.
        reads_memory: whether there is an encoder; a language model starts from zeros.
    """

    def __init__(self, config: RecurrentDecoderConfig, width: int, reads_memory: bool, **options: Any) -> None:
        super().__init__(**options)
        self.width, self.layers, self.feeds = width, config.layers, config.input_feeding
        self.state_names = CELLS[config.kind].state_names
        linear = partial(Linear, width)
        projects = reads_memory and make_attention(config.attention, width).projects_keys
        self.keys = linear(use_bias=False, name="keys") if projects else None
        self.hidden = [linear("tanh", name=f"hidden_{i}") for i in range(config.layers if reads_memory else 0)]

    def call(self, given: dict[str, Tensor]) -> State:
        """Encoder outputs, or a position, -> state of B rows."""
        position = first_position(given)
        zeros = ops.zeros((ops.shape(position)[0], self.width), dtype=self.compute_dtype)
        rows = {f"{name}_{i}": zeros for i in range(self.layers) for name in self.state_names}
        if self.feeds:
            rows["feed"] = zeros
        memory = {}
        if "encoded" in given:
            memory = {"values": given["encoded"], "mask": given["mask"]}
            if self.keys is not None:
                memory["keys"] = self.keys(given["encoded"])
            mean = _mean(given["encoded"], given["mask"])
            first, *_ = self.state_names
            rows |= {f"{first}_{i}": hidden(mean) for i, hidden in enumerate(self.hidden)}
        return {"memory": memory, "rows": {"position": position, **rows}}


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Over real places: (B, S, D), (B, S) -> (B, D)."""
    real = ops.cast(mask, values.dtype)[:, :, None]
    return ops.sum(values * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1)

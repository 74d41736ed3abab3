"""The recurrent decoder, and the bridge that makes its first state."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import LSTM, AdditiveAttention, Embedding, Linear
from keras_s2s.layers.fused import Tensor
from keras_s2s.models.config import LSTMDecoderConfig

State = dict[str, dict[str, Tensor]]


class LSTMBridge(keras.layers.Layer):
    """Makes the decoder's first state from the mean of the encoder's outputs (Sennrich et al. 2017).

    Args:
        config: the decoder's.
        width: D.
    """

    def __init__(self, config: LSTMDecoderConfig, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.keys = Linear(width, use_bias=False, name="keys")
        self.hidden = [Linear(width, "tanh", name=f"hidden_{i}") for i in range(config.layers)]

    def call(self, encoded: dict[str, Tensor]) -> State:
        """encoded (B, S, D), mask (B, S) -> state of B rows."""
        values, mask = encoded["encoded"], encoded["mask"]
        real = ops.cast(mask, values.dtype)[:, :, None]
        mean = ops.sum(values * real, axis=1) / ops.sum(real, axis=1)  # (B, D)
        rows = {"position": ops.zeros((ops.shape(mask)[0],), dtype="int32")}
        for i, hidden in enumerate(self.hidden):
            rows[f"hidden_{i}"] = hidden(mean)
            rows[f"cell_{i}"] = ops.zeros_like(mean)
        return {"memory": {"keys": self.keys(values), "values": values, "mask": mask}, "rows": rows}


class LSTMDecoder(keras.layers.Layer):
    """Embedding, stacked LSTMs, additive attention from the top one, and tanh(W [h; context]) (Luong et al. 2015).

    No step needs the context of the one before, so a whole sequence is one call.

    Args:
        config: number of layers.
        embedding: the target's table, whose width is D.
        dropout: rate between layers and before the output.
    """

    def __init__(self, config: LSTMDecoderConfig, embedding: Embedding, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.embedding = embedding
        self.blocks = [LSTM(embedding.width, name=f"lstm_{i}") for i in range(config.layers)]
        self.attention = AdditiveAttention(embedding.width, name="attention")
        self.combine = Linear(embedding.width, "tanh", name="combine")
        self.dropout = keras.layers.Dropout(dropout)

    def call(
        self, ids: Tensor, state: State, return_attention: bool = False, training: bool | None = None
    ) -> tuple[Tensor, ...]:
        """Advances every row by its ids.

        Args:
            ids: (R, T).
            state: memory of B sentences and R = B·K rows, the K of a sentence next to each other.
            return_attention: whether the attention weights are returned too.
            training: whether dropout is on.

        Returns:
            hidden (R, T, D), the state after the last id, and, if asked for, attention (R, T, S).
        """
        memory, rows = state["memory"], dict(state["rows"])
        x = self.dropout(self.embedding(ids), training=training)
        for i, block in enumerate(self.blocks):
            y, (rows[f"hidden_{i}"], rows[f"cell_{i}"]) = block(x, (rows[f"hidden_{i}"], rows[f"cell_{i}"]))
            y = self.dropout(y, training=training)
            x = x + y if i > 0 else y
        rows["position"] = rows["position"] + ops.shape(ids)[1]
        context, weights = self.attention(x, memory["keys"], memory["values"], memory["mask"])
        hidden = self.dropout(self.combine(ops.concatenate([x, context], axis=-1)), training=training)
        after = {"memory": memory, "rows": rows}
        return (hidden, after, weights) if return_attention else (hidden, after)

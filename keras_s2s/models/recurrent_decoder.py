"""The recurrent decoder."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import CELLS, Dropout, Embedding, Linear
from keras_s2s.models.part_config import RecurrentDecoderConfig
from keras_s2s.models.recurrent_bridge import make_attention
from keras_s2s.typing import State, Tensor


class RecurrentDecoder(keras.layers.Layer):
    """Embedding, stacked recurrent layers, attention from the top one, and tanh(W [h; context]) (Luong et al. 2015).

    Without input feeding no step needs the context of the one before, and a whole sequence is one call of each layer.
    With it, the input is [embedding; the attentional vector of the step before], and the call loops over T.

    Args:
        config: cell and number of layers, attention, input feeding.
        embedding: the target's table, whose width is D.
        dropout: rate between layers and before the output.
        reads_memory: whether there is an encoder; a language model has no attention.
    """

    def __init__(
        self,
        config: RecurrentDecoderConfig,
        embedding: Embedding,
        dropout: float,
        reads_memory: bool,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        width, cell = embedding.width, CELLS[config.kind]
        self.embedding, self.feeds, self.state_names = embedding, config.input_feeding, cell.state_names
        self.blocks = [cell(width, name=f"{config.kind}_{i}") for i in range(config.layers)]
        self.attention = make_attention(config.attention, width) if reads_memory else None
        self.combine = Linear(width, "tanh", name="combine") if reads_memory else None
        self.dropout = Dropout(dropout)

    def call(
        self, ids: Tensor, state: State, return_attention: bool = False, training: bool | None = None
    ) -> tuple[Any, ...]:
        """Advances every row by its ids.

        Args:
            ids: (R, T).
            state: memory of B sentences and R = B·K rows, the K of a sentence next to each other.
            return_attention: whether the attention weights are returned too.
            training: whether dropout is on.

        Returns:
            hidden (R, T, D), the state after the last id, and, if asked for, attention (R, T, S), None in a language
            model.
        """
        memory, rows = state["memory"], dict(state["rows"])
        position = rows.pop("position")
        x = self.dropout(self.embedding(ids), training=training)
        advance = self._feed if self.feeds else self._advance
        hidden, rows, attention = advance(x, memory, rows, training)
        after = {"memory": memory, "rows": {"position": position + ops.shape(ids)[1], **rows}}
        return (hidden, after, attention) if return_attention else (hidden, after)

    def _advance(self, x: Tensor, memory: dict, rows: dict, training: bool | None) -> tuple[Tensor, dict, Any]:
        """x (R, T, I) -> hidden (R, T, D), rows, attention (R, T, S)."""
        rows = dict(rows)
        for i, block in enumerate(self.blocks):
            names = [f"{name}_{i}" for name in self.state_names]
            y, state = block(x, tuple(rows[name] for name in names))
            rows.update(zip(names, state, strict=True))
            y = self.dropout(y, training=training)
            x = x + y if i > 0 else y
        if self.attention is None or self.combine is None:
            return x, rows, None
        values = memory["values"]
        context, weights = self.attention(x, memory.get("keys", values), values, memory["mask"])
        return self.dropout(self.combine(ops.concatenate([x, context], axis=-1)), training=training), rows, weights

    def _feed(self, x: Tensor, memory: dict, rows: dict, training: bool | None) -> tuple[Tensor, dict, Any]:
        """As `_advance`, one token after the other."""

        def step(t: Tensor | int, rows: dict) -> tuple[Tensor, dict, Tensor]:
            fed = ops.concatenate([ops.take(x, t, axis=1), rows["feed"]], axis=-1)[:, None, :]
            hidden, rows, weights = self._advance(fed, memory, rows, training)
            return hidden, {**rows, "feed": hidden[:, 0]}, weights

        if x.shape[1] == 1:
            return step(0, rows)
        length = ops.shape(x)[1]
        places = ops.arange(length)[None, :, None]

        def body(t: Tensor, rows: dict, hidden: Tensor, attention: Tensor) -> tuple:
            y, rows, weights = step(t, rows)
            return t + 1, rows, ops.where(places == t, y, hidden), ops.where(places == t, weights, attention)

        no_attention = ops.zeros((*tuple(ops.shape(x))[:2], ops.shape(memory["mask"])[1]), dtype=x.dtype)
        first = (ops.convert_to_tensor(0), rows, ops.zeros_like(x), no_attention)
        _, rows, hidden, attention = ops.while_loop(lambda t, *_: t < length, body, first)
        return hidden, rows, attention

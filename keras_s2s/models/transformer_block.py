"""The one block that Transformer encoders and decoders are stacks of."""

from typing import Any

import keras

from keras_s2s.layers import CrossAttention, FeedForward, LayerDrop
from keras_s2s.models.part_config import BlockConfig
from keras_s2s.models.residual import Residual
from keras_s2s.typing import Tensor

Memory = tuple[Tensor, Tensor, Tensor]


class TransformerBlock(keras.layers.Layer):
    """A mixer of tokens, attention to a memory if there is one, and a feed-forward part (Vaswani et al. 2017).

    Args:
        config: of the stack.
        layer: the block's number in it, from 0.
        width: D.
        dropout: rate after each part.
        mixer: mixes the tokens.
        queries: size of all heads together of the attention to a memory; None if there is no memory.
    """

    def __init__(
        self,
        config: BlockConfig,
        layer: int,
        width: int,
        dropout: float,
        mixer: Any,
        queries: int | None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.mixer = mixer
        self.mixer_residual = Residual(config, dropout, name=mixer.name)
        self.cross_attention = None
        if queries is not None:
            self.cross_attention = CrossAttention(width, queries, name="cross_attention")
            self.cross_residual = Residual(config, dropout, name="cross_attention")
        hidden = config.feed_forward_of_layers()[layer]
        self.feed_forward = FeedForward(width, hidden, dropout, config.activation, name="feed_forward")
        self.feed_forward_residual = Residual(config, dropout, name="feed_forward")
        self.layer_drop = LayerDrop(config.layer_drop) if config.layer_drop else None

    def call(
        self,
        x: Tensor,
        state: tuple[Tensor, ...] | None = None,
        given: Any = None,
        memory: Memory | None = None,
        return_attention: bool = False,
        training: bool | None = None,
    ) -> tuple[Tensor, Any, Tensor | None]:
        """One block.

        Args:
            x: (R, T, D).
            state: the mixer's; None in an encoder, which has none.
            given: what the mixer's `prepare` made for all blocks.
            memory: keys and values (B, H, S, d) of `MemoryKeysValues`, and their mask (B, S).
            return_attention: whether the attention to the memory is returned, mean over heads.
            training: whether dropout is on.

        Returns:
            x (R, T, D), the mixer's state after it, and attention (R, T, S) or None.
        """
        y, state = self.mixer(self.mixer_residual.before(x), state, given=given)
        y = self.mixer_residual.after(x, y, training)
        attention = None
        if self.cross_attention is not None and memory is not None:
            key, value, mask = memory
            query = self.cross_residual.before(y)
            attention = self.cross_attention.weights_of(query, key, mask) if return_attention else None
            y = self.cross_residual.after(y, self.cross_attention(query, key, value, mask), training)
        hidden = self.feed_forward(self.feed_forward_residual.before(y), training=training)
        y = self.feed_forward_residual.after(y, hidden, training)
        if self.layer_drop is not None:
            y = self.layer_drop(x, y, training=training)
        return y, state, attention

"""The one block that Transformer encoders and decoders are stacks of."""

from typing import Any

import keras

from keras_s2s.layers import SSRU, CrossAttention, FeedForward, LayerDrop, SelfAttention
from keras_s2s.models.part_config import BlockConfig
from keras_s2s.models.residual import Residual
from keras_s2s.typing import Tensor

Memory = tuple[Tensor, Tensor, Tensor]


class TransformerBlock(keras.layers.Layer):
    """A mixer of tokens, attention to a memory if there is one, and a feed-forward part (Vaswani et al. 2017).

    Args:
        config: sizes, norms and activation.
        width: D.
        dropout: rate after each part.
        mixer: self-attention, or an SSRU.
        reads_memory: whether it attends to a memory.
    """

    def __init__(
        self,
        config: BlockConfig,
        width: int,
        dropout: float,
        mixer: SelfAttention | SSRU,
        reads_memory: bool,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.mixer = mixer
        self.mixer_residual = Residual(config, dropout, name=mixer.name)
        self.cross_attention = None
        if reads_memory:
            self.cross_attention = CrossAttention(width, name="cross_attention")
            self.cross_residual = Residual(config, dropout, name="cross_attention")
        self.feed_forward = FeedForward(width, config.feed_forward, dropout, config.activation, name="feed_forward")
        self.feed_forward_residual = Residual(config, dropout, name="feed_forward")
        self.layer_drop = LayerDrop(config.layer_drop) if config.layer_drop else None

    def call(
        self,
        x: Tensor,
        given: Tensor,
        options: dict[str, Any],
        memory: Memory | None = None,
        return_attention: bool = False,
        training: bool | None = None,
    ) -> tuple[Tensor, Any, Tensor | None]:
        """One block.

        Args:
            x: (R, T, D).
            given: what the mixer takes after x: the mask of self-attention, the cell of an SSRU.
            options: its further arguments by name.
            memory: keys and values (B, H, S, d) of `MemoryKeysValues`, and their mask (B, S).
            return_attention: whether the attention to the memory is returned, mean over heads.
            training: whether dropout is on.

        Returns:
            x (R, T, D), the mixer's state after it, and attention (R, T, S) or None.
        """
        y, state = self.mixer(self.mixer_residual.before(x), given, **options)
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

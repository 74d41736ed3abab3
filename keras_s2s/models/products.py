"""Which layers of a model are large products."""

from typing import Any

import keras

from keras_s2s.layers import AdditiveAttention, CrossAttention, DotAttention, Linear
from keras_s2s.models.heads import TokenHead

# Self-attention is not among them: it takes the type that its linear layers give.
_PRODUCTS = (Linear, TokenHead, CrossAttention, AdditiveAttention, DotAttention)


def large_products(model: keras.Model) -> list[Any]:
    """Layers that may compute in a type of less precision; norms, residuals, embeddings and recurrent cells may not.

    Softmax inside them and logits stay in float32.
    """
    return [layer for layer in model._flatten_layers() if isinstance(layer, _PRODUCTS)]

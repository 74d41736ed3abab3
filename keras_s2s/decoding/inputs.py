"""The inputs of programs, and so of graphs, as tensors."""

from collections.abc import Iterable

import tensorflow as tf

from keras_s2s.option import InputSpec
from keras_s2s.search_options import OPTIONS

IDS = tf.TensorSpec((None, None), tf.int32)
LIMIT = (OPTIONS["max_length_factor"].name, OPTIONS["max_length_extra"].name)
"""The options that the limit of a sentence is made of."""


def tensor_specs(inputs: Iterable[InputSpec]) -> dict[str, tf.TensorSpec]:
    """The tensors of inputs, by name; the size of each axis is left open."""
    return {one.name: tf.TensorSpec((None,) * len(one.axes), one.dtype) for one in inputs}

"""A model of any precision in float32, as it is decoded and exported."""

import contextlib
from collections.abc import Iterator

import keras

from keras_s2s.models.seq2seq import Seq2Seq

_OTHERS = {"float16", "bfloat16", "float64"}


@contextlib.contextmanager
def float32_policy() -> Iterator[None]:
    """Inside, Keras makes layers and numbers of float32, whatever its policy and its `floatx` are."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def is_float32(model: Seq2Seq) -> bool:
    """Whether all layers of a model compute in float32 and keep their weights in it."""
    policies = (layer.dtype_policy for layer in model._flatten_layers())
    return not _OTHERS & {dtype for policy in policies for dtype in (policy.compute_dtype, policy.variable_dtype)}


def in_float32(model: Seq2Seq) -> Seq2Seq:
    """The model itself if it is one of float32, else one like it with the same weights; nothing of it is changed."""
    if is_float32(model):
        return model
    with float32_policy():
        made = type(model).from_config(model.get_config())
    for own, other in zip(made.weights, model.weights, strict=True):
        own.assign(keras.ops.cast(other, own.dtype))
    return made

"""Mixed precision: large products in bfloat16, everything else in float32."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import keras

from keras_s2s.errors import UserError
from keras_s2s.models.products import large_products

Precision = Literal["float32", "bfloat16"]


def check() -> None:
    """Looks whether Keras makes models of float32, which `use` then changes.

    Raises:
        UserError: it has another policy or `floatx`.
    """
    policy, floatx = keras.config.dtype_policy().name, keras.config.floatx()
    if (policy, floatx) != ("float32", "float32"):
        raise UserError(
            f"training: Keras's policy is {policy} and its floatx {floatx}; leave both at float32, and ask for "
            "bfloat16 by training.precision"
        )


def use(model: keras.Model, precision: Precision) -> None:
    """Sets the type of a model's large products (Kalamkar et al. 2019). Call it before `compile`.

    Weights stay in float32, and so do logits. Nothing of it is saved: a loaded model is one of float32. bfloat16 has
    float32's range, so losses need no scaling.

    Args:
        model: whose products; a model of one precision may be given another.
        precision: "float32" or "bfloat16".
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    for layer in large_products(model):
        layer.dtype_policy = policy


@contextlib.contextmanager
def float32(model: keras.Model) -> Iterator[None]:
    """Inside, the model computes in float32 alone, as it will when it is loaded.

    A `tf.function` keeps what it was when it was traced, so trace inside what is to decode in float32: the caches of a
    search are float32, and what is measured on dev data is what an exported model will do.
    """
    policies = [(layer, layer.dtype_policy) for layer in large_products(model)]
    use(model, "float32")
    try:
        yield
    finally:
        for layer, policy in policies:
            layer.dtype_policy = policy

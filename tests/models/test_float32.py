"""A model that was made under another policy of Keras's, in float32."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.models import ModelConfig, Seq2Seq, build
from keras_s2s.models.float32 import float32_policy, in_float32, is_float32

IDS = np.array([[4, 5, 7, 2], [9, 4, 2, 0]], "int32")
INPUTS = {"source_ids": IDS, "target_ids": np.array([[1, 4, 5], [1, 9, 0]], "int32")}
MODELS = [
    ("lstm", "gru", "mixed_bfloat16"),
    ("gru", "ssru", "mixed_bfloat16"),
    ("gru", "lstm", "float64"),
    ("transformer", "transformer", "mixed_float16"),
]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with float32_policy():
        yield


def make(encoder: str = "lstm", decoder: str = "gru", **parts: Any) -> Seq2Seq:
    keras.utils.set_random_seed(3)
    kinds: dict[str, Any] = {"encoder": {"kind": encoder}, "decoder": {"kind": decoder}}
    sizes = {"source_vocabulary": 12, "target_vocabulary": 12, "width": 16}
    return build(ModelConfig.model_validate({**sizes, **kinds, **parts}))


@pytest.mark.parametrize(("encoder", "decoder", "policy"), MODELS)
def test_it_says_what_a_model_of_float32_with_its_weights_says(encoder: str, decoder: str, policy: str) -> None:
    expected = make(encoder, decoder)
    keras.config.set_dtype_policy(policy)
    other = make(encoder, decoder)
    assert not is_float32(other)
    for weight, value in zip(other.weights, expected.weights, strict=True):
        weight.assign(keras.ops.cast(value, weight.dtype))
        value.assign(keras.ops.cast(weight, "float32"))
    before = [layer.dtype_policy for layer in other._flatten_layers()]
    found = in_float32(other)
    assert is_float32(found)
    assert keras.config.dtype_policy().name == policy
    assert [layer.dtype_policy for layer in other._flatten_layers()] == before
    np.testing.assert_array_equal(found(INPUTS), expected(INPUTS))


@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_another_floatx_is_refused_when_a_model_is_built(floatx: str) -> None:
    keras.config.set_floatx(floatx)
    with pytest.raises(UserError, match=f"^Keras's floatx is {floatx}, and a model needs float32; .*$"):
        make()


def test_a_floatx_that_was_set_after_the_model_was_built() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = make()
    keras.config.set_floatx("float16")
    found = in_float32(model)
    assert keras.config.floatx() == "float16"
    assert {weight.dtype for weight in found.weights} == {"float32"}


def test_a_layer_of_another_policy() -> None:
    model = make()
    model.head.dtype_policy = "mixed_bfloat16"
    assert not is_float32(model)
    assert is_float32(in_float32(model))


def test_a_model_of_float32_is_itself() -> None:
    model = make()
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert in_float32(model) is model


def test_the_policy_is_as_before_after_an_error() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    with pytest.raises(ZeroDivisionError), float32_policy():
        assert (keras.config.dtype_policy().name, keras.config.floatx()) == ("float32", "float32")
        raise ZeroDivisionError
    assert (keras.config.dtype_policy().name, keras.config.floatx()) == ("mixed_bfloat16", "float32")

"""A model's steps as functions of named tensors."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.decoding import Ensemble, Fusion, as_step
from keras_s2s.export.step_functions import step_functions
from keras_s2s.models import (
    CTCHeadConfig,
    GRUDecoderConfig,
    GRUEncoderConfig,
    ModelConfig,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    build,
)

V = 12
SOURCE = tf.constant([[4, 5, 6, 2], [7, 2, 0, 0]])
TARGETS = tf.constant([[1, 4, 5, 6], [1, 8, 9, 4], [1, 7, 4, 11], [1, 5, 5, 5]])  # two of each sentence
DECODERS: dict[str, Any] = {
    "gru": GRUDecoderConfig(input_feeding=True),
    "transformer": TransformerDecoderConfig(layers=1, heads=2, feed_forward=8),
    "ssru": SSRUDecoderConfig(layers=1, heads=2, feed_forward=8),
}
READS: dict[str, Any] = {"source_vocabulary": V, "encoder": GRUEncoderConfig()}


def made(seed: int = 1, **parts: Any) -> Any:
    keras.utils.set_random_seed(seed)
    return build(ModelConfig(target_vocabulary=V, width=8, **parts))


MODELS: dict[str, Any] = {
    **{kind: lambda decoder=decoder: made(**READS, decoder=decoder) for kind, decoder in DECODERS.items()},
    "ensemble": lambda: Ensemble([made(seed, **READS, decoder=DECODERS["transformer"]) for seed in (1, 2)]),
    "fusion": lambda: Fusion(made(**READS, decoder=DECODERS["ssru"]), made(2, decoder=DECODERS["transformer"]), 0.3),
}


@pytest.mark.parametrize("kind", MODELS)
def test_steps_say_what_the_model_says_of_all_at_once(kind: str) -> None:
    model = MODELS[kind]()
    functions = step_functions(model)
    state = functions["encode"](SOURCE)
    names = [spec.name for spec in functions["step"].input_signature]
    assert names == ["ids", *state]
    assert all(name.isidentifier() for name in names)

    step = as_step(model)
    first = step.start({"source_ids": SOURCE})
    first["rows"] = {name: tf.repeat(value, 2, axis=0) for name, value in first["rows"].items()}
    expected = step(TARGETS, first)[0].log_probabilities()
    state = {name: tf.repeat(x, 2, axis=0) if name.startswith("rows_") else x for name, x in state.items()}
    # One token, then two at once, then one.
    for begin, end in ((0, 1), (1, 3), (3, 4)):
        found = functions["step"](TARGETS[:, begin:end], *state.values())
        np.testing.assert_allclose(found.pop("scores"), expected[:, begin:end], atol=1e-5)
        assert set(found) == {name for name in state if name.startswith("rows_")}
        state |= found


def test_without_an_encoder_and_a_decoder_there_are_no_steps() -> None:
    assert step_functions(made(**READS, ctc=CTCHeadConfig())) == {}
    assert step_functions(made(decoder=DECODERS["ssru"])) == {}

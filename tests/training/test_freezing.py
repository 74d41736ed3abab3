"""Freezing by pattern."""

from typing import Any

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import ModelConfig, TransformerDecoderConfig, TransformerEncoderConfig, build
from keras_s2s.training.freezing import freeze

CONFIG = ModelConfig(
    source_vocabulary=9,
    target_vocabulary=9,
    width=8,
    encoder=TransformerEncoderConfig(layers=1, heads=2, feed_forward=8),
    decoder=TransformerDecoderConfig(layers=1, heads=2, feed_forward=8),
)
INPUTS = {"source_ids": np.array([[4, 5, 2]], "int32"), "target_ids": np.array([[1, 6]], "int32")}


def test_frozen_weights_alone_stay() -> None:
    model: Any = build(CONFIG)
    frozen = freeze(model, ["encoder/*", "*/bias"])
    assert set(frozen) == {w.path for w in model.weights if w.path.startswith("encoder/") or w.path.endswith("/bias")}
    model.compile(loss=CrossEntropy(), optimizer="adam")
    before = {w.path: w.numpy() for w in model.weights}
    model.fit(INPUTS, np.array([[6, 2]]), epochs=2, verbose=0)
    stayed = {w.path for w in model.weights if np.array_equal(w.numpy(), before[w.path])}
    assert stayed == set(frozen)


def test_a_pattern_without_a_weight_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^freeze: 'encodr/\*' matches no weight; the nearest are encoder/\*, "):
        freeze(build(CONFIG), ["*/bias", "encodr/*"])


def test_something_must_be_left() -> None:
    model = build(CONFIG)
    with pytest.raises(UserError, match=r"^freeze: \*: nothing is left to train; freeze less$"):
        freeze(model, ["*"])
    assert len(model.trainable_variables) == len(model.weights)

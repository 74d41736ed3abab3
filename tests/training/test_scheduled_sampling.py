"""How the rate of scheduled sampling rises."""

from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s.losses import CrossEntropy
from keras_s2s.models import GRUDecoderConfig, GRUEncoderConfig, ModelConfig, build
from keras_s2s.training.scheduled_sampling import RaiseSampling

INPUTS = {"source_ids": np.array([[4, 5, 2]], "int32"), "target_ids": np.array([[1, 6, 7]], "int32")}
LABELS = np.array([[6, 7, 2]], "int32")


class Record(keras.callbacks.Callback):
    """The scales that batches were trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.scales: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.scales.append(float(self.model.scheduled_sampling.scale.numpy()))


@pytest.mark.parametrize(
    ("accumulation", "expected"),
    [(1, [0, 0.25, 0.5, 0.75, 1, 1]), (2, [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1, 1, 1])],
)
def test_the_scale_rises_with_steps(accumulation: int, expected: list[float]) -> None:
    parts = {"encoder": GRUEncoderConfig(), "decoder": GRUDecoderConfig(scheduled_sampling=0.5)}
    model: Any = build(ModelConfig(source_vocabulary=9, target_vocabulary=9, width=4, **parts))
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=accumulation if accumulation > 1 else None)
    model.compile(optimizer, CrossEntropy(), run_eagerly=True)
    raising, record = RaiseSampling(steps=5), Record()
    # In two runs, of which the second goes on where the first ended.
    for batches in (accumulation * 2, accumulation * 4):
        model.fit(INPUTS, LABELS, epochs=batches, verbose=0, callbacks=[raising, record])
    np.testing.assert_allclose(record.scales, expected, atol=1e-6)

"""A training of 20 steps, in one process or as one of several; the tests of distribution start it.

Usage: python worker.py OPTIONS, a JSON object of the fields of `Run`.
"""

import functools
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_s2s.data.shares import WHOLE, Share
from keras_s2s.errors import UserError
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.training import distribution
from keras_s2s.training.non_finite import NonFinite

INTERVAL = 5


@dataclass(frozen=True)
class Run:
    """What one process does.

    Attributes:
        devices: one, mirrored (two, then) or workers.
        file: gets the losses and weights after the last step, an .npz file.
        last: the number of steps of the whole training.
        endless: the training goes on after its last step, and prints each interval.
        first: steps that were done by another run; the chief, and nobody else, reads their checkpoint.
        checkpoint: the chief writes it after each interval.
        data: other numbers make other batches.
        spoilt: of the batch of this step the weights are no numbers.
        without: a function of `distribution` that does nothing in this run.
    """

    devices: str
    file: str = ""
    last: int = 20
    endless: bool = False
    first: int = 0
    checkpoint: str = ""
    data: int = 0
    spoilt: int | None = None
    without: str = ""


def batch_of(step: int, data: int = 0, spoilt: int | None = None) -> Any:
    """Of 1 to 6 rows of very different lengths: shares differ in rows and tokens, and some are empty."""
    draw = np.random.default_rng((step, data))
    source, target = (int(n) for n in draw.integers([4, 3], [10, 9]))
    rows = (step + 4) % 6 + 1
    source_ids = np.where(np.arange(source) < draw.integers(1, source + 1, (rows, 1)), 5, 0)
    labels = np.where(np.arange(target) < draw.integers(1, target + 1, (rows, 1)), 5, 0)
    source_ids, labels = (ids * 0 + (ids > 0) * draw.integers(3, 12, ids.shape) for ids in (source_ids, labels))
    target_ids = np.pad(labels[:, :-1], [(0, 0), (1, 0)], constant_values=1)
    weights = (labels != 0) * draw.uniform(0.5, 2.0, (rows, 1))
    inputs = {"source_ids": source_ids.astype("int32"), "target_ids": target_ids.astype("int32")}
    weights = weights * (np.nan if step == spoilt else 1)
    return inputs, labels.astype("int32"), weights.astype("float32")


def batches_from(step: int, batch_at: Callable[[int], Any], shares: Sequence[Share]) -> tf.data.Dataset:
    ids, weights = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.float32)
    spec = ({"source_ids": ids, "target_ids": ids}, ids, weights)

    def made() -> Iterator[Any]:
        return (share.of_batch(batch_at(number)) for number in itertools.count(step) for share in shares)

    return tf.data.Dataset.from_generator(made, output_signature=spec)


class Losses(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[float] = []
        self.epochs: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append(float(logs["loss"]))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(float(logs["loss"]))


class Save(keras.callbacks.Callback):
    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.save_weights(self.file)


def write(file: str, model: keras.Model, losses: Losses) -> None:
    np.savez(file, *model.get_weights(), steps=losses.steps, epochs=losses.epochs)


class Aloud(keras.callbacks.Callback):
    def __init__(self, run: Run, losses: Losses) -> None:
        super().__init__()
        self.run, self.losses = run, losses

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if len(self.losses.steps) == self.run.last:
            write(self.run.file, self.model, self.losses)
        print(epoch, flush=True)


def train(strategy: tf.distribute.Strategy | None, run: Run) -> tuple[keras.Model, Losses]:
    keras.utils.set_random_seed(1)
    parts = {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig()}
    config = ModelConfig(source_vocabulary=12, target_vocabulary=12, width=8, dropout=0.0, **parts)
    batch_at = functools.partial(batch_of, data=run.data, spoilt=run.spoilt)
    batches_of = functools.partial(batches_from, run.first, batch_at)
    with distribution.scope(strategy):
        model = build(config)
        optimizer = keras.optimizers.Adam(0.02, global_clipnorm=0.5)
    distribution.compile_for(
        strategy, model, batches_of([WHOLE]).element_spec, optimizer=optimizer, loss=CrossEntropy(0.1)
    )
    chief = distribution.is_chief(strategy)
    if run.first and chief:
        model.load_weights(run.checkpoint)
    distribution.follow_chief(strategy, model)
    losses = Losses()
    callbacks = [NonFinite(batch_at, Path(run.file).parent), losses]
    if chief and run.checkpoint:
        callbacks.append(Save(run.checkpoint))
    if run.endless:
        callbacks.append(Aloud(run, losses))
    model.fit(
        distribution.share(batches_of, strategy),
        epochs=10**9 if run.endless else (run.last - run.first) // INTERVAL,
        steps_per_epoch=INTERVAL,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    return model, losses


def main(run: Run) -> None:
    if run.without:
        setattr(distribution, run.without, lambda *_: None)
    if run.devices == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    with distribution.lost_workers():
        model, losses = train(distribution.strategy(run.devices), run)
    write(run.file, model, losses)


if __name__ == "__main__":
    try:
        main(Run(**json.loads(sys.argv[1])))
    except UserError as error:
        sys.exit(str(error))

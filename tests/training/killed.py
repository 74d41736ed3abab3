"""A training that the tests start as a process of its own, and kill.

Usage: python killed.py FOLDER LOSSES EPOCHS [STEP]. Losses are appended to a file, a line a step; at STEP the process
kills itself, as a power cut would. With 4 EPOCHS the rate falls by a cosine and intervals are short; else nothing
depends on their number. 0 EPOCHS are as many as fit into a minute by a measurement, which is always the same and is
added to LOSSES as the line `measured`; else all is as with 4.
"""

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_s2s import text
from keras_s2s.data import Pairs, Task
from keras_s2s.models import LSTMDecoderConfig, ModelConfig, TransformerEncoderConfig
from keras_s2s.training import Costs, OptimizerConfig, TrainingConfig, minutes, train
from keras_s2s.training.schedules import CosineConfig, InverseSqrtConfig

DRAW = random.Random(1)
WORDS = ["".join(DRAW.choices("abcd", k=DRAW.randint(1, 9))) for _ in range(300)]


class Losses(keras.callbacks.Callback):
    """Writes losses as they come, and kills."""

    def __init__(self, file: Path, last: int) -> None:
        super().__init__()
        self.file, self.last = file.open("a", buffering=1), last

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = int(self.model.optimizer.iterations)
        self.file.write(f"{step} {float(logs['loss']).hex()}\n")
        if step == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, losses: Path, epochs: int, last: int = -1) -> None:
    tf.config.experimental.enable_op_determinism()
    tokenizer = text.train(WORDS, 40, kind="bpe")
    pairs = Pairs(WORDS, [word[::-1] for word in WORDS])
    task = Task("reverse", pairs, pairs.take(range(20)), None, tokenizer, tokenizer, ("chrf",))
    size = tokenizer.vocabulary_size
    encoder = TransformerEncoderConfig(layers=1, heads=2, feed_forward=16)
    decoder = LSTMDecoderConfig()
    config = ModelConfig(width=16, encoder=encoder, decoder=decoder, source_vocabulary=size, target_vocabulary=size)
    falls = epochs in (0, 4)
    training = TrainingConfig(
        epochs=epochs or None,
        minutes=None if epochs else 1,
        evaluate_every=7 if falls else None,
        tokens=128,
        subword_sampling=0.1,
        label_smoothing=0.1,
        r_drop=1.0,
        optimizer=OptimizerConfig(average=0.9, schedule=CosineConfig() if falls else InverseSqrtConfig()),
    )

    def measure(*_: Any) -> Costs:
        with losses.open("a") as file:
            file.write("measured 1\n")
        return Costs(step=1.3, interval=2.0)

    minutes.measure = measure
    train(config, task, training, folder, [Losses(losses, last)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))

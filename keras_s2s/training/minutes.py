"""Epochs in the place of minutes: a measurement before the first step says how many fit."""

import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_s2s.atomic import atomic_write
from keras_s2s.data import Batches, Task
from keras_s2s.errors import UserError
from keras_s2s.models import ModelConfig, build
from keras_s2s.training import child, objective, precision, quantization
from keras_s2s.training.callbacks import BATCH, DecodedMetrics, DevPerplexity, Judge
from keras_s2s.training.checkpoints import Checkpoints
from keras_s2s.training.config import TrainingConfig
from keras_s2s.training.freezing import freeze
from keras_s2s.training.optimizers import make_optimizer

_RECORD = "minutes.json"
_WARM_UP, _FEWEST, _MOST = 3, 5, 40  # steps
_LONG_ENOUGH = 10.0  # seconds of measured steps


class Costs(NamedTuple):
    """Seconds that a training takes on this machine.

    Attributes:
        step: for an update of the weights, the making of its batches included.
        interval: for decoding the dev data and writing a checkpoint, after each interval.
    """

    step: float
    interval: float

    def steps_in(self, seconds: float, every: int) -> int:
        """The most steps that fit into a time, with an evaluation after every `every` steps and after the last one."""
        intervals, left = divmod(seconds, every * self.step + self.interval)
        # The last interval may be shorter.
        rest = math.floor(max(left - self.interval, 0.0) / self.step)
        return int(intervals) * every + min(rest, every - 1)


class _Known(NamedTuple):
    """The record: the epochs that replace the minutes, and the measurement behind them."""

    minutes: float
    epochs: float
    costs: Costs


def steps_of_epoch(training: TrainingConfig, batches: int) -> int:
    """Updates of the weights in an epoch of so many batches."""
    return max(batches // training.optimizer.batches, 1)


def settle(
    config: ModelConfig, task: Task, training: TrainingConfig, folder: Path, made: Batches, say: Callable[[str], None]
) -> TrainingConfig:
    """Puts `epochs` in the place of `minutes`.

    A process of its own trains a few steps on the first batches, decodes some of the dev data, and writes a checkpoint;
    see `measure`. The number is kept, so a training that goes on has the same, and so has one that is given the same
    `epochs`. With other minutes later, the same measurement counts.

    Args:
        config: the model.
        task: its data.
        training: how. One with `epochs` is returned as it is.
        folder: where the number is kept.
        made: the batches of the training.
        say: is told in a line what was measured, and how many epochs that makes.

    Raises:
        UserError: the training has several devices, or there is no time for a single step.
    """
    if training.minutes is None:
        return training
    if training.devices != "one":
        raise UserError(f"training: minutes: is for one device, not for {training.devices}; give epochs")
    known = _read(folder)
    if known is None or known.minutes != training.minutes:
        costs = measure(config, task, training, made) if known is None else known.costs
        known = _Known(training.minutes, epochs_in(training, costs, len(made)), costs)
        _write(folder, known)
        say(
            f"minutes: {known.minutes:g} are {known.epochs:g} epochs; measured: {1000 * costs.step:,.0f} ms a step, "
            f"{costs.interval:.1f} s an evaluation and its checkpoint"
        )
    return training.replace(minutes=None, epochs=known.epochs)


def settled(training: TrainingConfig, folder: Path, batches: int) -> TrainingConfig | None:
    """The training that `settle` gives without a measurement; None if it needs one.

    Args:
        training: how.
        folder: where an earlier number is kept.
        batches: of an epoch.
    """
    if training.minutes is None:
        return training
    known = _read(folder)
    if known is None:
        return None
    same = known.minutes == training.minutes
    epochs = known.epochs if same else epochs_in(training, known.costs, batches)
    return training.replace(minutes=None, epochs=epochs)


def epochs_in(training: TrainingConfig, costs: Costs, batches: int) -> float:
    """Epochs that fit into a training's minutes, in four digits, so that they can be written down.

    Args:
        training: how.
        costs: as measured.
        batches: of an epoch.

    Raises:
        UserError: not even one step fits.
    """
    assert training.minutes is not None
    of_epoch = steps_of_epoch(training, batches)
    steps = costs.steps_in(60 * training.minutes, training.evaluate_every or of_epoch)
    if not steps:
        least = (costs.step + costs.interval) / 60
        raise UserError(
            f"training: minutes: {training.minutes:g}: one step and its evaluation take {least:.2g} minutes; give more"
        )
    return float(f"{steps / of_epoch:.4g}")


def measure(config: ModelConfig, task: Task, training: TrainingConfig, made: Batches) -> Costs:
    """Measures what a training takes, in a process of its own.

    - A step: the median of 5 to 40, on the first batches of the training, after three that are not counted; and the
      mean time to make its batches.
    - An evaluation: half of the dev data may be long, so the middle ones by length are decoded, as many as are decoded
      together. They are decoded to the length of the longest of their targets, since a model that knows nothing yet
      would go on to the limit. The time is scaled to all dev data by the length of their targets.
    - A checkpoint: one is written.

    Args:
        config: the model.
        task: dev data and tokenizers.
        training: how; neither `epochs` nor `minutes` matter.
        made: the batches of the training.
    """
    accumulation = training.optimizer.batches
    count = accumulation * (_WARM_UP + min(_MOST, max(_FEWEST, len(made) // accumulation)))
    began = time.perf_counter()
    batches = [made.at(step) for step in range(count)]
    reading = (time.perf_counter() - began) / count * accumulation
    sample, share = _sample(task)
    done = child.run(__name__, _Try(config, sample, training, batches, made.dataset().element_spec))
    if done.returncode:
        raise child.failure(done)
    found = json.loads(done.stdout.splitlines()[-1])
    return Costs(found["step"] + reading, found["evaluation"] / share + found["checkpoint"])


def _sample(task: Task) -> tuple[Task, float]:
    """The dev data that a measurement decodes, and their share of all."""
    dev = task.dev
    order = sorted(range(len(dev)), key=lambda row: len(dev.sources[row]))
    first = max((len(order) - BATCH) // 2, 0)
    some = dev.take(order[first : first + BATCH])
    longest = max(map(len, task.target_tokenizer.encode(list(some.targets))), default=0)
    share = (1 + sum(map(len, some.targets))) / (1 + sum(map(len, dev.targets)))
    # `train` is not looked at: the batches are given.
    limits: dict[str, Any] = {"max_length_factor": 0.0, "max_length_extra": longest + 1}
    return replace(task, train=some, dev=some, test=None, mixture=None, examples=None, **limits), share


def _read(folder: Path) -> _Known | None:
    record = folder / _RECORD
    if not record.exists():
        return None
    content = json.loads(record.read_text())
    return _Known(content["minutes"], content["epochs"], Costs(**content["costs"]))


def _write(folder: Path, known: _Known) -> None:
    # A number that is half written would be another training.
    content = json.dumps({**known._asdict(), "costs": known.costs._asdict()})
    atomic_write(folder / _RECORD, lambda path: path.write_text(content))


@dataclass(frozen=True)
class _Try:
    """A short training, run in a process of its own."""

    config: ModelConfig
    task: Task
    training: TrainingConfig
    batches: Sequence[Any]
    spec: Any


class _Clock(keras.callbacks.Callback):
    """Notes when each step ends, and stops when enough have been measured."""

    def __init__(self, accumulation: int) -> None:
        super().__init__()
        self.accumulation, self.ends = accumulation, [time.perf_counter()]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Waits for the loss, as every training does."""
        float(logs["loss"])
        if (batch + 1) % self.accumulation == 0:
            self.ends.append(time.perf_counter())
            measured = self.ends[1 + _WARM_UP :]
            if len(measured) >= _FEWEST and measured[-1] - measured[0] > _LONG_ENOUGH:
                self.model.stop_training = True

    @property
    def seconds(self) -> list[float]:
        """Of each step."""
        return [end - begin for begin, end in itertools.pairwise(self.ends)]


def _measure(given: Any) -> dict[str, float]:
    """Trains a little, as a `_Try` says."""
    import tensorflow as tf

    with quantization.rounding(given.training.quantization_aware), tempfile.TemporaryDirectory() as folder:
        model = _compiled(given)
        clock = _Clock(given.training.optimizer.batches)
        dataset = tf.data.Dataset.from_generator(lambda: iter(given.batches), output_signature=given.spec)
        model.fit(dataset, steps_per_epoch=len(given.batches), shuffle=False, verbose=0, callbacks=[clock])
        judge: Judge = DevPerplexity(given.task) if given.config.encoder is None else DecodedMetrics(given.task)
        kept = Checkpoints(Path(folder), judge.criteria)
        logs: dict[str, float] = {}
        # The first evaluation is slow: it traces the search.
        _, evaluation, checkpoint = _timed(model, (judge, judge, kept), logs)
    return {"step": statistics.median(clock.seconds[_WARM_UP:]), "evaluation": evaluation, "checkpoint": checkpoint}


def _compiled(given: Any) -> keras.Model:
    model = build(given.config)
    if given.training.freeze:
        freeze(model, given.training.freeze)
    precision.use(model, given.training.precision)
    losses = objective.losses_of(given.training, objective.heads_of(given.config))
    model.compile(optimizer=make_optimizer(given.training.optimizer, 1_000_000), **losses)
    return model


def _timed(model: keras.Model, callbacks: Sequence[Any], logs: dict[str, float]) -> Iterator[float]:
    """The seconds that each takes at the end of an interval."""
    for callback in callbacks:
        callback.set_model(model)
        began = time.perf_counter()
        callback.on_epoch_end(0, logs)
        yield time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(_measure(child.read())))

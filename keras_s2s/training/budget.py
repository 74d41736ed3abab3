"""Into how many batches a step is divided, so that each fits into memory."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_s2s.atomic import atomic_write
from keras_s2s.data import Batches
from keras_s2s.errors import UserError
from keras_s2s.memory import keep_freed_memory, most_held, of_process
from keras_s2s.models import ModelConfig, build
from keras_s2s.training import child, memory, precision
from keras_s2s.training.config import TrainingConfig
from keras_s2s.training.objective import heads_of, losses_of
from keras_s2s.training.optimizers import make_optimizer

# Memory of batches of many shapes is somewhat more than that of one: room for holes, and for neighbours.
_SHARE = 0.75
_RECORD = "accumulation.json"
_SHORT_OF_MEMORY = 42  # exit status


def settle(
    config: ModelConfig,
    training: TrainingConfig,
    folder: Path,
    batches_of: Callable[[TrainingConfig], Batches],
    say: Callable[[str], None],
) -> TrainingConfig:
    """Puts a number in the place of `accumulation: auto`: 1, 2, 4 … batches a step, the first that fits into memory.

    Each try is two steps in a process of its own, with the largest batches that there are. A training that goes on
    keeps its number.

    Args:
        config: the model.
        training: how; its `tokens` are of a whole step. One without "auto" is returned as it is.
        folder: where the number is kept.
        batches_of: makes the batches of a training.
        say: is told in a line what was found.

    Raises:
        UserError: the smallest batches are too large, or the device's memory cannot be measured.
    """
    if training.optimizer.accumulation != "auto":
        return training
    if training.devices != "one":
        raise UserError(f"training: accumulation: auto: is for one device, not for {training.devices}; give a number")
    record = folder / _RECORD
    if record.exists():
        return _divided(training, json.loads(record.read_text()))
    free, number = int(memory.free() * _SHARE), 1
    while True:
        tried = _divided(training, number)
        try:
            batches = batches_of(tried)
        except UserError:
            if number == 1:
                raise
            # The longest pair has more ids than the batches now may have, and those before were too large.
            raise UserError(
                f"training: accumulation: auto: batches of {2 * tried.tokens:,} ids need more than {_gigabytes(free)}, "
                "and one pair alone has about as many; lower maximum_length or take a smaller model"
            ) from None
        needed = _needed(config, tried, batches, free)
        if needed is not None and needed <= free:
            break
        number *= 2
    say(f"accumulation: {number} batches a step of {tried.tokens:,} ids: {_gigabytes(needed)} of {_gigabytes(free)}")
    atomic_write(record, lambda path: path.write_text(json.dumps(number)))
    return tried


def is_settled(training: TrainingConfig, folder: Path) -> bool:
    """Whether the number of batches of a step is known without a try."""
    return training.optimizer.accumulation != "auto" or (folder / _RECORD).exists()


def _divided(training: TrainingConfig, number: int) -> TrainingConfig:
    optimizer = training.optimizer.replace(accumulation=number)
    return training.replace(tokens=max(training.tokens // number, 1), optimizer=optimizer)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


@dataclass(frozen=True)
class _Try:
    """The measurement, run in a process of its own."""

    config: ModelConfig
    training: TrainingConfig
    batches: Sequence[Any]
    limit: int


def _needed(config: ModelConfig, training: TrainingConfig, batches: Batches, free: int) -> int | None:
    """Bytes that a training of these batches takes; None is more than are free."""
    done = child.run("keras_s2s.training.budget", _Try(config, training, batches.largest(), free))
    if done.returncode < 0 or done.returncode == _SHORT_OF_MEMORY:
        return None
    if done.returncode:
        raise child.failure(done)
    return int(done.stdout.split()[-1])


def _measure(given: Any) -> int:
    """Trains a little, as a `_Try` says; the bytes that it took."""
    import tensorflow as tf

    before = of_process("VmRSS")
    memory.limit(given.limit)
    keep_freed_memory()
    model = build(given.config)
    precision.use(model, given.training.precision)
    losses = losses_of(given.training, heads_of(given.config))
    model.compile(optimizer=make_optimizer(given.training.optimizer, 1_000_000), **losses)
    try:
        for batch in given.batches:
            for _ in range(2):
                model.train_on_batch(*batch)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        sys.exit(_SHORT_OF_MEMORY)
    return most_held() - before


if __name__ == "__main__":
    print(_measure(child.read()))

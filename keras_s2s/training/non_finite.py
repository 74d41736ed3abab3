"""A training whose loss is no number any more stops, and leaves behind what it choked on."""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_s2s.errors import UserError


class NonFinite(keras.callbacks.Callback):
    """Stops at the first loss that is infinite or no number, and saves the batch.

    By then the step has spoilt the weights. The error leaves `fit` at once, so nothing is saved after it: let this
    callback come before those that save.

    The batch is an .npz file that needs no pickle: `inputs/NAME`, `labels` and `weights` (`labels/HEAD` and
    `weights/HEAD` with several heads), and beside them `step`, counted from 1, and `learning_rate`.

    Args:
        batch_at: makes the batch `(inputs, labels, weights)` of a step, counted from 0, once more.
        folder: for the file.
    """

    def __init__(self, batch_at: Callable[[int], Any], folder: Path) -> None:
        super().__init__()
        self.batch_at, self.folder = batch_at, folder

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the loss.

        Raises:
            UserError: it is not finite.
        """
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            self._stop(loss, int(self.model.optimizer.iterations.numpy()))

    def _stop(self, loss: float, step: int) -> None:
        arrays = dict(_named(self.batch_at(step - 1)))
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        file = self.folder / f"non_finite_step_{step}.npz"
        try:
            _save(file, arrays | {"step": np.array(step), "learning_rate": np.array(rate)})
            where = f"the batch is in {file}"
        except OSError as error:
            where = f"the batch cannot be saved in {file} ({error.strerror})"
        raise UserError(f"training: the loss of step {step} is {loss}: {_advice(arrays, rate)}; {where}")


def _advice(arrays: dict[str, np.ndarray], rate: float) -> str:
    for name, values in arrays.items():
        if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
            rows = np.flatnonzero(~finite.reshape(len(values), -1).all(axis=1))
            some = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
            return f"{name} are not finite in row {some} of its batch; mend the data"
    return (
        f"try a lower learning rate (it is {rate:.3g}), a longer warm-up or a smaller clip_norm, and look at the batch"
        " for what is odd in it"
    )


def _named(batch: Any) -> Iterator[tuple[str, np.ndarray]]:
    for part, values in zip(("inputs", "labels", "weights"), batch, strict=True):
        if isinstance(values, dict):
            yield from ((f"{part}/{name}", np.asarray(value)) for name, value in values.items())
        else:
            yield part, np.asarray(values)


def _save(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes beside and renames. On several machines all processes write the same file, perhaps in one folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"new.{os.getpid()}.{file.name}")
    try:
        with beside.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)

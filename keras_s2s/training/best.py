"""The best model of a run, kept on disk."""

from pathlib import Path
from typing import Any

import keras


class KeepBest(keras.callbacks.Callback):
    """Judges the model on the dev data every few epochs, logs what it finds, and keeps the best model on disk.

    Args:
        path: where the best model is saved, a `.keras` file.
        every: epochs between two judgements; the last epoch is always judged.
        higher_is_better: which values are good.
    """

    def __init__(self, path: Path, every: int = 1, higher_is_better: bool = True) -> None:
        super().__init__()
        self.path, self.every, self.higher_is_better = path, every, higher_is_better
        self.best: float | None = None

    def judge(self) -> dict[str, float]:
        """Values of the model as it is, by name; the first one decides."""
        raise NotImplementedError

    def on_train_begin(self, logs: Any = None) -> None:
        """Forgets nothing when training goes on."""
        score = self.path.with_suffix(".best")
        self.best = float(score.read_text()) if self.path.exists() and score.exists() else None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Judges and saves."""
        if (epoch + 1) % self.every and epoch + 1 != self.params["epochs"]:
            return
        values = self.judge()
        if logs is not None:
            logs.update({f"dev_{name}": value for name, value in values.items()})
        value = next(iter(values.values()))
        if self.best is None or self._is_better(value, self.best):
            self.best = value
            _save(self.model, self.path)
            self.path.with_suffix(".best").write_text(repr(value))

    def _is_better(self, value: float, other: float) -> bool:
        return value > other if self.higher_is_better else value < other


def _save(model: keras.Model, path: Path) -> None:
    """Writes beside and renames, so that an interruption loses nothing."""
    beside = path.with_name(f"new.{path.name}")
    model.save(beside)
    beside.replace(path)

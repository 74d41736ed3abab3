"""What a training says of itself while it runs."""

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_s2s.data import Batches

_MEASURED = 20


class Report(keras.callbacks.Callback):
    """A line at the end of every epoch of `fit`, and on a terminal a bar between.

    Adds `tokens_per_second` to the logs: source and target tokens, padding left out, by the time of training alone. Let
    it come before the callbacks that judge and save; `last` is the callback that writes the line and comes after them.

    Args:
        batches: of the training.
        steps: of the whole training.
        first: steps done before.
        accumulation: batches of a step.
    """

    def __init__(self, batches: Batches, steps: int, first: int = 0, accumulation: int = 1) -> None:
        super().__init__()
        self.batches, self.steps, self.step, self.accumulation = batches, steps, first, accumulation
        self.console = Console(highlight=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.last = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: self._write(logs or {}))
        self._began = 0.0
        self._batches = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Shows the bar."""
        self._bar = self.bar.add_task("training", total=self.steps, completed=self.step, loss=float("nan"))
        self.bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._began, self._batches = time.perf_counter(), 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar."""
        self._batches += 1
        if self._batches % self.accumulation == 0:
            self.step += 1
        self.bar.update(self._bar, completed=self.step, loss=float((logs or {}).get("loss", float("nan"))))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops the clock."""
        seconds = time.perf_counter() - self._began
        end = self.step * self.accumulation
        tokens = sum(map(self.batches.tokens_at, range(end - self._batches, end)))
        if logs is not None:
            logs["tokens_per_second"] = tokens / seconds

    def close(self) -> None:
        """Takes the bar away, however training ended."""
        self.bar.stop()

    def _write(self, logs: dict[str, Any]) -> None:
        epochs = self.step * self.accumulation / len(self.batches)
        parts = [
            f"step {self.step:,} of {self.steps:,}",
            f"epoch {epochs:.1f}",
            f"loss {logs['loss']:.3f}",
            f"rate {float(self.model.optimizer.learning_rate):.2g}",
            f"{logs['tokens_per_second']:,.0f} tokens/s",
            *(f"{name.replace('_', ' ', 1)} {value:.2f}" for name, value in logs.items() if name.startswith("dev_")),
        ]
        self.console.print("  ".join(parts))


def describe(batches: Batches) -> str:
    """A line on the batches: how many, how full, and how fast they come without a model."""
    start = time.perf_counter()
    for _ in batches.dataset().take(_MEASURED):
        pass
    seconds = time.perf_counter() - start
    tokens = sum(map(batches.tokens_at, range(_MEASURED)))
    return (
        f"{len(batches.kept):,} pairs, {len(batches):,} batches an epoch, "
        f"{100 * batches.padding():.0f} % padding, {tokens / seconds:,.0f} tokens/s to read"
    )

"""Progress of a training, on the terminal and in logs."""

import contextlib
import math
import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_s2s import status
from keras_s2s.data import Batches

_MEASURED = 20


class Report(keras.callbacks.Callback):
    """A line at the end of every epoch of `fit`; between, a bar on a terminal, and a line a minute elsewhere.

    Each says about how long the rest of the training will take, if it goes on as it went until then.

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
        self._began, self._first_interval, self._from = 0.0, True, (0.0, first)
        self._ended = 0.0
        self._first, self._batches, self._tokens, self._loss = 0, 0, 0, math.nan
        self._shown = contextlib.ExitStack()

    def on_train_begin(self, logs: Any = None) -> None:
        """Shows the bar."""
        self._bar = self.bar.add_task("training", total=self.steps, completed=self.step, loss=math.nan)
        self.bar.start()
        self._shown.enter_context(status.minutes_of(self.console))
        self._shown.enter_context(status.doing(self._line))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._began, self._batches, self._tokens = time.perf_counter(), 0, 0
        if self.step > self._from[1]:
            self._first_interval, self._from = False, (self._began, self.step)
        self._first = self.step * self.accumulation

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar."""
        self._tokens += self.batches.tokens_at(self._first + self._batches)
        self._batches += 1
        self._loss = float((logs or {}).get("loss", math.nan))
        if self._batches % self.accumulation == 0:
            self.step += 1
        if self._first_interval and self._from[0] == 0:
            self._from = (time.perf_counter(), self.step)  # The first step was traced.
        self.bar.update(self._bar, completed=self.step, loss=self._loss)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops the clock."""
        self._ended = time.perf_counter()
        if logs is not None:
            logs["tokens_per_second"] = self._speed

    def close(self) -> None:
        """Takes the bar away, however training ended."""
        self.bar.stop()
        self._shown.close()

    @property
    def _speed(self) -> float:
        return self._tokens / max(time.perf_counter() - self._began, 1e-9)

    def _line(self) -> str:
        """Where training is, in the middle of an epoch of `fit`."""
        measured = [f"loss {self._loss:.3f}", f"{self._speed:,.0f} tokens/s"] if self._batches else []
        return "  ".join([*self._place(), *measured, *self._left(time.perf_counter())])

    def _place(self) -> list[str]:
        epochs = self.step * self.accumulation / len(self.batches)
        return [f"step {self.step:,} of {self.steps:,}", f"epoch {epochs:.1f}"]

    def _left(self, now: float) -> list[str]:
        """How long the rest will take, where that can be known."""
        since, step = self._from
        done, left = self.step - step, self.steps - self.step
        return [f"{status.duration((now - since) / done * left)} left"] if done and left else []

    def _write(self, logs: dict[str, Any]) -> None:
        parts = [
            *self._place(),
            f"loss {logs['loss']:.3f}",
            f"rate {float(self.model.optimizer.learning_rate):.2g}",
            f"{logs['tokens_per_second']:,.0f} tokens/s",
            *(f"{name.replace('_', ' ', 1)} {value:.2f}" for name, value in logs.items() if name.startswith("dev_")),
            # The first evaluation is slow: it traces the search.
            *self._left(self._ended if self._first_interval else time.perf_counter()),
        ]
        self.console.print("  ".join(parts))
        status.spoken()


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

"""How long an export will take yet."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_s2s.status import duration


class Work(NamedTuple):
    """What a step takes, each in a unit of its own.

    Attributes:
        making: of graphs and files, which hardly depends on how large a model is.
        decoding: of sentences, which does.
    """

    making: float = 0.0
    decoding: float = 0.0


Phases = Sequence[Sequence[Mapping[str, Work]]]
"""One after the other. A phase has lanes side by side, and a lane has steps, by name and in their order."""


class Remaining:
    """Says what is being done, and how much time is left.

    Lanes share the cores of a machine, so the time that passes is that of the work of all. Making and decoding each
    have a pace. That of making is found in the first phase, which decodes nothing; the rest of the time that has passed
    is that of decoding. So nothing is told before a step that decodes is done.

    Args:
        say: is told in words.
        phases: what is to be done; of what is not among it no time is told.
        clock: seconds, from any beginning on.
    """

    def __init__(self, say: Callable[[str], None], phases: Phases, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock, self._begun = say, clock, clock()
        lanes = [(phase, steps) for phase, lanes in enumerate(phases) for steps in lanes]
        steps = [(phase, lane, *step) for lane, (phase, steps) in enumerate(lanes) for step in steps.items()]
        self._numbers = {name: number for number, (_, _, name, _) in enumerate(steps)}
        self._phases, self._lanes = np.array([step[:2] for step in steps]).T
        self._works = np.array([work for *_, work in steps])
        self._done = np.zeros(len(steps))  # The share of each.
        self._making: float | None = None  # Seconds a unit, once it is known.
        self._lock = threading.Lock()  # Each lane may be a thread.

    def __call__(self, what: str) -> None:
        """Says that something begins; of a step all before it are done."""
        left = self.left(what) if what in self._numbers else None
        if left is None:
            self._say(what)
        else:
            rounded = left if left < 60 else 60 * round(left / 60)
            self._say(f"{what} ({duration(rounded)} left)")

    def left(self, step: str) -> float | None:
        """Seconds that are left when a step begins; None while nothing can be told."""
        number = self._numbers[step]
        with self._lock:
            in_lane = self._lanes == self._lanes[number]
            in_lane[number:] = False
            self._done[in_lane | (self._phases < self._phases[number])] = 1
            found = self._left(self._phases[number] > 0)
            self._done[number] = 0.5  # So much of it is done on average when a step of another lane begins.
        return found

    def _left(self, can_decode: bool) -> float | None:
        passed = self._clock() - self._begun
        made, decoded = self._done @ self._works
        if can_decode and self._making is None:
            self._making = passed / made
        if self._making is None or not (self._works[self._done == 1, 1] > 0).any():
            return None
        decoding = max(passed - self._making * made, 0) / decoded
        return float((1 - self._done) @ self._works @ (self._making, decoding))

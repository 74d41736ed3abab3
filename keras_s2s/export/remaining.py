"""How long an export will take yet."""

import time
from collections.abc import Callable, Mapping

from keras_s2s.status import duration

_SURE = 5.0  # seconds, before which nothing can be told


class Remaining:
    """Says what is being done, and how much time is left.

    Args:
        say: is told in words.
        work: the steps in their order, and how long each takes, in any unit; what is not among them may be said, too.
        clock: seconds, from any beginning on.
    """

    def __init__(
        self, say: Callable[[str], None], work: Mapping[str, float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._work, self._clock = say, work, clock
        self._begun = clock()

    def __call__(self, what: str) -> None:
        """Says that something begins; of a step all before it are done."""
        passed, steps = self._clock() - self._begun, list(self._work)
        if what not in self._work or passed < _SURE:
            self._say(what)
            return
        costs, place = list(self._work.values()), steps.index(what)
        done, left = sum(costs[:place]), sum(costs[place:])
        self._say(f"{what} ({duration(passed / done * left)} left)" if done else what)

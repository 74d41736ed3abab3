"""Statistics of a model since it was loaded, as the Open Inference Protocol's extension counts them."""

import time
from dataclasses import dataclass, field


@dataclass
class Times:
    """How often something took time, and how long in all; seconds."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """It happened once more."""
        self.count += 1
        self.seconds += seconds


@dataclass(frozen=True)
class Phases:
    """When what happened to a request that waits no more; seconds of `time.perf_counter`.

    Attributes:
        came: its texts were in the queue.
        given: a worker took the first of them.
        ended: the last of them was done.
    """

    came: float
    given: float
    ended: float


@dataclass
class Statistics:
    """Requests of a model, however they came: generating and scoring, streams too.

    Attributes:
        inferences: texts of requests that were answered.
        last: when a request was answered last; seconds of `time.time`, 0 if none was.
        success: requests that were answered.
        fail: requests that were refused or given up.
        compute_input: of those answered: until their texts, as ids, were in the queue.
        queue: until a worker took the first text.
        compute_infer: until the last text was done.
        compute_output: until the answer was written.
    """

    inferences: int = 0
    last: float = 0.0
    success: Times = field(default_factory=Times)
    fail: Times = field(default_factory=Times)
    compute_input: Times = field(default_factory=Times)
    queue: Times = field(default_factory=Times)
    compute_infer: Times = field(default_factory=Times)
    compute_output: Times = field(default_factory=Times)

    def answered(self, texts: int, begin: float, phases: Phases, end: float) -> None:
        """A request of so many texts has its answer; its times are of `time.perf_counter`."""
        self.inferences += texts
        self.last = time.time()
        self.success.add(end - begin)
        self.compute_input.add(phases.came - begin)
        self.queue.add(phases.given - phases.came)
        self.compute_infer.add(phases.ended - phases.given)
        self.compute_output.add(end - phases.ended)

    def failed(self, seconds: float) -> None:
        """A request was refused or given up after so long."""
        self.fail.add(seconds)

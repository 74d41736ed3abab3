"""A bundle as a worker has it: its graphs, and the lanes in which they work."""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.generator import Plan
from keras_s2s.runtime.graph import Candidates
from keras_s2s.runtime.targets import Pair
from keras_s2s.serving.jobs import Job, Lane
from keras_s2s.serving.lanes import StepLane, WholeLane
from keras_s2s.serving.messages import Generate, How, Score, packed_hypotheses, packed_score
from keras_s2s.serving.plans import Plans

_NOT_OF_A_SEARCH = {"alignment": False, "replace_unknown": False}


class Graphs:
    """Makes jobs of tasks.

    Args:
        folder: of the bundle.
        how: the worker works.

    Raises:
        UserError: as `Generator.load`.
    """

    def __init__(self, folder: str, how: How) -> None:
        self._how = how
        self._generator = Generator.load(folder, how.precision, how.threads)
        self._plans = Plans(self._generator)
        bundle = self._generator.bundle
        self._steps = {
            graph: Steps.of(bundle, graph, how.precision, how.threads)
            for graph in bundle.manifest.steps
            if bundle.has_steps(graph, how.precision)
        }

    def job(self, task: Generate | Score) -> Job:
        """The job of a task."""
        if isinstance(task, Score):
            key, lane = self._scored()
            pair = Pair(task.source, task.target)
            return Job(task.number, key, lane, pair, packed_score, task.came, bundle=task.bundle)
        plan = self._plans(task.options, task.prefixed)
        sentence = Sentence(*task.sentence)
        key, lane = self._stepwise(plan) if task.engine == "steps" else self._whole(plan)
        finish = partial(self._finish, task.text, sentence, plan)
        progress = task.progress and task.engine == "steps"
        return Job(task.number, key, lane, sentence, finish, task.came, progress, bundle=task.bundle)

    def _finish(self, text: str, sentence: Sentence, plan: Plan, found: Candidates) -> Any:
        return packed_hypotheses(self._generator.hypotheses(text, sentence, found, plan.options))

    def _stepwise(self, plan: Plan) -> tuple[Hashable, Callable[[], Lane]]:
        """What the texts of a batch have in common that is decoded a step at a time, and what makes its lane."""
        steps = self._steps[plan.graph]
        key = (self, plan.graph, *steps.shared(plan.options, plan.suppressed))
        return key, lambda: StepLane(steps, plan.options, plan.suppressed)

    def _whole(self, plan: Plan) -> tuple[Hashable, Callable[[], Lane]]:
        """The same of batches that are decoded from beginning to end."""
        search = partial(self._generator.search, plan=plan)
        key = (self, plan.graph, plan.options.model_copy(update=_NOT_OF_A_SEARCH))
        return key, lambda: WholeLane(search, _count, self._how.batch_size)

    def _scored(self) -> tuple[Hashable, Callable[[], Lane]]:
        """The same of batches of pairs."""
        score = self._generator.score_pairs
        return (self, "score"), lambda: WholeLane(score, lambda found: len(found.token_scores), self._how.batch_size)


def _count(found: Candidates) -> int:
    """Tokens of the best, its end counted; there may be none."""
    return sum(len(best.tokens) + 1 for best in found[:1])

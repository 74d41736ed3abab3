"""A bundle as a worker has it: its graphs, and the batchers that run them."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from typing import Any

from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.generator import Plan
from keras_s2s.runtime.graph import Candidates
from keras_s2s.runtime.targets import Pair
from keras_s2s.serving.batchers import ContinuousBatcher, StaticBatcher
from keras_s2s.serving.jobs import Batcher, ScheduledJob
from keras_s2s.serving.messages import Job, Score, WorkerOptions, packed_hypotheses, packed_score
from keras_s2s.serving.plan_cache import PlanCache
from keras_s2s.special_ids import EOS

# What a text may want for itself, whoever shares its batch.
_OF_A_TEXT = {"alignment": False, "replace_unknown": False, "scores": True}


class WorkerModel:
    """A bundle that a worker has loaded; it makes jobs ready for a scheduler.

    Args:
        folder: of the bundle.
        options: of the worker.

    Raises:
        UserError: as `Generator.load`.
    """

    def __init__(self, folder: str, options: WorkerOptions) -> None:
        providers = [options.provider]
        self._generator = Generator.load(folder, options.precision, options.threads, providers)
        self._plans = PlanCache(self._generator)
        bundle, precision = self._generator.bundle, self._generator.precision
        self._steps = {
            graph: Steps.of(bundle, graph, precision, options.threads, providers)
            for graph in bundle.manifest.steps
            if bundle.has_steps(graph, precision)
        }
        # Loads the default graph, for the first request is not to wait for it.
        self._generator.search([Sentence([EOS])], self._plans({}, False))

    def scheduled(self, job: Job) -> ScheduledJob:
        """The job, ready for a scheduler."""
        if isinstance(job, Score):
            key, batcher = self._scored()
            pair = Pair(job.source, job.target)
            return ScheduledJob(job.number, key, batcher, pair, packed_score, job.came, bundle=job.bundle)
        plan = self._plans(job.options, job.prefixed)
        sentence = Sentence(*job.sentence)
        of_batch = replace(plan, options=plan.options.model_copy(update=_OF_A_TEXT))
        key, batcher = self._stepwise(of_batch) if job.scheduler == "steps" else self._whole(of_batch)
        finish = partial(self._finish, job.text, sentence, plan)
        return ScheduledJob(job.number, key, batcher, sentence, finish, job.came, bundle=job.bundle)

    def _finish(self, text: str, sentence: Sentence, plan: Plan, found: Candidates) -> Any:
        return packed_hypotheses(self._generator.hypotheses(text, sentence, found, plan.options))

    def _stepwise(self, plan: Plan) -> tuple[Hashable, Callable[[], Batcher]]:
        """The key of texts that one continuous batcher can take, and a function that makes it."""
        steps = self._steps[plan.graph]
        key = (self, plan.graph, *steps.shared(plan.options, plan.suppressed))
        return key, lambda: ContinuousBatcher(steps, plan.options, plan.suppressed)

    def _whole(self, plan: Plan) -> tuple[Hashable, Callable[[], Batcher]]:
        """The same of a static batcher that searches."""
        search = partial(self._generator.search, plan=plan)
        key = (self, plan.graph, plan.options)
        return key, lambda: StaticBatcher(search, _count)

    def _scored(self) -> tuple[Hashable, Callable[[], Batcher]]:
        """The same of a static batcher that scores."""
        score = self._generator.score_pairs
        return (self, "score"), lambda: StaticBatcher(score, lambda found: len(found.token_scores))


def _count(found: Candidates) -> int:
    """Tokens of the best, its end counted; there may be none."""
    return sum(len(best.tokens) + 1 for best in found[:1])

"""From a request to its results: which model, which options, what it may ask, and how long it may take."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from keras_s2s.errors import UserError
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.generator import Plan, nothing
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.messages import Generate, Job, Score, hypotheses, scored
from keras_s2s.serving.model_repository import ModelRepository
from keras_s2s.serving.pool import Pool
from keras_s2s.serving.process import SubmittedJob
from keras_s2s.serving.served_model import ServedModel
from keras_s2s.serving.settings import Settings
from keras_s2s.serving.statistics import Phases


class PendingRequest:
    """The results of a request, as they come. Lives on the event loop."""

    def __init__(self, results: list[Any], pool: Pool) -> None:
        """`results` has None where one is still to come, from the pool."""
        self.results, self._pool = results, pool
        self.jobs: list[SubmittedJob] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.news: asyncio.Event = asyncio.Event()
        self._begun = asyncio.get_running_loop().time()
        self._came = self._ended = time.perf_counter()
        if any(result is not None for result in results):
            self.news.set()
        self.written: dict[int, list[int]] = {}
        self._given_up = False
        self._settle()

    def add(self, place: int, job: Job, read: Callable[[Any], Any]) -> None:
        """Adds what makes the result of one text; `read` makes it of what is reported."""
        self.jobs.append(SubmittedJob(job, partial(self._end, place, read), partial(self._progress, place)))

    def _end(self, place: int, read: Callable[[Any], Any], found: Any) -> None:
        """The result of one text, or the exception in its place."""
        self.results[place] = found if isinstance(found, Exception) else read(found)
        self._ended = time.perf_counter()
        self.written.pop(place, None)
        self.news.set()
        self._settle()

    def _progress(self, place: int, ids: list[int]) -> None:
        """Keeps the ids that one text has so far; only the newest is kept, however slowly it is read."""
        if self.results[place] is None:
            self.written[place] = ids
            self.news.set()

    def left(self, seconds: float) -> float:
        """The rest of the seconds that a request may take, at least 0."""
        return max(0.0, self._begun + seconds - asyncio.get_running_loop().time())

    def newest(self) -> dict[int, list[int]]:
        """The ids that texts have so far, of those that have more than at the last call."""
        written, self.written = self.written, {}
        return written

    async def changed(self) -> None:
        """Waits for something new."""
        await self.news.wait()
        self.news.clear()

    @property
    def phases(self) -> Phases | None:
        """When what happened; None unless there was a result for every text in time."""
        if self._given_up or any(result is None or isinstance(result, Exception) for result in self.results):
            return None
        given = min((job.given for job in self.jobs), default=self._came)
        return Phases(self._came, given, self._ended)

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._pool.cancel(self.jobs)

    def give_up(self) -> None:
        """It is too late, whatever still comes."""
        self._given_up = True
        self.cancel()

    def _settle(self) -> None:
        if not self.done.done() and all(result is not None for result in self.results):
            self.done.set_result(None)


class Service:
    """The work of a server, without HTTP.

    Args:
        models: of the server.
        pool: its workers.
        settings: of the server.
    """

    def __init__(self, models: ModelRepository, pool: Pool, settings: Settings) -> None:
        self.models, self.settings = models, settings
        self._pool = pool

    @property
    def ready(self) -> bool:
        """Whether requests are answered now."""
        return self._pool.alive

    def seconds(self, asked: float | None) -> float:
        """How long a request may take."""
        return self.settings.timeout if asked is None else min(asked, self.settings.timeout)

    def overload(self) -> HTTPProblem | None:
        """Why no further requests are taken now, if that is so."""
        try:
            self._pool.check_room()
        except HTTPProblem as problem:
            return problem
        return None

    def executions(self, model: ServedModel) -> int:
        """How many batches were computed with a model since it was loaded; `Pool.executions` says what counts."""
        return self._pool.executions[model.number]

    def generate(
        self,
        model: ServedModel,
        texts: Sequence[str],
        prefixes: Sequence[str] | None,
        options: Mapping[str, Any],
        progress: bool = False,
    ) -> PendingRequest:
        """Begins to generate.

        Args:
            model: to run.
            texts: the sources.
            prefixes: what the outputs begin with, if they have to.
            options: of a call of a `Generator`.
            progress: whether anybody wants to know what was written so far.

        Returns:
            The request; its results will be a list of hypotheses for each text.

        Raises:
            HTTPProblem: an option or a text that is not taken, or too much waits.
        """
        self._check_count(len(texts))
        if prefixes is not None and len(prefixes) != len(texts):
            raise HTTPProblem(
                422, f"prefix: {len(prefixes)} prefixes for {len(texts)} texts; give one for each, '' for none"
            )
        prefixed = prefixes is not None and any(prefixes)
        plan = self.plan(model, options, prefixed)
        # Whole batches are quicker: pipelines/benchmarks/serving compares them.
        scheduler = "steps" if progress and model.has_steps(plan.graph) else "whole"
        self._pool.check_room()
        with _refused(model):
            sentences = model.generator.sentences(texts, prefixes or [""] * len(texts), plan.options)
        self._check_lengths(sentences)
        blank = [nothing(plan.options)]
        pending = PendingRequest([blank if sentence is None else None for sentence in sentences], self._pool)
        filled = [(place, sentence) for place, sentence in enumerate(sentences) if sentence is not None]
        # Those of like length share batches.
        for place, sentence in sorted(filled, key=lambda one: len(one[1])):
            item = (sentence.ids, sentence.number, sentence.prefix, sentence.limit, sentence.scores)
            about = self._pool.number(), model.number, scheduler, time.perf_counter()
            pending.add(place, Generate(*about, dict(options), prefixed, texts[place], item), hypotheses)
        self._pool.submit(pending.jobs)
        return pending

    def score(self, model: ServedModel, sources: Sequence[str], targets: Sequence[str]) -> PendingRequest:
        """Begins to score.

        Returns:
            The request; its results will be a `Scored` for each pair.

        Raises:
            HTTPProblem: as `generate`, or the bundle has no graph "score".
        """
        self._check_count(max(len(sources), len(targets)))
        self._pool.check_room()
        with _refused(model):
            model.check_scores()
            pairs = model.generator.pairs(sources, targets, strict=True)
        if (longest := max(len(pair.target) for pair in pairs)) > self.settings.max_tokens:
            raise HTTPProblem(
                422, f"target: {longest} tokens, at most {self.settings.max_tokens} are taken; shorten it"
            )
        pending = PendingRequest([None for _ in pairs], self._pool)
        for place, pair in enumerate(pairs):
            about = self._pool.number(), model.number, "whole", time.perf_counter()
            pending.add(place, Score(*about, list(pair.source), list(pair.target)), scored)
        self._pool.submit(pending.jobs)
        return pending

    def plan(self, model: ServedModel, given: Mapping[str, Any], prefixed: bool) -> Plan:
        """The plan that follows from the options of a request.

        Args:
            model: to run.
            given: options of a call of a `Generator`.
            prefixed: whether outputs have to begin with something.

        Raises:
            HTTPProblem: a wrong option, or one that no graph of the model can do.
        """
        with _refused(model):
            plan = model.plan(given, prefixed)
        options, most = plan.options, self.settings.max_beam
        groups = model.manifest.diverse_groups if options.strategy == "diverse" else 1
        hypotheses = max(options.beam_size * groups, options.n_best)
        if hypotheses > most:
            raise HTTPProblem(422, f"beam_size, n_best: {hypotheses} hypotheses a text, at most {most} are taken")
        return plan

    def _check_lengths(self, sentences: Sequence[Sentence | None]) -> None:
        most = self.settings.max_tokens
        lengths = [sentence.limit or 0 for sentence in sentences if sentence is not None]
        if lengths and max(lengths) > most:
            raise HTTPProblem(
                422,
                f"max_length_factor, max_length_extra: up to {max(lengths)} tokens could come out, at most {most} are "
                "taken; ask for fewer or send a shorter text",
            )

    def _check_count(self, texts: int) -> None:
        most = self.settings.max_texts
        if texts > most:
            raise HTTPProblem(413, f"{texts} texts, at most {most} are taken at a time; send several requests")


@contextlib.contextmanager
def _refused(model: ServedModel) -> Iterator[None]:
    """Makes a problem of what a model refuses; a client knows a model by name, not where it lies."""
    try:
        yield
    except UserError as error:
        raise HTTPProblem(422, str(error).replace(str(model.generator.bundle.path), model.name)) from None

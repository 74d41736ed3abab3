"""From a request to its results: which model, which options, what it may ask, and how long it may take."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from keras_s2s.errors import UserError
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.generator import NOTHING, Plan
from keras_s2s.serving.engine import Calls, Engine, FullError
from keras_s2s.serving.jobs import Job
from keras_s2s.serving.loaded import Loaded
from keras_s2s.serving.meter import Meter
from keras_s2s.serving.models import Models
from keras_s2s.serving.refusal import Refusal
from keras_s2s.serving.settings import Settings


class Pending:
    """The results of a request, as they come. Lives on the event loop."""

    def __init__(self, results: list[Any]) -> None:
        """`results` has None where one is still to come."""
        self.results = results
        self.jobs: list[Job] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.news: asyncio.Event = asyncio.Event()
        self._begun = asyncio.get_running_loop().time()
        if any(result is not None for result in results):
            self.news.set()
        self.written: dict[int, list[int]] = {}
        self._settle()

    def end(self, place: int, result: Any) -> None:
        """The result of one text, or the exception in its place."""
        self.results[place] = result
        self.written.pop(place, None)
        self.news.set()
        self._settle()

    def progress(self, place: int, ids: list[int]) -> None:
        """What one text has so far; only the newest is kept, however slowly it is read."""
        if self.results[place] is None:
            self.written[place] = ids
            self.news.set()

    def left(self, seconds: float) -> float:
        """What is left of the seconds that a request may take, at least 0."""
        return max(0.0, self._begun + seconds - asyncio.get_running_loop().time())

    def newest(self) -> dict[int, list[int]]:
        """What texts have so far, of those that have more than when this was asked last."""
        written, self.written = self.written, {}
        return written

    async def changed(self) -> None:
        """Waits for something new."""
        await self.news.wait()
        self.news.clear()

    def cancel(self) -> None:
        """Nobody waits any more."""
        for job in self.jobs:
            job.cancelled = True

    def _settle(self) -> None:
        if not self.done.done() and all(result is not None for result in self.results):
            self.done.set_result(None)


class Service:
    """What a server does, without HTTP. Made on the event loop that it works with.

    Args:
        models: it has.
        settings: of the server.
        meter: is told what happens.
    """

    def __init__(self, models: Models, settings: Settings, meter: Meter) -> None:
        self.models, self.settings = models, settings
        self.draining = False
        loop = asyncio.get_running_loop()

        def post(calls: Calls) -> None:
            loop.call_soon_threadsafe(_run, calls)

        made = partial(Engine, workers=settings.workers, queue=settings.queue, post=post, meter=meter)
        self._steps = made("steps", batch_size=settings.batch_size)
        self._whole = made("whole", batch_size=4 * settings.batch_size)

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return not self.draining and self._steps.alive and self._whole.alive

    def seconds(self, asked: float | None) -> float:
        """How long a request may take."""
        return self.settings.timeout if asked is None else min(asked, self.settings.timeout)

    def overload(self) -> Refusal | None:
        """Why no further requests are taken now, if that is so."""
        try:
            self._steps.check_room()
            self._whole.check_room()
        except FullError as error:
            return Refusal(429, str(error), error.seconds)
        return None

    def close(self) -> None:
        """Waits until all that was taken is done."""
        self.draining = True
        self._steps.close()
        self._whole.close()

    def generate(
        self,
        loaded: Loaded,
        texts: Sequence[str],
        prefixes: Sequence[str] | None,
        options: Mapping[str, Any],
        progress: bool = False,
    ) -> Pending:
        """Begins to generate.

        Args:
            loaded: the model.
            texts: the sources.
            prefixes: what the outputs begin with, if they have to.
            options: of a call of a `Generator`.
            progress: whether anybody wants to know what was written so far.

        Returns:
            What will have a list of hypotheses for each text.

        Raises:
            Refusal: an option or a text that is not taken, or too much waits.
        """
        self._check_count(len(texts))
        if prefixes is not None and len(prefixes) != len(texts):
            raise Refusal(
                422, f"prefix: {len(prefixes)} prefixes for {len(texts)} texts; give one for each, '' for none"
            )
        plan = self._plan(loaded, options, prefixed=prefixes is not None and any(prefixes))
        stepwise = loaded.has_steps(plan.graph)
        engine = self._steps if stepwise else self._whole
        if refusal := self.overload():
            raise refusal
        with _refused(loaded):
            sentences = loaded.generator.sentences(texts, prefixes or [""] * len(texts), plan.options)
        self._check_lengths(sentences)
        pending = Pending([[NOTHING] if sentence is None else None for sentence in sentences])
        key, lane = loaded.stepwise(plan) if stepwise else loaded.whole(plan)
        for place, (text, sentence) in enumerate(zip(texts, sentences, strict=True)):
            if sentence is not None:
                finish = partial(loaded.generator.hypotheses, text, sentence, options=plan.options)
                shown = partial(pending.progress, place) if progress and stepwise else None
                pending.jobs.append(Job(key, lane, sentence, finish, partial(pending.end, place), shown))
        with _refused(loaded):
            engine.submit(pending.jobs)
        return pending

    def score(self, loaded: Loaded, sources: Sequence[str], targets: Sequence[str]) -> Pending:
        """Begins to score.

        Returns:
            What will have a `Scored` for each pair.

        Raises:
            Refusal: as `generate`, or the bundle has no graph "score".
        """
        self._check_count(max(len(sources), len(targets)))
        if refusal := self.overload():
            raise refusal
        with _refused(loaded):
            loaded.check_scores()
            pairs = loaded.generator.pairs(sources, targets, strict=True)
        if (longest := max(len(pair.target) for pair in pairs)) > self.settings.max_tokens:
            raise Refusal(422, f"target: {longest} tokens, at most {self.settings.max_tokens} are taken; shorten it")
        pending = Pending([None for _ in pairs])
        for place, pair in enumerate(pairs):
            key, lane = loaded.scored()
            pending.jobs.append(Job(key, lane, pair, lambda found: found, partial(pending.end, place)))
        with _refused(loaded):
            self._whole.submit(pending.jobs)
        return pending

    def _plan(self, loaded: Loaded, given: Mapping[str, Any], prefixed: bool) -> Plan:
        with _refused(loaded):
            known = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
            plan = loaded.plan(tuple(sorted({**known, "strict": True}.items())), prefixed)
        options, most = plan.options, self.settings.max_beam
        groups = loaded.manifest.diverse_groups if options.strategy == "diverse" else 1
        hypotheses = max(options.beam_size * groups, options.n_best)
        if hypotheses > most:
            raise Refusal(422, f"beam_size, n_best: {hypotheses} hypotheses a text, at most {most} are taken")
        return plan

    def _check_lengths(self, sentences: Sequence[Sentence | None]) -> None:
        most = self.settings.max_tokens
        lengths = [sentence.limit or 0 for sentence in sentences if sentence is not None]
        if lengths and max(lengths) > most:
            raise Refusal(
                422,
                f"max_length_factor, max_length_extra: up to {max(lengths)} tokens could come out, at most {most} are "
                "taken; ask for fewer or send a shorter text",
            )

    def _check_count(self, texts: int) -> None:
        most = self.settings.max_texts
        if texts > most:
            raise Refusal(413, f"{texts} texts, at most {most} are taken at a time; send several requests")


@contextlib.contextmanager
def _refused(loaded: Loaded) -> Iterator[None]:
    """Makes a refusal of what a model or an engine refuses; a client knows a model by name, not where it lies."""
    try:
        yield
    except FullError as error:
        raise Refusal(429, str(error), error.seconds) from None
    except UserError as error:
        raise Refusal(422, str(error).replace(str(loaded.generator.bundle.path), loaded.name)) from None


def _run(calls: Calls) -> None:
    for call in calls:
        call()

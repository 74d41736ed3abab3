"""Metrics for Prometheus: counters, gauges and times."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from keras_s2s.serving.messages import RoundMetrics

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STEP_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


class Metrics:
    """The metrics of a server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._made(Counter, "requests", "Requests answered.", "path", "status")
        self._seconds = self._made(
            Histogram, "request_seconds", "From a request to the end of its answer.", "path", buckets=_SECONDS
        )
        self._rejections = self._made(Counter, "rejections", "Requests refused, by status.", "status")
        self._reloads = self._made(
            Counter, "reloads", "Bundles that took another's place, or failed.", "model", "outcome"
        )
        self._running = self._made(Gauge, "running", "Texts in batches.", "engine")
        self._waiting = self._made(Gauge, "waiting", "Texts that wait for a worker.", "engine")
        self._queue_wait = self._made(
            Histogram, "queue_wait_seconds", "A text's wait for a worker.", "engine", buckets=_SECONDS
        )
        self._first_token = self._made(
            Histogram, "time_to_first_token_seconds", "From a text's coming to its first token.", buckets=_SECONDS
        )
        self._step = self._made(
            Histogram, "token_seconds", "A step: one token more for each text of a batch.", buckets=_STEP_SECONDS
        )
        self._fill = self._made(
            Histogram, "batch_fill", "Texts of a batch, of the most it takes.", "engine", buckets=_SHARES
        )
        self._real = self._made(Counter, "source_tokens", "Source tokens of batches.", "engine")
        self._padding = self._made(Counter, "source_padding", "Padding beside them, the waste.", "engine")
        self._tokens = self._made(Counter, "tokens", "Tokens written, ends counted.", "engine")
        self._texts = self._made(Counter, "texts", "Texts finished.", "engine")

    def _made(self, kind: Any, name: str, what: str, *labels: str, **options: Any) -> Any:
        return kind(f"keras_s2s_{name}", what, labels, registry=self.registry, **options)

    def text(self) -> bytes:
        """All metrics, in Prometheus's text format."""
        return generate_latest(self.registry)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request has its answer; `path` is that of its route."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)
        if status in (413, 429, 503, 504):
            self._rejections.labels(status).inc()

    def reloaded(self, model: str, outcome: str) -> None:
        """A bundle was "replaced", or its replacement "failed"."""
        self._reloads.labels(model, outcome).inc()

    def of_scheduler(
        self, name: str, capacity: int, running: Callable[[], int], waiting: Callable[[], int]
    ) -> "SchedulerMetrics":
        """The metrics of the schedulers of one name, of all workers.

        Args:
            name: the value of the label "engine".
            capacity: the most texts that each takes at a time.
            running: tells how many texts are in batches.
            waiting: tells how many wait.
        """
        self._running.labels(name).set_function(running)
        self._waiting.labels(name).set_function(waiting)
        return SchedulerMetrics(
            capacity,
            self._queue_wait.labels(name),
            self._first_token,
            self._step,
            self._fill.labels(name),
            *(counter.labels(name) for counter in (self._real, self._padding, self._tokens, self._texts)),
        )


class SchedulerMetrics:
    """Metrics of the schedulers of one name; its fields are metrics of a `Metrics` of the same names."""

    def __init__(
        self,
        capacity: int,
        queue_wait: Any,
        first_token: Any,
        step: Any,
        fill: Any,
        real: Any,
        padding: Any,
        tokens: Any,
        texts: Any,
    ) -> None:
        self._capacity = capacity
        self._queue_wait, self._first_token, self._step, self._fill = queue_wait, first_token, step, fill
        self._real, self._padding, self._tokens, self._texts = real, padding, tokens, texts

    def taken(self, seconds: float) -> None:
        """A worker took a text that had waited so long."""
        self._queue_wait.observe(seconds)

    def round(self, measured: RoundMetrics) -> None:
        """A scheduler has done a round."""
        if measured.texts:
            self._fill.observe(measured.texts / self._capacity)
            self._real.inc(measured.real)
            self._padding.inc(measured.places - measured.real)
        if measured.seconds is not None:
            self._step.observe(measured.seconds)
        for seconds in measured.first:
            self._first_token.observe(seconds)
        self._tokens.inc(measured.tokens)
        self._texts.inc(measured.finished)

"""Speed and memory of a bundle on a user's texts."""

import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_s2s.memory import most_held
from keras_s2s.runtime.generator import Generator
from keras_s2s.runtime.providers import CPU

_PERCENTILES = (50, 95, 99)
_LEAST = 3  # batches, however long each takes


@dataclass(frozen=True)
class Setting:
    """A configuration to measure.

    Attributes:
        precision: which of the bundle's graphs.
        threads: of an operator.
        batch_size: texts of a call.
        beam_size: 1 is greedy; None decodes as the bundle does by default.
        provider: a name of `PROVIDERS`.
    """

    precision: str
    threads: int
    batch_size: int
    beam_size: int | None = None
    provider: str = CPU


@dataclass(frozen=True)
class Timing:
    """The measurements of a setting.

    Attributes:
        setting: that was measured.
        calls: how many were timed.
        p50: milliseconds of a call, from text to text: the median.
        p95: which 95 % of the calls do not exceed.
        p99: which 99 % do not.
        tokens_per_second: written, the end of each text counted.
        texts_per_second: read.
        load_seconds: from the bundle's folder to the first answer.
        megabytes: the most memory of the process; None where the system does not say.
    """

    setting: Setting
    calls: int
    p50: float
    p95: float
    p99: float
    tokens_per_second: float
    texts_per_second: float
    load_seconds: float
    megabytes: float | None


def bench(
    path: str | os.PathLike[str], texts: Sequence[str], settings: Sequence[Setting], seconds: float
) -> Iterator[Timing]:
    """Measures settings one after the other, each in a process of its own, so that memory is its own too.

    Args:
        path: a bundle's folder.
        texts: are decoded in their order, and again from the first, until the time is over.
        settings: what to measure.
        seconds: how long each is measured.
    """
    for setting in settings:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            yield process.submit(measure, path, texts, setting, seconds).result()


def measure(path: str | os.PathLike[str], texts: Sequence[str], setting: Setting, seconds: float) -> Timing:
    """Measures one setting in this process; its memory is the most that the process has ever had."""
    options: dict[str, Any] = {"batch_size": setting.batch_size, "scores": False}
    if setting.beam_size is not None:
        options |= {"strategy": "beam" if setting.beam_size > 1 else "greedy", "beam_size": setting.beam_size}
    again = itertools.cycle(texts)
    start = time.perf_counter()
    generator = Generator.load(path, setting.precision, setting.threads, [setting.provider])
    generator([next(again)], **options)
    loaded = time.perf_counter() - start
    calls: list[float] = []
    tokens = 0
    while sum(calls) < seconds or len(calls) < _LEAST:
        batch = list(itertools.islice(again, setting.batch_size))
        start = time.perf_counter()
        found = generator(batch, **options)
        calls.append(time.perf_counter() - start)
        tokens += sum(len(best.tokens) + 1 for best, *_ in found)
    total = sum(calls)
    p50, p95, p99 = (float(p) for p in np.percentile(calls, _PERCENTILES) * 1000)
    texts_per_second = len(calls) * setting.batch_size / total
    return Timing(setting, len(calls), p50, p95, p99, tokens / total, texts_per_second, loaded, _megabytes())


def _megabytes() -> float | None:
    try:
        return most_held() / 1e6
    except OSError:
        return None

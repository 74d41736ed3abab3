"""Quality, size and speed of each form of a model."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from keras_s2s.evaluation import evaluate
from keras_s2s.export.checks import Check
from keras_s2s.export.forms import Form, variables_of
from keras_s2s.export.verify import BATCH, decode
from keras_s2s.text import Tokenizer


class ParallelText(Protocol):
    """Sources and their references, as `data.Pairs` holds them."""

    @property
    def sources(self) -> Sequence[str]:
        """One text each."""

    @property
    def targets(self) -> Sequence[str]:
        """As many."""


@dataclass(frozen=True)
class Measured:
    """One form's row in the report.

    Attributes:
        form: "Keras", "SavedModel", "ONNX fp32" or "ONNX int8".
        metrics: by name.
        megabytes: on disk.
        sentences_per_second: in batches of 32 of like length, all threads; the median of three runs.
        texts: what it generated.
    """

    form: str
    metrics: dict[str, float]
    megabytes: float
    sentences_per_second: float
    texts: list[str]


def onnx_title(precision: str) -> str:
    """The name of a precision's graphs in a report, and among the metrics of a bundle."""
    return f"ONNX {precision}"


def measure(
    name: str,
    form: Form,
    size: int,
    check: Check,
    references: Sequence[str],
    target: Tokenizer,
    metrics: Sequence[str],
) -> Measured:
    """Decodes the sentences three times, after one batch to warm up, and compares the texts with `references`."""
    decode(form, replace(check, sentences=check.sentences[:BATCH]))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        best = decode(form, check)
        seconds.append(time.perf_counter() - start)
    texts = target.decode([candidate.tokens for candidate in best])
    rate = len(check.sentences) / sorted(seconds)[1]
    return Measured(name, evaluate(metrics, texts, references), size / 1e6, rate, texts)


def bytes_of(path: Path) -> int:
    """The size of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def bytes_of_weights(model: Any) -> int:
    """The size of the weights of a Keras model, or of all models of an ensemble or a fusion."""
    return sum(variable.numpy().nbytes for variable in variables_of(model))

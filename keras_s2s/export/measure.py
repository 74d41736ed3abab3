"""Quality, size and speed of each form of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from keras_s2s.export.forms import variables_of


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
        sentences_per_second: of a few batches of 32 of like length, on all cores; of ONNX the median of three runs, of
            the others one.
        texts: what it generated.
        proven: how many of them were not searched for, but proved by teacher forcing.
    """

    form: str
    metrics: dict[str, float]
    megabytes: float
    sentences_per_second: float
    texts: list[str]
    proven: int = 0


def onnx_title(precision: str) -> str:
    """The name of a precision's graphs in a report, and among the metrics of a bundle."""
    return f"ONNX {precision}"


def bytes_of(path: Path) -> int:
    """The size of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def bytes_of_weights(model: Any) -> int:
    """The size of the weights of a Keras model, or of all models of an ensemble or a fusion."""
    return sum(variable.numpy().nbytes for variable in variables_of(model))

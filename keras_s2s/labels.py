"""Labels that a loss reads beside the ids of the targets, such as a teacher's probabilities."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.typing import Tensor

TEACHER_IDS, TEACHER_LOG_PROBABILITIES = "teacher_ids", "teacher_log_probabilities"
"""Names of the labels of a teacher: the k likeliest ids of each place and their log-probabilities, (B, T, k)."""


class LabelSource(NamedTuple):
    """Makes labels of one name for each batch.

    Attributes:
        shape: of what is made, B first, such as `(None, None, 8000)`; None is a size that differs between batches.
        make: given the inputs of a batch and the label ids (B, T) int32, an array of that shape, which becomes float32.
            The same arguments must give the same array, so that a batch can be made again.
    """

    shape: tuple[int | None, ...]
    make: Callable[[Mapping[str, np.ndarray], np.ndarray], np.ndarray]


class Labels:
    """The labels of one head with those beside them; one object, which Keras does not take apart.

    Attributes:
        ids: (B, T) int32, the head's own.
        beside: by name, whatever the batch has of other labels, (B, ...) float32; ids of a teacher are int32.
    """

    def __init__(self, ids: Tensor, beside: Mapping[str, Tensor]) -> None:
        self.ids, self.beside = ids, beside

    def __getitem__(self, name: str) -> Tensor:
        """The labels of that name."""
        return self.beside[name]


def labels_of_heads(labels: Any, heads: Sequence[str]) -> Any:
    """The labels of a batch as losses read them: where there are more than the heads', each head is given `Labels`.

    Args:
        labels: of the only head; or by name, those of all heads and others.
        heads: names of the model's outputs.
    """
    if not isinstance(labels, dict) or set(labels) <= set(heads):
        return labels
    beside = {name: values for name, values in labels.items() if name not in heads}
    of_heads = {head: Labels(labels[head], beside) for head in heads if head in labels}
    return next(iter(of_heads.values())) if len(heads) == 1 else of_heads

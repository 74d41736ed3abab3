"""A task: what to learn, from which pairs, with which tokenizers, judged by which metrics."""

from dataclasses import dataclass

from keras_s2s.data.sources import Pairs
from keras_s2s.text import Tokenizer


@dataclass(frozen=True)
class Task:
    """Everything that training and evaluation need to know of the data.

    Attributes:
        metrics: names of metrics; `keras_s2s.evaluation` knows what they compute. The first one decides.
    """

    name: str
    train: Pairs
    dev: Pairs
    test: Pairs | None
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    metrics: tuple[str, ...]

"""A task: what to learn, from which pairs, with which tokenizers, judged by which metrics."""

from dataclasses import dataclass

from keras_s2s.data.mixtures import Mixture
from keras_s2s.data.pairs import Pairs
from keras_s2s.text import Tokenizer


@dataclass(frozen=True)
class Task:
    """Everything that training and evaluation need to know of the data.

    Attributes:
        source_tokenizer: None for a language model, the sources of whose pairs are empty, and for features.
        metrics: names of metrics; `keras_s2s.evaluation` knows what they compute. The first one decides. A language
            model has none, and is judged by its perplexity.
        max_length_factor: an output has at most this times the source's ids (EOS counts) and
        max_length_extra: so many ids more.
        mixture: which rows of `train` are in an epoch; None is each of them, once.
    """

    name: str
    train: Pairs
    dev: Pairs
    test: Pairs | None
    source_tokenizer: Tokenizer | None
    target_tokenizer: Tokenizer
    metrics: tuple[str, ...]
    max_length_factor: float = 2.0
    max_length_extra: int = 10
    mixture: Mixture | None = None

"""Can this be exported? Everything that speaks against it, at once and before any work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from keras_s2s.bundle import Decoding, graph_name, steps_name, strategy_and_features
from keras_s2s.decoding import available, problems, step_problems
from keras_s2s.decoding.registry import features_of
from keras_s2s.decoding.step import single_model
from keras_s2s.errors import UserError
from keras_s2s.evaluation import find_metric
from keras_s2s.export.measure import ParallelText
from keras_s2s.models.float32 import is_float32
from keras_s2s.runtime.feeds import source_rows, target_rows
from keras_s2s.text import Tokenizer

_DEV = 200  # sentences, for calibration and for numbers of given targets
_DEFAULTS = ("greedy", "beam", "ctc_greedy", "ctc_beam", "viterbi")  # of all strategies, where they can be


class Lexicon(Protocol):
    """The target ids that each source id may need, as `data.Lexicon` holds them."""

    @property
    def candidates(self) -> np.ndarray:
        """(V, k) int32, padded with 0."""

    @property
    def always(self) -> np.ndarray:
        """(F,) int32."""


@dataclass(frozen=True)
class Request:
    """The arguments of `export_bundle`."""

    model: Any
    source: Tokenizer
    target: Tokenizer
    dev: ParallelText
    test: ParallelText | None
    metrics: Sequence[str]
    decoding: Decoding
    graphs: Sequence[str]
    steps: Sequence[str]
    shortlist: Lexicon | None
    max_source_tokens: int

    @property
    def split(self) -> str:
        """The name of the text that quality is measured on."""
        return "dev" if self.test is None else "test"

    @property
    def measured(self) -> ParallelText:
        """That text."""
        return self.dev if self.test is None else self.test

    def dev_rows(self) -> tuple[list[list[int]], list[list[int]]]:
        """Source and target ids of the first sentences of dev, each row ended by EOS."""
        sources, targets = self.dev.sources[:_DEV], self.dev.targets[:_DEV]
        return source_rows(self.source, sources, self.max_source_tokens), target_rows(self.target, targets)


def default_graph(decoding: Decoding) -> str:
    """The name of the smallest graph that can do what `decoding` asks.

    Raises:
        UserError: a wrong value of an option that is not of this package.
    """
    return graph_name(decoding.strategy, features_of(decoding))


def default_graphs(model: Any, decoding: Decoding | None = None) -> list[str]:
    """The graphs if none are named: the plain searches of a decoder, else those of heads, and what `decoding` needs."""
    strategies = [name for name in _DEFAULTS if name in available(model)]
    graphs = [name for name in strategies if name in ("greedy", "beam")] or strategies
    if decoding is not None:
        graphs.append(default_graph(decoding))
    return graphs


def default_steps(decoding: Decoding) -> list[str]:
    """The graphs that have steps if no graphs are named: that of the default search, where its search can have some."""
    default = default_graph(decoding)
    return [] if step_problems(*strategy_and_features(default)) else [default]


def check_request(request: Request) -> None:
    """Raises a `UserError` that lists all that speaks against an export."""
    for metric in request.metrics:
        find_metric(metric)
    if found := [*_of_texts(request), *_of_model(request), *_of_graphs(request)]:
        raise UserError(f"export: {'; '.join(found)}")


def _of_texts(request: Request) -> Iterator[str]:
    for split, text in (("dev", request.dev), ("test", request.test)):
        if text is not None and not len(text.sources):
            yield f"no {split} sentences; give some"


def _of_model(request: Request) -> Iterator[str]:
    config = request.model.members()[0].config
    if config.encoder is None:
        yield "a language model has no sources to decode; export the model that it is fused with"
        return
    if config.source_vocabulary is None:
        yield "the model reads features, and a bundle of today holds models that read text"
        return
    if single_model(request.model) is None and not all(map(is_float32, request.model.members())):
        yield "models that decode together must be of float32; save them and load them under that policy of Keras's"
    for side, tokenizer in (("source", request.source), ("target", request.target)):
        expected = getattr(config, f"{side}_vocabulary")
        if tokenizer.vocabulary_size != expected:
            yield (
                f"the {side} tokenizer has {tokenizer.vocabulary_size} ids, the model's {side} vocabulary "
                f"{expected}; give the tokenizer that the model was trained with"
            )


def _of_graphs(request: Request) -> Iterator[str]:
    if not request.graphs:
        yield "graphs: none; name at least one"
        return
    for name in request.graphs:
        strategy, features = strategy_and_features(name)
        yield from (f"graph '{name}': {problem}" for problem in problems(request.model, strategy, features))
        if "shortlist" in features and request.shortlist is None:
            yield f"graph '{name}': needs a shortlist; give one, as data.lexicon makes it"
    for name in request.steps:
        yield from (f"graph '{steps_name(name)}': {what}" for what in step_problems(*strategy_and_features(name)))
        if name not in request.graphs:
            yield f"graph '{steps_name(name)}': needs the graph '{name}' beside it; name it, too"
    default = default_graph(request.decoding)
    if request.decoding.strategy == "sample":
        yield "decoding: strategy 'sample': a bundle's default must always give the same; sample in the call"
    elif default not in request.graphs:
        yield f"decoding: needs the graph '{default}', which is not among {', '.join(request.graphs)}"

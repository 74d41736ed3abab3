"""The search a step at a time: sentences come into a running batch, and leave it when they are done."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from keras_s2s.bundle import Bundle, Decoding, Layout, step_graphs, steps_name
from keras_s2s.errors import UserError
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import Candidates, Graph, candidates
from keras_s2s.runtime.loading import open_bundle
from keras_s2s.text.padding import pad
from keras_s2s.text.tokenizer import EOS, PADDING

Arrays = Mapping[str, np.ndarray]

_NEXT = "next/"


@dataclass(frozen=True)
class Batch:
    """Sentences on their way.

    Attributes:
        sentences: B of them.
        options: inputs of the graphs that are the same for all of them.
        state: what the search keeps between two steps, of each sentence or row.
    """

    sentences: tuple[Sentence, ...]
    options: Arrays
    state: Arrays

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self.sentences)


class Steps:
    """The graphs of a search a step at a time.

        batch = steps.start(sentences, decoding)
        while batch is not None:
            batch = steps.advance(batch)  # or first: steps.merge(batch, steps.start(others, decoding))
            results, batch = steps.finished(batch)

    A batch is never changed; calls from several threads may run at the same time. `load` makes one.

    Args:
        graphs: "start", "advance" and "finish".
        layouts: of each tensor of a batch's state.
        vocabulary: V, of the target.
    """

    def __init__(self, graphs: Mapping[str, Graph], layouts: Mapping[str, Layout], vocabulary: int) -> None:
        self._start, self._advance, self._finish = (graphs[name] for name in ("start", "advance", "finish"))
        self._layouts, self._vocabulary = layouts, vocabulary
        later = {*self._advance.inputs, *self._finish.inputs}
        self._options = [name for name in sorted(later) if name not in layouts]

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], graph: str, precision: str = "int8", threads: int | None = None
    ) -> Self:
        """Loads the steps of a bundle.

        Args:
            path: the bundle's folder.
            graph: the name of the graph whose steps they are, such as "beam".
            precision: which of the bundle's graphs to use.
            threads: how many threads one operator may use; None leaves it to onnxruntime.

        Raises:
            UserError: as `Generator.load`, or the bundle has no such steps.
        """
        return cls.of(open_bundle(path, precision, threads), graph, precision, threads)

    @classmethod
    def of(cls, bundle: Bundle, graph: str, precision: str, threads: int | None = None) -> Self:
        """The steps of a bundle that has been checked, such as a generator's.

        Raises:
            UserError: the bundle has no such steps.
        """
        manifest = bundle.manifest
        if graph not in manifest.steps:
            there = ", ".join(map(steps_name, manifest.steps)) or "none"
            name = steps_name(graph)
            raise UserError(f"{bundle.path}: no '{name}'; it has {there}; export the bundle with '{name}'")
        files = bundle.graphs(precision)
        graphs = {part: Graph(bundle.file(files[name].path), threads) for part, name in step_graphs(graph).items()}
        return cls(graphs, manifest.steps[graph], manifest.tokenizers.target.vocabulary_size)

    def shared(self, decoding: Decoding, suppressed: Sequence[Sequence[int]] = ()) -> tuple[object, ...]:
        """What is the same for all sentences of a batch: those whose options agree in this can be merged."""
        options = [getattr(decoding, name) for name in self._options if name in Decoding.model_fields]
        return (*options, tuple(map(tuple, suppressed)) if "suppressed" in self._options else ())

    def start(
        self, sentences: Sequence[Sentence], decoding: Decoding, suppressed: Sequence[Sequence[int]] = ()
    ) -> Batch:
        """Encodes sentences, at least one: a batch before its first token.

        Args:
            sentences: sources as ids, and their prefixes.
            decoding: options; the steps' strategy stands in the place of the one that it names.
            suppressed: sequences of target ids that must not be written.
        """
        inputs = feeds(sentences, decoding, self._vocabulary, suppressed)
        begun = {**inputs, **self._start(inputs)}
        options = {name: inputs[name] for name in self._options}
        return Batch(tuple(sentences), options, {name: begun[name] for name in self._layouts})

    def merge(self, batch: Batch, other: Batch) -> Batch:
        """The sentences of both, those of `batch` first.

        Raises:
            UserError: their options differ; such sentences cannot share a batch.
        """
        for name in self._options:
            ours, theirs = (one.options[name] for one in (batch, other))
            if not np.array_equal(ours, theirs):
                raise UserError(f"{name}: {ours} and {theirs}; a batch has the same options for all of its sentences")
        state = {name: _joined(layout, batch.state[name], other.state[name]) for name, layout in self._layouts.items()}
        return Batch((*batch.sentences, *other.sentences), batch.options, state)

    def advance(self, batch: Batch) -> Batch:
        """One token more for each sentence; what is done stays as it is."""
        changed = self._advance({**batch.state, **batch.options})
        return Batch(
            batch.sentences,
            batch.options,
            {**batch.state, **{name.removeprefix(_NEXT): value for name, value in changed.items()}},
        )

    def finished(self, batch: Batch) -> tuple[list[tuple[Sentence, Candidates]], Batch | None]:
        """Takes out what is done.

        Returns:
            The sentences that are done, with their candidates, best first; and the batch of the others, or None if
            there are no others.
        """
        done = batch.state["done"]
        if not done.any():
            return [], batch
        read = [name for name in self._finish.inputs if name in self._layouts]
        leaving = self._selected(batch, np.flatnonzero(done), read)
        found = candidates(self._finish({**leaving.state, **leaving.options}))
        return list(zip(leaving.sentences, found, strict=True)), self.select(batch, np.flatnonzero(~done))

    def select(self, batch: Batch, places: np.ndarray) -> Batch | None:
        """The sentences at some places alone; None if there are none."""
        return self._selected(batch, places, self._layouts) if len(places) else None

    def written(self, batch: Batch, place: int) -> list[int]:
        """What a sentence has so far, without BOS and EOS: its best finished hypothesis, or else the best open one."""
        state, length = batch.state, int(batch.state["length"][place])
        finished = state.get("carry/finished_scores")
        if finished is not None and finished[place, 0] > -np.inf:
            tokens, count = state["carry/finished_tokens"][place, 0], int(state["carry/finished_lengths"][place, 0])
        else:
            history = state["history/tokens"]
            tokens, count = history[place * (len(history) // len(batch))], length
        first = len(tokens) - length
        return [token for token in tokens[first : first + count].tolist() if token not in (PADDING, EOS)]

    def _selected(self, batch: Batch, places: np.ndarray, names: Iterable[str]) -> Batch:
        """Some of the sentences and of the state, with no more padding than they need."""
        sentences = tuple(batch.sentences[place] for place in places)
        length = batch.state["length"]
        sizes = {
            "time": int(length.max() - length[places].max()),
            "source": pad([sentence.ids for sentence in sentences]).shape[1],
        }
        state = {name: _some(self._layouts[name], batch.state[name], places, len(batch), sizes) for name in names}
        return Batch(sentences, batch.options, state)


def _joined(layout: Layout, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Both, one after the other along the first axis, padded to the size of the larger one along the others."""
    shape = (len(ours) + len(theirs), *np.maximum(ours.shape[1:], theirs.shape[1:]))
    joined = np.full(shape, layout.padding, ours.dtype)
    for rows, values in ((slice(len(ours)), ours), (slice(len(ours), None), theirs)):
        places = [
            slice(size - own, None) if axis == "time" else slice(own)
            for axis, own, size in zip(layout.axes[1:], values.shape[1:], shape[1:], strict=True)
        ]
        joined[rows, *places] = values
    return joined


def _some(
    layout: Layout, values: np.ndarray, sentences: np.ndarray, count: int, sizes: Mapping[str, int]
) -> np.ndarray:
    """What belongs to some of `count` sentences, without the first of time and the last of source."""
    if layout.axes[0] == "rows":
        each = len(values) // count
        sentences = (sentences[:, None] * each + np.arange(each)).ravel()
    kept: dict[str, Any] = {"time": slice(sizes["time"], None), "source": slice(sizes["source"])}
    cut = values[:, *(kept.get(axis, slice(None)) for axis in layout.axes[1:])]
    return np.ascontiguousarray(cut[sentences])

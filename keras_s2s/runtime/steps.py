"""The search a step at a time: sentences come into a running batch, and leave it when they are done."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from keras_s2s.bundle import Bundle, Decoding, step_graphs, steps_name
from keras_s2s.errors import UserError
from keras_s2s.layout import Layout
from keras_s2s.runtime.exchange import Exchange
from keras_s2s.runtime.feeds import Sentence, feeds, with_scores
from keras_s2s.runtime.graph import Candidates, candidates
from keras_s2s.runtime.loading import load_graph, open_bundle
from keras_s2s.runtime.providers import CPU
from keras_s2s.special_ids import EOS, PADDING
from keras_s2s.text.padding import pad
from keras_s2s.text.tokenizer import Tokenizer

Arrays = Mapping[str, np.ndarray]


class Runnable(Protocol):
    """A function of arrays by name, such as a `Graph`.

    Attributes:
        inputs: their names.
    """

    inputs: list[str]

    def __call__(self, inputs: Arrays) -> Mapping[str, np.ndarray]:
        """Runs it on those inputs that it has."""


_NEXT = "next/"
_SPARE = 4 / 3
"""Padding may be so many times as wide as it must, before it is cut."""


@dataclass(frozen=True)
class Batch:
    """Sentences on their way.

    Attributes:
        sentences: B of them.
        options: inputs of the graphs that are the same for all of them.
        state: what the search keeps between two steps, of each sentence or row.
        slack: how many places of time are padding for all of them.
    """

    sentences: tuple[Sentence, ...]
    options: Arrays
    state: Arrays
    slack: int = 0

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self.sentences)


class Steps:
    """The graphs of a search a step at a time.

        batch = steps.start(sentences, decoding)
        while batch is not None:
            batch = steps.advance(batch)
            results, places = steps.finished(batch)
            batch = steps.exchange(batch, places)  # and, if others come: steps.start(others, decoding)

    Calls from several threads may run at the same time, on batches of their own. `load` makes one.

    Args:
        graphs: "start", "advance" and "finish".
        layouts: of each tensor of a batch's state.
        vocabulary: V, of the target.
        begins_word: as `feeds` takes it.
    """

    def __init__(
        self,
        graphs: Mapping[str, Runnable],
        layouts: Mapping[str, Layout],
        vocabulary: int,
        begins_word: np.ndarray | None = None,
    ) -> None:
        self._start, self._advance, self._finish = (graphs[name] for name in ("start", "advance", "finish"))
        self._layouts, self._vocabulary, self._begins_word = layouts, vocabulary, begins_word
        later = {*self._advance.inputs, *self._finish.inputs}
        self._options = [name for name in sorted(later) if name not in layouts and name != "with_scores"]

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        graph: str,
        precision: str | None = None,
        threads: int | None = None,
        providers: Sequence[str] = (CPU,),
    ) -> Self:
        """Loads the steps of a bundle.

        Args:
            path: the bundle's folder.
            graph: the name of the graph whose steps they are, such as "beam".
            precision: which of the bundle's graphs to use; None chooses as `Generator.load`.
            threads: how many threads one operator may use; None is one for each core.
            providers: as `Generator.load`.

        Raises:
            UserError: as `Generator.load`, or the bundle has no such steps.
        """
        bundle, precision = open_bundle(path, precision, threads, providers)
        return cls.of(bundle, graph, precision, threads, providers)

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        graph: str,
        precision: str,
        threads: int | None = None,
        providers: Sequence[str] = (CPU,),
    ) -> Self:
        """The steps of a bundle that has been checked, such as a generator's.

        Raises:
            UserError: the bundle has no such steps.
        """
        manifest = bundle.manifest
        if graph not in manifest.steps:
            there = ", ".join(map(steps_name, manifest.steps)) or "none"
            name = steps_name(graph)
            raise UserError(f"{bundle.path}: no '{name}'; it has {there}; export the bundle with '{name}'")
        graphs = {
            part: load_graph(bundle, precision, name, threads, providers) for part, name in step_graphs(graph).items()
        }
        target = manifest.tokenizers.target
        tokenizer = Tokenizer.load(bundle.file(target.path)) if manifest.new_word_prefixes else None
        begins_word = None if tokenizer is None else tokenizer.begins_word
        return cls(graphs, manifest.steps[graph], target.vocabulary_size, begins_word)

    def shared(self, decoding: Decoding, suppressed: Sequence[Sequence[int]] = ()) -> tuple[object, ...]:
        """The values that all sentences of a batch share; sentences that agree in them can be merged."""
        values = {**dict(decoding), **decoding.own}
        options = [values[name] for name in self._options if name in values]
        return (*options, tuple(map(tuple, suppressed)) if "suppressed" in self._options else ())

    def start(
        self, sentences: Sequence[Sentence], decoding: Decoding, suppressed: Sequence[Sequence[int]] = ()
    ) -> Batch:
        """Encodes sentences, at least one: a batch before its first token.

        Args:
            sentences: sources as ids, their prefixes and limits.
            decoding: options; the steps' strategy stands in the place of the one that it names.
            suppressed: sequences of target ids that must not be written.
        """
        inputs = feeds(sentences, decoding, self._vocabulary, suppressed, begins_word=self._begins_word)
        begun = {**inputs, **self._start(inputs)}
        for place, sentence in enumerate(sentences):
            if sentence.limit is not None:
                begun["limit"][place] = sentence.limit
        options = {name: inputs[name] for name in self._options}
        if not decoding.scores:
            sentences = [replace(sentence, scores=False) for sentence in sentences]
        return Batch(tuple(sentences), options, {name: begun[name] for name in self._layouts})

    def advance(self, batch: Batch) -> Batch:
        """One token more for each sentence; what is done stays as it is."""
        changed = self._advance({**batch.state, **_shared(batch)})
        state = {**batch.state, **{name.removeprefix(_NEXT): value for name, value in changed.items()}}
        return replace(batch, state=state)

    def finished(
        self, batch: Batch, known: Collection[int] = ()
    ) -> tuple[list[tuple[Sentence, Candidates]], np.ndarray]:
        """The sentences that are done.

        Args:
            batch: after a step.
            known: places that are not asked for.

        Returns:
            The sentences that are done, with their candidates, best first; and their places, which `exchange` takes.
        """
        places = np.flatnonzero(batch.state["done"])
        places = places[[place not in known for place in places.tolist()]] if known else places
        if not len(places):
            return [], places
        state = {name: self._rows(name, batch, places) for name in self._finish.inputs if name in self._layouts}
        limits = batch.state["limit"][places].tolist()
        found = candidates(self._finish({**state, **_shared(batch)}), limits)
        return list(zip((batch.sentences[place] for place in places), found, strict=True)), places

    def exchange(self, batch: Batch, leaving: Sequence[int] | np.ndarray, coming: Batch | None = None) -> Batch | None:
        """Lets sentences leave, and others come in their places.

        Args:
            batch: is used up.
            leaving: places of sentences.
            coming: others, with the same options; it is used up, too.

        Returns:
            The batch of those who stay and those who came; None if there is nobody.

        Raises:
            UserError: the options differ; such sentences cannot share a batch.
        """
        if len(leaving) == len(batch):
            return coming
        if coming is None:
            if not len(leaving):
                return batch
        else:
            self._check_options(batch, coming)
        exchange = Exchange(len(batch), [int(place) for place in leaving], 0 if coming is None else len(coming))
        both = batch.sentences if coming is None else (*batch.sentences, *coming.sentences)
        sentences = tuple(both[place] for place in exchange.order)
        new: Arrays = {} if coming is None else coming.state
        lengths = exchange(self._layouts["length"], batch.state["length"].copy(), new.get("length"), {})
        longest = int(lengths.max())
        width = int(batch.state["length"].max()) + batch.slack
        cut = max(0, width - longest) if width > _SPARE * longest else 0
        sizes = {"time": cut, "past": cut, "source": self._source_kept(batch, sentences)}
        state = {
            name: exchange(layout, batch.state[name], new.get(name), sizes) for name, layout in self._layouts.items()
        }
        theirs = 0 if coming is None else int(coming.state["length"].max()) + coming.slack
        return Batch(sentences, batch.options, state, max(width - cut, theirs) - longest)

    def _check_options(self, batch: Batch, coming: Batch) -> None:
        for name in self._options:
            ours, theirs = (one.options[name] for one in (batch, coming))
            if not np.array_equal(ours, theirs):
                raise UserError(f"{name}: {ours} and {theirs}; a batch has the same options for all of its sentences")

    def _source_kept(self, batch: Batch, sentences: Sequence[Sentence]) -> int:
        """How many places of the source stay; to cut a little would be to copy all."""
        needed = pad([sentence.ids for sentence in sentences]).shape[1]
        for name, layout in self._layouts.items():
            if "source" in layout.axes:
                there = int(batch.state[name].shape[layout.axes.index("source")])
                return min(needed, there) if there > _SPARE * needed else there
        return 0

    def written(self, batch: Batch, place: int) -> list[int]:
        """The ids of a sentence so far, without BOS and EOS: its best finished hypothesis, or the best open one."""
        state, length = batch.state, int(batch.state["length"][place])
        finished = state.get("carry/finished_scores")
        if finished is not None and finished[place, 0] > -np.inf:
            tokens, count = state["carry/finished_tokens"][place, 0], int(state["carry/finished_lengths"][place, 0])
        else:
            history = state["history/tokens"]
            tokens, count = history[place * (len(history) // len(batch))], length
        first = len(tokens) - length
        return [token for token in tokens[first : first + count].tolist() if token not in (PADDING, EOS)]

    def _rows(self, name: str, batch: Batch, places: np.ndarray) -> np.ndarray:
        """The part of a tensor that belongs to the sentences at some places."""
        layout, values = self._layouts[name], batch.state[name]
        if layout.axes[0] == "rows":
            each = len(values) // len(batch)
            places = (places[:, None] * each + np.arange(each)).ravel()
        rows: np.ndarray = values[places]
        return rows


def _shared(batch: Batch) -> Arrays:
    """The inputs that are no sentence's own. Scores are computed as long as the batch has somebody who reads them."""
    return {**batch.options, "with_scores": with_scores(batch.sentences)}

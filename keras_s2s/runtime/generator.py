"""The exported model as a function: texts in, hypotheses out."""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

import onnxruntime
from pydantic import Field

from keras_s2s.bundle import Bundle, Decoding, read, verify
from keras_s2s.config import parse
from keras_s2s.errors import UserError
from keras_s2s.runtime.batching import Row, map_batches
from keras_s2s.runtime.graph import Graph
from keras_s2s.runtime.windows import windows
from keras_s2s.text.tokenizer import EOS, Tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hypothesis:
    """One output for a text.

    Attributes:
        text: the detokenized output.
        tokens: its target ids, without EOS.
        score: its log-probability, divided by the length penalty.
    """

    text: str
    tokens: tuple[int, ...]
    score: float


class _Options(Decoding):
    batch_size: int = Field(32, ge=1)
    strict: bool = False


class Generator:
    """A bundle, ready to generate.

    `load` makes one. Calls from several threads may run at the same time.

    Attributes:
        bundle: the bundle and its manifest.
        precision: the word for the graphs in use, such as "int8".
    """

    def __init__(self, bundle: Bundle, precision: str, threads: int | None) -> None:
        self.bundle = bundle
        self.precision = precision
        self._threads = threads
        self._graphs: dict[str, Graph] = {}
        tokenizers = bundle.manifest.tokenizers
        self._source = Tokenizer.load(bundle.file(tokenizers.source.path))
        is_joint = tokenizers.source.path == tokenizers.target.path
        self._target = self._source if is_joint else Tokenizer.load(bundle.file(tokenizers.target.path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], precision: str = "int8", threads: int | None = None) -> Self:
        """Loads a bundle.

        Args:
            path: the bundle's folder.
            precision: which of the bundle's graphs to use.
            threads: how many threads one operator may use; None leaves it to onnxruntime.

        Raises:
            UserError: no bundle, a wrong key or hash, an unknown precision, an onnxruntime that is too old.
        """
        bundle = read(path)
        graphs = bundle.manifest.graphs
        if precision not in graphs:
            raise UserError(f"{bundle.path}: no graphs of precision '{precision}'; it has {', '.join(graphs)}")
        if threads is not None and threads < 1:
            raise UserError(f"threads: expected at least 1, got {threads}")
        _check_onnxruntime(bundle)
        verify(bundle, _needed(bundle, precision))
        return cls(bundle, precision, threads)

    def __call__(
        self,
        texts: Sequence[str],
        *,
        beam_size: int | None = None,
        length_penalty: float | None = None,
        length_penalty_base: float | None = None,
        n_best: int | None = None,
        max_length_factor: float | None = None,
        max_length_extra: int | None = None,
        batch_size: int | None = None,
        strict: bool | None = None,
    ) -> list[list[Hypothesis]]:
        """Generates hypotheses for each text. None stands for the bundle's default.

        Args:
            texts: the sources.
            beam_size: 1 decodes greedily.
            length_penalty: the exponent of the length penalty; see `keras_s2s.bundle.Decoding`.
            length_penalty_base: 5 is GNMT's penalty; 0 with `length_penalty` 1 is the average of a token.
            n_best: how many hypotheses a text gets at most.
            max_length_factor: target tokens allowed for each source token.
            max_length_extra: target tokens allowed besides.
            batch_size: how many texts are decoded together; 32 by default.
            strict: refuse a text that is too long, which is otherwise truncated with a logged warning.

        Returns:
            For each text its hypotheses, best first. A blank text has one, which is empty and has score 0.

        Raises:
            UserError: a wrong option, or with `strict` a text that is too long; nothing is generated then.
        """
        options = self._options(
            beam_size=beam_size,
            length_penalty=length_penalty,
            length_penalty_base=length_penalty_base,
            n_best=n_best,
            max_length_factor=max_length_factor,
            max_length_extra=max_length_extra,
            batch_size=batch_size,
            strict=strict,
        )
        if isinstance(texts, str):
            raise UserError("texts: expected a list of strings, got one string; put it into a list")
        return self._generate(texts, options, first=1)

    def stream(self, lines: Iterable[str], *, window: int = 512, **options: Any) -> Iterator[list[Hypothesis]]:
        """Generates hypotheses for each line, in order, while lines still come.

        Lines that are there are decoded together, up to `window` of them; a line that comes alone is answered
        alone. `lines` is read in another thread, at most one window ahead.

        Args:
            lines: the sources; a line's end is not part of its text.
            window: how many lines are taken together at most.
            options: those of a call.

        Raises:
            UserError: as a call; a wrong option at once, before the first line is read.
        """
        if window < 1:
            raise UserError(f"window: expected at least 1, got {window}")
        return self._stream(lines, window, self._options(**options))

    def _stream(self, lines: Iterable[str], window: int, options: _Options) -> Iterator[list[Hypothesis]]:
        first = 1
        for some in windows(lines, window):
            yield from self._generate([line.rstrip("\r\n") for line in some], options, first)
            first += len(some)

    def _options(self, **given: Any) -> _Options:
        options = self.bundle.manifest.decoding.model_dump()
        options.update({name: value for name, value in given.items() if value is not None})
        options["strategy"] = "greedy" if options["beam_size"] == 1 else "beam"
        checked = parse(_Options, options, "generate")
        graphs = self.bundle.manifest.graphs[self.precision]
        if checked.strategy not in graphs:
            raise UserError(
                f"{self.bundle.path}: no {checked.strategy} graph for beam_size {checked.beam_size}; "
                f"{self.precision} has {', '.join(graphs)}"
            )
        return checked

    def _generate(self, texts: Sequence[str], options: _Options, first: int) -> list[list[Hypothesis]]:
        """`first` is the number of the first text in messages."""
        for number, text in enumerate(texts, first):
            if not isinstance(text, str):
                raise UserError(f"text {number}: expected a string, got {type(text).__name__}")
        encoded = self._source.encode(list(texts))
        # A text of nothing but what the tokenizer drops is blank, too.
        filled = [index for index, text in enumerate(texts) if text.strip() and encoded[index]]
        rows = [self._source_row(encoded[index], first + index, options.strict) for index in filled]
        results = [[Hypothesis("", (), 0.0)] for _ in texts]
        generated = map_batches(lambda batch: self._decode(batch, options), rows, options.batch_size)
        for index, hypotheses in zip(filled, generated, strict=True):
            results[index] = hypotheses
        return results

    def _source_row(self, ids: list[int], number: int, strict: bool) -> Row:
        limit = self.bundle.manifest.limits.max_source_tokens
        length = len(ids) + 1
        if length > limit:
            too_long = f"text {number}: {length} source tokens with its end, at most {limit} are allowed"
            if strict:
                raise UserError(f"{too_long}; shorten or split it")
            logger.warning("%s; truncated", too_long)
        return [*ids[: limit - 1], EOS]

    def _decode(self, batch: list[Row], options: _Options) -> list[list[Hypothesis]]:
        found = self._graph(options.strategy)(batch, options)
        texts = iter(self._target.decode([candidate.tokens for some in found for candidate in some]))
        return [[Hypothesis(next(texts), *candidate) for candidate in some] for some in found]

    def _graph(self, strategy: str) -> Graph:
        if strategy not in self._graphs:
            path = self.bundle.file(self.bundle.manifest.graphs[self.precision][strategy].path)
            self._graphs[strategy] = Graph(path, self._threads)
        return self._graphs[strategy]


def _needed(bundle: Bundle, precision: str) -> list[str]:
    """The tokenizers, the graphs of this precision, and the weights that lie beside them."""
    manifest = bundle.manifest
    graphs = [graph.path for graph in manifest.graphs[precision].values()]
    folders = {PurePosixPath(path).parent for path in graphs}
    weights = [path for path in manifest.files if PurePosixPath(path).parent in folders]
    return [manifest.tokenizers.source.path, manifest.tokenizers.target.path, *graphs, *weights]


def _check_onnxruntime(bundle: Bundle) -> None:
    minimum, installed = bundle.manifest.minimum_onnxruntime, onnxruntime.__version__
    if _release(installed) < _release(minimum):
        raise UserError(f"{bundle.path}: needs onnxruntime {minimum} or newer; {installed} is installed, upgrade it")


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return (*numbers, *[0] * (3 - len(numbers)))

"""The exported model as a function: texts in, hypotheses out."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, Self

import numpy as np

from keras_s2s.bundle import Bundle, Decoding
from keras_s2s.errors import UserError
from keras_s2s.runtime.feeds import Sentence, feeds, length_limit
from keras_s2s.runtime.graph import Candidates, Graph, candidates
from keras_s2s.runtime.in_order import in_order
from keras_s2s.runtime.loading import load_graph, open_bundle
from keras_s2s.runtime.options import Options, choose_graph, find_graph, options_of
from keras_s2s.runtime.prefixes import check_suppressed, named, prefix_ids, suppressed_ids
from keras_s2s.runtime.providers import CPU
from keras_s2s.runtime.scoring import Scored
from keras_s2s.runtime.shortlist import ShortlistTable
from keras_s2s.runtime.targets import Pair, of_targets
from keras_s2s.runtime.threads import BatchThreads, RunContext
from keras_s2s.runtime.unknown_tokens import with_source_words
from keras_s2s.runtime.windows import windows
from keras_s2s.special_ids import EOS, UNKNOWN
from keras_s2s.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hypothesis:
    """One output for a text.

    Attributes:
        text: the detokenized output.
        tokens: its target ids, without EOS.
        score: what ranks it: its log-probability, divided by the length penalty; None without `scores`.
        token_scores: the log-probability of each token and of EOS; empty where a search has none, and without `scores`.
        alignment: where the model looked as it wrote each token and EOS, (T+1, S), if that was asked for; S counts
            the source's EOS.
        finished: whether the output ended by itself; False if it was cut at its length limit; None if it has just so
            many tokens and the bundle, an older one, does not tell.
    """

    text: str
    tokens: tuple[int, ...]
    score: float | None
    token_scores: tuple[float, ...] = ()
    alignment: np.ndarray | None = field(default=None, compare=False)
    finished: bool | None = True


def nothing(options: Decoding) -> Hypothesis:
    """The output of a blank text."""
    return Hypothesis("", (), 0.0 if options.scores else None)


@dataclass(frozen=True)
class Plan:
    """A call's options, checked, and the graph that they need.

    Attributes:
        options: checked.
        graph: the name of the smallest graph that can do what they ask.
        suppressed: sequences of target ids that must not be written.
    """

    options: Options
    graph: str
    suppressed: tuple[tuple[int, ...], ...]


class _Filled(NamedTuple):
    """A text that is not blank, and its ids."""

    text: str
    sentence: Sentence


_ALONE = RunContext()


class Generator:
    """A bundle, ready to generate.

    `load` makes one. Calls from several threads may run at the same time. It can be pickled, as the bundle's path and
    the options of `load`: where it is unpickled the bundle is loaded again, with all checks.

    Attributes:
        bundle: the bundle and its manifest.
        precision: the word for the graphs in use, such as "int8".
    """

    def __init__(self, bundle: Bundle, precision: str, threads: int | None, providers: Sequence[str] = (CPU,)) -> None:
        self.bundle = bundle
        self.precision = precision
        self._threads = threads
        self._providers = tuple(providers)
        self._graphs: dict[tuple[str, int | None], Graph] = {}
        self._loading = threading.Lock()
        tokenizers, shortlist = bundle.manifest.tokenizers, bundle.manifest.shortlist
        self._source = Tokenizer.load(bundle.file(tokenizers.source.path))
        is_joint = tokenizers.source.path == tokenizers.target.path
        self._target = self._source if is_joint else Tokenizer.load(bundle.file(tokenizers.target.path))
        self._shortlist = None if shortlist is None else ShortlistTable.load(bundle.file(shortlist.path))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        precision: str | None = None,
        threads: int | None = None,
        providers: Sequence[str] = (CPU,),
    ) -> Self:
        """Loads a bundle.

        Args:
            path: the bundle's folder.
            precision: which of the bundle's graphs to use. None is int8 on a CPU; with CUDA it is fp16 if the bundle
                has that, or else fp32.
            threads: how many cores to use; None is all. A batch alone is computed on all of them, of several batches
                each on one.
            providers: names of `keras_s2s.runtime.PROVIDERS`, such as "cpu" and "cuda", the preferred one first.
                Operators that it lacks are computed by the next one, and at last by the CPU.

        Raises:
            UserError: no bundle, a wrong key or hash, an unknown precision, a provider that this machine does not have,
                an onnxruntime that is too old.
        """
        bundle, precision = open_bundle(path, precision, threads, providers)
        return cls(bundle, precision, threads, providers)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[str, str, int | None, tuple[str, ...]]]:
        # Sessions of onnxruntime cannot be pickled. Who unpickles it may be in another folder.
        return type(self).load, (
            os.path.abspath(self.bundle.path),
            self.precision,
            self._threads,
            self._providers,
        )

    def __call__(
        self, texts: Sequence[str], *, prefix: Sequence[str] | None = None, **options: Any
    ) -> list[list[Hypothesis]]:
        """Generates hypotheses for each text.

        Args:
            texts: the sources.
            prefix: what the output of each text begins with, exactly; "" for nothing. A space at its end lets a new
                word follow.
            options: fields of `keras_s2s.bundle.Decoding` and `keras_s2s.runtime.Options`, such as `beam_size`,
                `n_best`, `strategy`, `suppress`; `own={"alpha": 0.7}` holds those that the bundle brings along. A
                missing one, or None, stands for the bundle's default. With `scores=False` hypotheses have none, and
                greedy search is quicker.

        Returns:
            For each text its hypotheses, best first. A blank text has one, which is empty and has score 0.

        Raises:
            UserError: a wrong option, one that no graph of the bundle can do, a prefix that the target vocabulary
                cannot write or that is longer than the output may be, or with `strict` a text that is too long;
                nothing is generated then.
        """
        if isinstance(texts, str):
            raise UserError("texts: expected a list of strings, got one string; put it into a list")
        if prefix is not None and len(prefix) != len(texts):
            raise UserError(f"prefix: {len(prefix)} prefixes for {len(texts)} texts; give one for each, '' for none")
        plan = self.plan(options, prefixed=prefix is not None and any(prefix))
        with BatchThreads(self._threads) as threads:
            return self._begin(texts, prefix or [""] * len(texts), plan, 1, threads)()

    def stream(
        self,
        lines: Iterable[str],
        *,
        window: int = 512,
        full: bool = False,
        first: int = 1,
        prefix: Iterable[str] | None = None,
        **options: Any,
    ) -> Iterator[list[Hypothesis]]:
        """Generates hypotheses for each line, in order, while lines still come.

        Lines that are there are decoded together, up to `window` of them; a line that comes alone is answered
        alone. `lines` is read in another thread, a few windows ahead.

        Args:
            lines: the sources; a line's end is not part of its text.
            window: how many lines are taken together at most.
            full: always wait for a full window, so that each run decodes the same lines together; for lines that do
                not wait for an answer.
            first: the number of the first line, in messages and for sampling.
            prefix: as many as there are lines, as in a call.
            options: those of a call.

        Raises:
            UserError: as a call; a wrong option at once, before the first line is read.
        """
        if window < 1:
            raise UserError(f"window: expected at least 1, got {window}")
        plan = self.plan(options, prefixed=prefix is not None)
        begins = None if prefix is None else iter(prefix)
        return self._stream(windows(lines, window, full), window, begins, plan, first)

    def score(self, sources: Sequence[str], targets: Sequence[str], batch_size: int = 32) -> list[Scored]:
        """The log-probability of each target, given its source.

        What the target vocabulary has no piece for is scored as the unknown token, with a warning.

        Raises:
            UserError: other numbers of sources and targets, or the bundle has no graph "score".
        """
        return self.score_pairs(self._known_pairs(sources, targets), batch_size)

    def align(self, sources: Sequence[str], targets: Sequence[str], batch_size: int = 32) -> list[np.ndarray]:
        """Where the model looks as it writes each target: (T+1, S) each, EOS of both sides counted.

        Raises:
            UserError: other numbers of sources and targets, or the bundle has no graph "align".
        """
        return of_targets(self._target_graph("align"), self._known_pairs(sources, targets), batch_size)

    def source_pieces(self, text: str) -> list[str]:
        """The pieces of a source, EOS's last, as the columns of an alignment have them."""
        return [*self._source.encode_pieces(text), *self._source.pieces([EOS])]

    def target_pieces(self, text: str) -> list[str]:
        """The pieces of a target, EOS's last, as the rows of an alignment have them."""
        return [*self._target.encode_pieces(text), *self._target.pieces([EOS])]

    def plan(self, given: Mapping[str, Any], prefixed: bool) -> Plan:
        """The first part of a call: checks its options, and chooses a graph.

        Args:
            given: options of a call.
            prefixed: whether outputs have to begin with something.

        Raises:
            UserError: a wrong option, one that no graph of the bundle can do, or a text to suppress that the target
                vocabulary cannot write.
        """
        manifest, where = self.bundle.manifest, str(self.bundle.path)
        options = options_of(manifest, given)
        if given.get("suppress"):
            check_suppressed(self._target, options.suppress)
        if options.replace_unknown or options.alignment:
            find_graph(self.bundle, self.precision, "align")
        graph = choose_graph(manifest, self.precision, options, prefixed, where)
        return Plan(options, graph, tuple(map(tuple, suppressed_ids(self._target, options))))

    def sentences(
        self, texts: Sequence[str], prefixes: Sequence[str], options: Options, first: int = 1
    ) -> list[Sentence | None]:
        """The second part of a call: texts as ids; None for a blank one.

        Args:
            texts: the sources.
            prefixes: one for each, "" for nothing.
            options: of the plan.
            first: the number of the first text, in messages and for sampling.

        Raises:
            UserError: a text or a prefix that is no string, with `strict` a text that is too long, or a prefix that
                the target vocabulary cannot write or that is longer than the output may be.
        """
        for number, (text, prefix) in enumerate(zip(texts, prefixes, strict=True), first):
            for what, one in (("", text), ("prefix: ", prefix)):
                if not isinstance(one, str):
                    raise UserError(f"text {number}: {what}expected a string, got {type(one).__name__}")
        encoded = self._source.encode(list(texts))
        begins = [self._prefix(prefix, number) for number, prefix in enumerate(prefixes, first)]
        # A text of nothing but what the tokenizer drops is blank, too.
        return [
            self._sentence(ids, begin, number, options) if text.strip() and ids else None
            for number, (text, ids, begin) in enumerate(zip(texts, encoded, begins, strict=True), first)
        ]

    def search(self, batch: Sequence[Sentence], plan: Plan, context: RunContext = _ALONE) -> list[Candidates]:
        """The third part of a call: what the plan's graph finds for a batch; all of its sentences begin and end."""
        shortlist = None if self._shortlist is None else self._shortlist.of(batch)
        vocabulary = self.bundle.manifest.tokenizers.target.vocabulary_size
        inputs = feeds(batch, plan.options, vocabulary, plan.suppressed, shortlist, self._target.begins_word)
        limits = [length_limit(len(sentence), plan.options) for sentence in batch]
        found = self._graph(plan.graph, context)(inputs, context.stop)
        strategy = self.bundle.manifest.all_strategies[plan.options.strategy]
        return candidates(found, limits if strategy.is_search else None)

    def hypotheses(
        self, text: str, sentence: Sentence, found: Candidates, options: Options, context: RunContext = _ALONE
    ) -> list[Hypothesis]:
        """The last part of a call: what was found for a text, as text, with its alignment if that is wanted."""
        texts = self._target.decode([candidate.tokens for candidate in found])
        hypotheses = [
            Hypothesis(
                written,
                one.tokens,
                one.score if options.scores else None,
                one.token_scores if options.scores else (),
                finished=one.finished,
            )
            for written, one in zip(texts, found, strict=True)
        ]
        return self._aligned(text, sentence, hypotheses, options, context)

    def check_prefix(self, prefix: str) -> None:
        """Looks whether an output can begin with a text.

        Raises:
            UserError: it cannot; names the text, and the character that is in the way.
        """
        prefix_ids(self._target, prefix, self.bundle.manifest.new_word_prefixes)

    def pairs(self, sources: Sequence[str], targets: Sequence[str], strict: bool = False) -> list[Pair]:
        """The first part of scoring: sources and targets as ids.

        Args:
            sources: those that are too long are cut.
            targets: as many.
            strict: refuse a source that is too long.

        Raises:
            UserError: other numbers of sources and targets, or with `strict` a source that is too long.
        """
        if len(sources) != len(targets):
            raise UserError(f"{len(sources)} sources and {len(targets)} targets; give each source one target")
        limit = self.bundle.manifest.limits.max_source_tokens
        encoded = self._source.encode(list(sources))
        for number, ids in enumerate(encoded, 1):
            if strict and len(ids) >= limit:
                raise UserError(_too_long(number, len(ids) + 1, limit))
        both = zip(encoded, self._target.encode(list(targets)), strict=True)
        return [Pair([*source[: limit - 1], EOS], [*target, EOS]) for source, target in both]

    def score_pairs(self, pairs: Sequence[Pair], batch_size: int = 32) -> list[Scored]:
        """The second part of scoring.

        Raises:
            UserError: the bundle has no graph "score".
        """
        found = of_targets(self._target_graph("score"), pairs, batch_size)
        return [Scored(float(scores.sum()), tuple(scores.tolist())) for scores in found]

    def written(self, tokens: Sequence[int]) -> str:
        """Target ids, without EOS, as text."""
        return self._target.decode([tokens])[0]

    def written_pieces(self, tokens: Sequence[int]) -> list[str]:
        """The pieces of target ids, EOS's last, as the rows of an alignment have them."""
        return self._target.pieces([*tokens, EOS])

    def _stream(
        self, taken: Iterable[list[str] | None], window: int, prefixes: Iterator[str] | None, plan: Plan, first: int
    ) -> Iterator[list[Hypothesis]]:
        with BatchThreads(self._threads) as threads:
            ahead = 1 + threads.cores * plan.options.batch_size // window
            yield from in_order(self._begun(taken, prefixes, plan, first, threads), ahead)

    def _begun(
        self,
        taken: Iterable[list[str] | None],
        prefixes: Iterator[str] | None,
        plan: Plan,
        first: int,
        threads: BatchThreads,
    ) -> Iterator[Callable[[], list[list[Hypothesis]]] | None]:
        for some in taken:
            if some is None:
                yield None
                continue
            begins = [""] * len(some) if prefixes is None else list(islice(prefixes, len(some)))
            if len(begins) < len(some):
                raise UserError(f"prefix: there is none for text {first + len(begins)}; give one for each, '' for none")
            yield self._begin([line.rstrip("\r\n") for line in some], begins, plan, first, threads)
            first += len(some)

    def _begin(
        self, texts: Sequence[str], prefixes: Sequence[str], plan: Plan, first: int, threads: BatchThreads
    ) -> Callable[[], list[list[Hypothesis]]]:
        """Gives what waits for the hypotheses of texts that are being decoded; `first` is the number of the first."""
        sentences = self.sentences(texts, prefixes, plan.options, first)
        both = zip(texts, sentences, strict=True)
        filled = [_Filled(text, sentence) for text, sentence in both if sentence is not None]
        lengths = [len(one.sentence) for one in filled]
        results = threads.begin(partial(self._of_batch, plan), filled, lengths, plan.options.batch_size)

        def hypotheses() -> list[list[Hypothesis]]:
            found = iter(results())
            return [[nothing(plan.options)] if sentence is None else next(found) for sentence in sentences]

        return hypotheses

    def _of_batch(self, plan: Plan, batch: Sequence[_Filled], context: RunContext) -> list[list[Hypothesis]]:
        found = self.search([one.sentence for one in batch], plan, context)
        return [self.hypotheses(*one, some, plan.options, context) for one, some in zip(batch, found, strict=True)]

    def _prefix(self, prefix: str, number: int) -> list[int]:
        try:
            return prefix_ids(self._target, prefix, self.bundle.manifest.new_word_prefixes)
        except UserError as error:
            raise UserError(f"text {number}: {error}") from None

    def _known_pairs(self, sources: Sequence[str], targets: Sequence[str]) -> list[Pair]:
        """Pairs, with a warning of targets that the target vocabulary has no piece for."""
        pairs = self.pairs(sources, targets)
        unknown = [number for number, pair in enumerate(pairs) if UNKNOWN in pair.target]
        if unknown:
            part = self._target.first_unwritable(targets[unknown[0]])
            logger.warning(
                "%s of %s targets have something that the target vocabulary cannot write, the first, number %s, has "
                "%s; it is scored as the unknown token",
                *(f"{number:,}" for number in (len(unknown), len(pairs), unknown[0] + 1)),
                named(part or ""),
            )
        return pairs

    def _sentence(self, ids: list[int], prefix: list[int], number: int, options: Options) -> Sentence:
        limit = self.bundle.manifest.limits.max_source_tokens
        length = len(ids) + 1
        if length > limit:
            if options.strict:
                raise UserError(_too_long(number, length, limit))
            logger.warning("%s; truncated", _too_long(number, length, limit).partition(";")[0])
        kept = [*ids[: limit - 1], EOS]
        longest = length_limit(len(kept), options)
        if len(prefix) > longest:
            raise UserError(
                f"text {number}: a prefix of {len(prefix)} tokens, but at most {longest} may come out; "
                "shorten it or raise max_length_extra"
            )
        return Sentence(kept, number, prefix, longest, options.scores)

    def _aligned(
        self, text: str, sentence: Sentence, hypotheses: list[Hypothesis], options: Options, context: RunContext
    ) -> list[Hypothesis]:
        """Hypotheses with their alignments, and with words of the source for unknown tokens, if that is wanted."""
        unknown = options.replace_unknown and any(UNKNOWN in h.tokens for h in hypotheses)
        if not (options.alignment or unknown):
            return hypotheses
        pairs = [Pair(sentence.ids, [*h.tokens, EOS]) for h in hypotheses]
        looked = of_targets(self._target_graph("align", context), pairs, options.batch_size)
        if unknown:
            pieces = self._source.spans(text)[: len(sentence) - 1]
            hypotheses = [
                replace(h, text=with_source_words(self._target, h.tokens, attention, text, pieces))
                for h, attention in zip(hypotheses, looked, strict=True)
            ]
        if options.alignment:
            hypotheses = [replace(h, alignment=a) for h, a in zip(hypotheses, looked, strict=True)]
        return hypotheses

    def _target_graph(self, name: str, context: RunContext = _ALONE) -> Graph:
        return self._graph(find_graph(self.bundle, self.precision, name), context)

    def _graph(self, name: str, context: RunContext) -> Graph:
        threads = 1 if context.beside else self._threads
        with self._loading:
            if (name, threads) not in self._graphs:
                self._graphs[name, threads] = load_graph(self.bundle, self.precision, name, threads, self._providers)
            return self._graphs[name, threads]


def _too_long(number: int, length: int, limit: int) -> str:
    return f"text {number}: {length} source tokens with its end, at most {limit} are allowed; shorten or split it"

"""Batches of a token budget, each known by its step, and the `tf.data.Dataset` of them for `model.fit`."""

import bisect
import functools
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.data.augmentations import Augmentation
from keras_s2s.data.augmented_epoch import AugmentedEpoch
from keras_s2s.data.blocks import blocks
from keras_s2s.data.examples import Examples, TeacherLabels, encode
from keras_s2s.data.heads import Head, check_alignment
from keras_s2s.data.kept import keep
from keras_s2s.data.mixtures import Mixture
from keras_s2s.data.pairs import Pairs
from keras_s2s.data.plans import Plan, count_costs, cut, make_plan, runs_of
from keras_s2s.data.ragged import Ragged
from keras_s2s.data.shares import WHOLE, Share, weightless
from keras_s2s.errors import UserError
from keras_s2s.labels import TEACHER_IDS, TEACHER_LOG_PROBABILITIES, LabelSource
from keras_s2s.special_ids import BOS, EOS, PADDING
from keras_s2s.text import Tokenizer
from keras_s2s.text.padding import encode_sources

# While one epoch is trained on, batches of the next one are made.
_PLANS = 2
Batch = tuple[dict[str, np.ndarray], Any, Any]


def batches(
    pairs: Pairs,
    source_tokenizer: Tokenizer | None,
    target_tokenizer: Tokenizer,
    *,
    tokens: int = 4096,
    seed: int | None = 1,
    maximum_length: int = 256,
    heads: Sequence[Head] = ("logits",),
    upsampling: int = 1,
) -> tf.data.Dataset:
    """Makes the batches of an epoch.

    With a seed they are those of `Batches`, and other ones with every iteration over the dataset; a dataset made again
    with the same seed repeats them. Say `fit(dataset, shuffle=False)`, or Keras warns that it does not shuffle.

    Args:
        pairs: the corpus.
        source_tokenizer: of its sources; None for a language model, which reads targets alone, and for features.
        target_tokenizer: of its targets.
        tokens: see `Batches`.
        seed: of the order. None is for evaluation: the order of `pairs`, and nothing is left out (a pair that
            alone has more than `tokens` ids is a batch of its own).
        maximum_length: with a seed, longer pairs are left out, see `Batches`.
        heads: outputs of the model.
        upsampling: frames that a CTC head has for each source id.

    Returns:
        A dataset of known cardinality of `(inputs, labels, weights)`, see `Batches`.

    Raises:
        UserError: as `Batches`.
    """
    examples = encode(pairs, source_tokenizer, target_tokenizer)
    if seed is None:
        if "crf" in heads:
            check_alignment(examples)
        ends = cut(runs_of(examples), tokens).tolist()
        in_order = [np.arange(*span) for span in itertools.pairwise([0, *ends])]
        return _dataset(
            lambda: (_padded(examples.take(rows), heads) for rows in in_order), examples, heads, len(in_order)
        )
    made = Batches(
        examples, tokens=tokens, seed=seed, maximum_length=maximum_length, heads=heads, upsampling=upsampling
    )
    epochs = itertools.count()
    return _dataset(lambda: map(made.at, made.steps_of(next(epochs))), examples, heads, len(made))


def source_inputs(sources: Sequence[Any], tokenizer: Tokenizer | None) -> dict[str, np.ndarray]:
    """The inputs of a model for sources that are to be decoded, as in the batches of `Batches`.

    Args:
        sources: texts, or features (S, F) each.
        tokenizer: of texts; None for features.
    """
    if tokenizer is not None:
        return {"source_ids": encode_sources(sources, tokenizer)}
    return _of_frames(Ragged.of(sources))


class Batches:
    """All batches of a training. Each follows from the seed and its step, so a training can begin at any step.

    Pairs of similar length share a batch; which pairs they are and the order of batches change with every epoch. An
    epoch is planned from lengths alone, and held as 4 bytes a pair; ids and features are read for a batch at a time, so
    they may be maps of files.

    A batch is `(inputs, labels, weights)`: inputs `source_ids` (B, S) int32, or `source_features` (B, S, F) float32 and
    `source_lengths` (B,) int32, and for the head "logits" `target_ids` (B, T) int32; labels (B, T) int32; weights
    (B, T) float32, 0 at padding and the pair's weight elsewhere. Of several heads each has labels and weights by its
    name; those of "attention" are places in the source, or -1, where the weight is 0. Of examples with labels of a
    teacher, labels are by name, too, and have `teacher_ids` (B, T, k) int32 and `teacher_log_probabilities` (B, T, k)
    float32.

    Args:
        examples: the corpus, encoded.
        tokens: a batch has at most this many ids, padding included, on its longer side: sentences times the larger of
            padded source and padded target length. Where augmentations make sentences longer, somewhat more.
        sentences: at most so many pairs in a batch.
        seed: of the order.
        maximum_length: pairs with more ids than this on either side (EOS counts) are left out, and a warning says how
            many.
        heads: outputs of the model. Pairs that a CTC head has no path for are left out, and a warning says how many.
        upsampling: frames that a CTC head has for each source id.
        mixture: which pairs are in an epoch; None is each of them, once.
        augmentations: make other examples of the pairs in every epoch, one after the other.
        labels: makes more labels of each batch, by name; then labels are by name even if there is one head.
        twice: every pair stands in its batch twice, in rows 2i and 2i+1.

    Raises:
        UserError: there are no pairs, or none short enough, or one that has more than `tokens` ids, or one that a CRF
            head cannot label.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        tokens: int = 4096,
        sentences: int | None = None,
        seed: int = 1,
        maximum_length: int = 256,
        heads: Sequence[Head] = ("logits",),
        upsampling: int = 1,
        mixture: Mixture | None = None,
        augmentations: Sequence[Augmentation] = (),
        labels: Mapping[str, LabelSource] = MappingProxyType({}),
        twice: bool = False,
    ) -> None:
        self.examples, self.seed, self.heads = examples, seed, tuple(heads)
        self.augmentations, self.labels, self.times = tuple(augmentations), labels, 2 if twice else 1
        self.tokens, self.sentences = tokens // self.times, sentences and max(sentences // self.times, 1)
        if "crf" in heads:
            check_alignment(examples)
        self.kept = keep(
            examples, maximum_length=maximum_length, tokens=self.tokens, heads=self.heads, upsampling=upsampling
        )
        if mixture is not None and self.kept.numbers is not None:
            mixture = mixture.among(self.kept.numbers)
        self.mixture = mixture
        self._first_steps, self._plans, self._lock = [0], dict[int, Plan](), threading.RLock()

    def __len__(self) -> int:
        """Batches of the first epoch; those that follow have as many, unless they are a mixture."""
        return len(self.steps_of(0))

    def steps_of(self, epoch: int) -> range:
        """The steps of an epoch, both counted from 0."""
        if self.mixture is None:
            return range(epoch * self._of_all, (epoch + 1) * self._of_all)
        with self._lock:
            while len(self._first_steps) < epoch + 2:
                rows = self.mixture.rows(len(self._first_steps) - 1, self.seed)
                of_costs = count_costs(self.examples, rows, self.kept.longest)
                self._first_steps.append(self._first_steps[-1] + self._count(of_costs))
            return range(self._first_steps[epoch], self._first_steps[epoch + 1])

    def at(self, step: int, share: Share = WHOLE) -> Batch:
        """The batch of a step, counted from 0, or a replica's share of it, which has the padding of all of it.

        Of a share only its own rows are read, unless augmentations or labels are made, which takes the whole batch.
        """
        if self.augmentations or self.labels:
            return share.of_batch(self._changed(step), self.times)
        rows = self._rows(step)
        least = (0, 0) if share == WHOLE else tuple(int(side.max()) for side in self.examples.lengths_at(rows))
        examples = self.examples.take(rows[share.rows(len(rows))])
        inputs, labels, weights = _padded(self._repeated(examples), self.heads, least)
        return inputs, labels, weightless(weights) if share.is_empty(len(rows)) else weights

    def largest(self) -> list[Batch]:
        """Of the first epoch's batches those with the most ids, and with the longest pairs."""
        plan = self._plan(0)
        longest = np.maximum(*self.examples.lengths_at(plan.rows[plan.ends - 1]))
        most = longest * np.diff(plan.ends, prepend=0)
        steps = {int(np.argmax(of_batch[plan.order])) for of_batch in (most, longest)}
        return [self.at(step) for step in sorted(steps)]

    def tokens_at(self, step: int) -> int:
        """Source and target ids in the batch of a step, without padding, as they were read."""
        return self.times * sum(int(side.sum()) for side in self.examples.lengths_at(self._rows(step)))

    def padding(self) -> float:
        """The share of padding in the batches of the first epoch, on both sides together."""
        plan, real, padded = self._plan(0), 0, 0
        sizes = np.diff(plan.ends, prepend=0)
        for some in blocks(len(plan), 64):
            starts = np.cumsum(sizes[some]) - sizes[some]
            for lengths in self.examples.lengths_at(plan.rows[plan.span(some.start, some.stop)]):
                real += int(lengths.sum())
                padded += int(np.dot(sizes[some], np.maximum.reduceat(lengths, starts)))
        return 1 - real / padded

    def dataset(self, first_step: int = 0, shares: Sequence[Share] = (WHOLE,)) -> tf.data.Dataset:
        """The batches from a step on, without an end: give `fit` its `steps_per_epoch`.

        Args:
            first_step: counted from 0.
            shares: of each batch these come, one after the other.
        """

        def made() -> Iterator[Batch]:
            return (self.at(step, share) for step in itertools.count(first_step) for share in shares)

        return _dataset(made, self.examples, self.heads, labels=self.labels)

    def _changed(self, step: int) -> Batch:
        """The batch of a step, after augmentations and with labels."""
        if self.augmentations:
            epoch, number = self._find(step)
            examples = self._augmented(epoch).at(number)
            if "crf" in self.heads:
                check_alignment(examples)
        else:
            examples = self.examples.take(self._rows(step))
        return _labelled(_padded(self._repeated(examples), self.heads), self.heads, self.labels)

    def _repeated(self, examples: Examples) -> Examples:
        return examples if self.times == 1 else examples.take(np.repeat(np.arange(len(examples.labels)), self.times))

    def _find(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and which of its batches comes then."""
        if self.mixture is None:
            epoch = step // self._of_all
        else:
            while step >= self._first_steps[-1]:
                self.steps_of(len(self._first_steps) - 1)
            epoch = bisect.bisect_right(self._first_steps, step) - 1
        return epoch, int(self._plan(epoch).order[step - self.steps_of(epoch).start])

    def _rows(self, step: int) -> np.ndarray:
        epoch, number = self._find(step)
        return self._plan(epoch).batch(number)

    @functools.cached_property
    def _of_all(self) -> int:
        """Batches of an epoch that has each pair once: costs, which decide it, are the same in every epoch."""
        return self._count(self.kept.of_costs)

    def _count(self, of_costs: np.ndarray) -> int:
        """Batches of so many rows of each cost."""
        return len(cut(enumerate(np.cumsum(of_costs).tolist()), self.tokens, self.sentences))

    def _plan(self, epoch: int) -> Plan:
        """The batches of an epoch. The last two that were asked for are held, and one of them while another is made."""
        with self._lock:
            plan = self._plans.pop(epoch, None)
            if plan is None:
                while len(self._plans) >= _PLANS:
                    del self._plans[next(iter(self._plans))]
                rows = self.kept.rows() if self.mixture is None else self.mixture.rows(epoch, self.seed)
                draw = np.random.default_rng((self.seed, epoch))
                plan = make_plan(self.examples, rows, self.kept.longest, draw, self.tokens, self.sentences)
            self._plans[epoch] = plan
            return plan

    @functools.lru_cache(maxsize=_PLANS)  # noqa: B019 - as long-lived as the training
    def _augmented(self, epoch: int) -> AugmentedEpoch:
        return AugmentedEpoch(
            self.examples,
            self._plan(epoch),
            self.augmentations,
            (self.seed, epoch),
            self.sentences,
            repeats=self.mixture is not None,
        )


def _padded(examples: Examples, heads: Sequence[Head], least: Sequence[int] = (0, 0)) -> Batch:
    """The batch of some examples.

    Args:
        examples: its rows.
        heads: outputs of the model.
        least: sources and labels are filled up to these lengths at least.
    """
    inputs: dict[str, np.ndarray] = {}
    of_source, of_labels = least
    sources, labels = examples.sources, examples.labels.padded(PADDING, of_labels)  # (B, T)
    if sources is not None and examples.has_features:
        inputs |= _of_frames(sources, of_source)
    elif sources is not None:
        inputs["source_ids"] = sources.padded(PADDING, of_source)
    if "logits" in heads:
        inputs["target_ids"] = _shifted(labels)
    weights = (labels != PADDING).astype(np.float32)
    if examples.weights is not None:
        weights *= examples.weights[:, None]
    beside = {} if examples.teacher is None else _of_teacher(examples.teacher, of_labels)
    if len(heads) == 1:
        return inputs, {heads[0]: labels, **beside} if beside else labels, weights
    of_heads: dict[str, np.ndarray] = {**dict.fromkeys(heads, labels), **beside}
    weights_of_heads = dict.fromkeys(heads, weights)
    if "attention" in heads:
        assert examples.alignments is not None
        places = examples.alignments.padded(-1, of_labels)
        of_heads["attention"], weights_of_heads["attention"] = places, np.where(places >= 0, weights, 0)
    return inputs, of_heads, weights_of_heads


def _labelled(batch: Batch, heads: Sequence[Head], sources: Mapping[str, LabelSource]) -> Batch:
    """The batch with the labels of the sources beside those of the heads."""
    if not sources:
        return batch
    inputs, labels, weights = batch
    of_heads = dict(labels) if isinstance(labels, dict) else {heads[0]: labels}
    ids = next(of_heads[head] for head in heads if head != "attention")
    for name, source in sources.items():
        made = np.asarray(source.make(inputs, ids), np.float32)
        if len(made.shape) != len(source.shape) or len(made) != len(ids):
            raise UserError(f"labels '{name}': expected the shape {source.shape} of {len(ids)} rows, got {made.shape}")
        of_heads[name] = made
    return inputs, of_heads, weights


def _of_teacher(teacher: TeacherLabels, least: int) -> dict[str, np.ndarray]:
    """A teacher's labels, filled up as the labels are: (B, T, k) each."""
    log_probabilities = teacher.log_probabilities.padded(least=least).astype(np.float32)
    return {TEACHER_IDS: teacher.ids.padded(PADDING, least), TEACHER_LOG_PROBABILITIES: log_probabilities}


def _of_frames(sources: Ragged, least: int = 0) -> dict[str, np.ndarray]:
    """Features (S, F) of each source, filled up with zeros: (B, S, F) float32, and their lengths (B,) int32."""
    return {"source_features": sources.padded(least=least), "source_lengths": sources.lengths.astype(np.int32)}


def _shifted(labels: np.ndarray) -> np.ndarray:
    """The inputs of a decoder that predicts `labels` (B, T): BOS, then the labels up to the one before EOS."""
    before = np.where(labels == EOS, PADDING, labels)[:, :-1]
    return np.pad(before, ((0, 0), (1, 0)), constant_values=BOS)


def _dataset(
    made: Any,
    examples: Examples,
    heads: Sequence[Head],
    number: int | None = None,
    labels: Mapping[str, LabelSource] = MappingProxyType({}),
) -> tf.data.Dataset:
    """The batches of an iterator, which is made anew for each iteration over the dataset."""

    def generate() -> Iterator[Batch]:
        yield from made()

    with tf.device("CPU"):
        dataset = tf.data.Dataset.from_generator(generate, output_signature=_signature(examples, heads, labels))
        cardinality = tf.data.INFINITE_CARDINALITY if number is None else number
        return dataset.apply(tf.data.experimental.assert_cardinality(cardinality)).prefetch(8)


def _signature(examples: Examples, heads: Sequence[Head], labels: Mapping[str, LabelSource]) -> tuple[Any, Any, Any]:
    ids, weights = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.float32)
    inputs: dict[str, tf.TensorSpec] = {}
    if examples.sources is not None and examples.has_features:
        width = examples.sources.values.shape[1]
        inputs["source_features"] = tf.TensorSpec((None, None, width), tf.float32)
        inputs["source_lengths"] = tf.TensorSpec((None,), tf.int32)
    elif examples.sources is not None:
        inputs["source_ids"] = ids
    if "logits" in heads:
        inputs["target_ids"] = ids
    of_labels: Any = dict.fromkeys(heads, ids)
    of_labels |= {name: tf.TensorSpec(source.shape, tf.float32) for name, source in labels.items()}
    if examples.teacher is not None:
        shape = (None, None, examples.teacher.ids.values.shape[1])
        types = {TEACHER_IDS: tf.int32, TEACHER_LOG_PROBABILITIES: tf.float32}
        of_labels |= {name: tf.TensorSpec(shape, dtype) for name, dtype in types.items()}
    of_weights = dict.fromkeys(heads, weights)
    if len(heads) > 1:
        return inputs, of_labels, of_weights
    return inputs, of_labels if len(of_labels) > 1 else ids, weights

"""Batches of a token budget, each known by its step, and the `tf.data.Dataset` of them for `model.fit`."""

import functools
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_s2s.data.augmentations import Augmentation
from keras_s2s.data.augmented_epoch import AugmentedEpoch
from keras_s2s.data.examples import Examples, encode
from keras_s2s.data.heads import Head, check_alignment, reachable
from keras_s2s.data.mixtures import Mixture
from keras_s2s.data.pairs import Pairs
from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError
from keras_s2s.labels import LabelSource
from keras_s2s.special_ids import BOS, EOS, PADDING
from keras_s2s.text import Tokenizer
from keras_s2s.text.padding import encode_sources

_log = logging.getLogger(__name__)
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
            check_alignment(examples.source_lengths, examples.label_lengths)
        in_order = [np.arange(*span) for span in _cut(examples.costs, tokens)]
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

    Pairs of similar length share a batch; which pairs they are and the order of batches change with every epoch. The
    corpus is held in memory.

    A batch is `(inputs, labels, weights)`: inputs `source_ids` (B, S) int32, or `source_features` (B, S, F) float32 and
    `source_lengths` (B,) int32, and for the head "logits" `target_ids` (B, T) int32; labels (B, T) int32; weights
    (B, T) float32, 0 at padding and the pair's weight elsewhere. Of several heads each has labels and weights by its
    name; those of "attention" are places in the source, or -1, where the weight is 0.

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
            check_alignment(examples.source_lengths, examples.label_lengths)
        kept = _short_enough(np.maximum(examples.source_lengths, examples.label_lengths), maximum_length)
        if "ctc" in heads:
            kept = kept[reachable(examples.source_lengths[kept], examples.labels.take(kept), upsampling)]
        _check_budget(examples.costs[kept], self.tokens)
        self.kept, self.mixture = kept, mixture.among(kept) if mixture is not None else None
        self._keys = examples.length_keys()
        self._first_steps = [0]

    def __len__(self) -> int:
        """Batches of the first epoch; those that follow have as many, unless they are a mixture."""
        return len(self._plan(0).batches)

    def steps_of(self, epoch: int) -> range:
        """The steps of an epoch, both counted from 0."""
        while len(self._first_steps) < epoch + 2:
            batches = len(self._plan(len(self._first_steps) - 1).batches)
            self._first_steps.append(self._first_steps[-1] + batches)
        return range(self._first_steps[epoch], self._first_steps[epoch + 1])

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        if self.augmentations:
            epoch, number = self._find(step)
            examples = self._augmented(epoch).at(number)
            if "crf" in self.heads:
                check_alignment(examples.source_lengths, examples.label_lengths)
        else:
            examples = self.examples.take(self._rows(step))
        if self.times > 1:
            examples = examples.take(np.repeat(np.arange(len(examples.labels)), self.times))
        return _labelled(_padded(examples, self.heads), self.heads, self.labels)

    def largest(self) -> list[Batch]:
        """Of the first epoch's batches those with the most ids, and with the longest pairs."""
        plan = self._plan(0)
        longest = [int(self.examples.costs[plan.batches[number]].max()) for number in plan.order]
        most = [len(plan.batches[number]) * length for number, length in zip(plan.order, longest, strict=True)]
        return [self.at(step) for step in sorted({int(np.argmax(most)), int(np.argmax(longest))})]

    def tokens_at(self, step: int) -> int:
        """Source and target ids in the batch of a step, without padding, as they were read."""
        rows = self._rows(step)
        return self.times * int(self.examples.source_lengths[rows].sum() + self.examples.label_lengths[rows].sum())

    def padding(self) -> float:
        """The share of padding in the batches of the first epoch, on both sides together."""
        real = padded = 0
        for rows in self._plan(0).batches:
            lengths = self.examples.source_lengths[rows], self.examples.label_lengths[rows]
            real += sum(int(side.sum()) for side in lengths)
            padded += len(rows) * int(lengths[0].max() + lengths[1].max())
        return 1 - real / padded

    def dataset(self, first_step: int = 0) -> tf.data.Dataset:
        """The batches from a step on, without an end: give `fit` its `steps_per_epoch`."""

        def made() -> Iterator[Batch]:
            return map(self.at, itertools.count(first_step))

        return _dataset(made, self.examples, self.heads, labels=self.labels)

    def _find(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and which of its batches comes then."""
        epoch = 0
        while step not in self.steps_of(epoch):
            epoch += 1
        return epoch, int(self._plan(epoch).order[step - self._first_steps[epoch]])

    def _rows(self, step: int) -> np.ndarray:
        epoch, number = self._find(step)
        return self._plan(epoch).batches[number]

    @functools.lru_cache(maxsize=4)  # noqa: B019 - as long-lived as the training
    def _plan(self, epoch: int) -> "_Plan":
        """The batches of an epoch.

        Rows are shuffled, then sorted by length with a stable sort: which of the rows of equal lengths meet in a batch
        is chance.
        """
        draw = np.random.default_rng((self.seed, epoch))
        rows = draw.permutation(self.kept if self.mixture is None else self.mixture.rows(epoch, self.seed))
        rows = rows[np.argsort(self._keys[rows], kind="stable")]
        spans = _cut(self.examples.costs[rows], self.tokens, self.sentences)
        return _Plan([rows[slice(*span)] for span in spans], draw.permutation(len(spans)))

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def _augmented(self, epoch: int) -> AugmentedEpoch:
        batches, seed = self._plan(epoch).batches, (self.seed, epoch)
        return AugmentedEpoch(self.examples, batches, self.augmentations, seed, self.sentences)


class _Plan(NamedTuple):
    """The batches of an epoch.

    Attributes:
        batches: the rows of each, short ones first.
        order: the number of the batch of each step.
    """

    batches: list[np.ndarray]
    order: np.ndarray


def _check_budget(costs: np.ndarray, tokens: int) -> None:
    if not len(costs):
        raise UserError("batches: no pair has a path through CTC; raise the CTC head's upsampling")
    if costs.max() > tokens:
        raise UserError(
            f"batches: tokens {tokens}: one pair alone has {costs.max()}; raise tokens or lower maximum_length"
        )


def _short_enough(lengths: np.ndarray, maximum_length: int) -> np.ndarray:
    kept = np.flatnonzero(lengths <= maximum_length)
    if not len(kept):
        raise UserError(f"batches: maximum_length {maximum_length}: every pair is longer, at least {lengths.min()} ids")
    if dropped := len(lengths) - len(kept):
        _log.warning("%d of %d pairs left out: more than %d ids", dropped, len(lengths), maximum_length)
    return kept


def _cut(costs: np.ndarray, tokens: int, sentences: int | None = None) -> list[tuple[int, int]]:
    """Cuts rows into runs of `length * max(cost) <= tokens`; first and last + 1 of each."""
    starts, largest = [0], 0
    for row, cost in enumerate(costs.tolist()):
        largest, length = max(largest, cost), row + 1 - starts[-1]
        if length > 1 and (length * largest > tokens or (sentences and length > sentences)):
            starts.append(row)
            largest = cost
    return list(zip(starts, [*starts[1:], len(costs)], strict=True))


def _padded(examples: Examples, heads: Sequence[Head]) -> Batch:
    """The batch of some examples."""
    inputs: dict[str, np.ndarray] = {}
    sources, labels = examples.sources, examples.labels.padded(PADDING)  # (B, T)
    if sources is not None and examples.has_features:
        inputs |= _of_frames(sources)
    elif sources is not None:
        inputs["source_ids"] = sources.padded(PADDING)
    if "logits" in heads:
        inputs["target_ids"] = _shifted(labels)
    weights = (labels != PADDING).astype(np.float32)
    if examples.weights is not None:
        weights *= examples.weights[:, None]
    if len(heads) == 1:
        return inputs, labels, weights
    of_heads: dict[str, np.ndarray] = dict.fromkeys(heads, labels)
    weights_of_heads = dict.fromkeys(heads, weights)
    if "attention" in heads:
        assert examples.alignments is not None
        places = examples.alignments.padded(-1)
        of_heads["attention"], weights_of_heads["attention"] = places, np.where(places >= 0, weights, 0)
    return inputs, of_heads, weights_of_heads


def _labelled(batch: Batch, heads: Sequence[Head], sources: Mapping[str, LabelSource]) -> Batch:
    """The batch with the labels of the sources beside those of the heads."""
    if not sources:
        return batch
    inputs, labels, weights = batch
    of_heads = {heads[0]: labels} if len(heads) == 1 else dict(labels)
    ids = next(of_heads[head] for head in heads if head != "attention")
    for name, source in sources.items():
        made = np.asarray(source.make(inputs, ids), np.float32)
        if len(made.shape) != len(source.shape) or len(made) != len(ids):
            raise UserError(f"labels '{name}': expected the shape {source.shape} of {len(ids)} rows, got {made.shape}")
        of_heads[name] = made
    return inputs, of_heads, weights


def _of_frames(sources: Ragged) -> dict[str, np.ndarray]:
    """Features (S, F) of each source, filled up with zeros: (B, S, F) float32, and their lengths (B,) int32."""
    return {"source_features": sources.padded(), "source_lengths": sources.lengths.astype(np.int32)}


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
    of_weights = dict.fromkeys(heads, weights)
    if len(heads) > 1:
        return inputs, of_labels, of_weights
    return inputs, of_labels if labels else ids, weights

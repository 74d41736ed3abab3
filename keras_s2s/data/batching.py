"""Batches of a token budget, as a `tf.data.Dataset` for `model.fit`."""

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.data.heads import Head, Rows, check_alignment, reachable
from keras_s2s.data.sources import Pairs
from keras_s2s.errors import UserError
from keras_s2s.text import Tokenizer
from keras_s2s.text.padding import SOURCE_MULTIPLE
from keras_s2s.text.tokenizer import BOS, EOS, PADDING

_log = logging.getLogger(__name__)


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

    With a seed, pairs of similar length share a batch, and which pairs they are and the order of batches
    change with every iteration over the dataset; a dataset made again with the same seed repeats them. The
    number of batches is the same in every epoch. The corpus is encoded once and held in memory. Say
    `fit(dataset, shuffle=False)`, or Keras warns that it does not shuffle.

    Args:
        pairs: the corpus.
        source_tokenizer: of its sources; None for a language model, which reads targets alone.
        target_tokenizer: of its targets.
        tokens: a batch has at most this many ids, padding included, on its longer side: sentences times the
            larger of padded source and padded target length.
        seed: of the order. None is for evaluation: the order of `pairs`, and nothing is left out (a pair that
            alone has more than `tokens` ids is a batch of its own).
        maximum_length: with a seed, pairs with more ids than this on either side (EOS counts) are left out,
            and a warning says how many.
        heads: outputs of the model. With a seed, pairs that a CTC head has no path for are left
            out, and a warning says how many.
        upsampling: frames that a CTC head has for each source id.

    Returns:
        A dataset of known cardinality whose elements are `(inputs, labels, weights)`: inputs
        `{"source_ids": (B, S) int32, "target_ids": (B, T) int32}`, labels (B, T) int32 and weights (B, T)
        float32. S is a multiple of 4. Weights are 1 at real labels and 0 at padding. Only the head "logits" needs
        `target_ids`. Of several heads each has labels and weights, the same ones, by its name.

    Raises:
        UserError: there are no pairs, or none short enough, or one that has more than `tokens` ids, or one that a CRF
            head cannot label.
    """
    if not len(pairs):
        raise UserError("batches: no pairs; give at least one")
    sources = [[*ids, EOS] for ids in source_tokenizer.encode(pairs.sources)] if source_tokenizer else None
    labels = [[*ids, EOS] for ids in target_tokenizer.encode(pairs.targets)]
    if "crf" in heads:
        check_alignment(sources or [], labels)
    label_lengths = _lengths(labels)
    source_lengths = _lengths(sources) if sources else np.zeros_like(label_lengths)
    # What a pair costs in a batch where no other pair is longer: its padded length.
    costs = np.maximum(source_lengths + -source_lengths % SOURCE_MULTIPLE, label_lengths)
    with tf.device("CPU"):
        if seed is None:
            rows, count = _batches_in_order(costs, tokens)
        else:
            kept = _short_enough(np.maximum(source_lengths, label_lengths), maximum_length)
            if "ctc" in heads:
                kept = kept[reachable(source_lengths[kept], [labels[row] for row in kept], upsampling)]
            _check_budget(costs[kept], tokens)
            rows, count = _shuffled_batches(kept, costs[kept], label_lengths[kept], tokens, seed)
        dataset = rows.map(_gather(sources, labels, heads), tf.data.AUTOTUNE)
        return dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(tf.data.AUTOTUNE)


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


def _batches_in_order(costs: np.ndarray, tokens: int) -> tuple[tf.data.Dataset, int]:
    """Row numbers of each batch, (B,) int32, and how many batches there are."""
    spans = _cut(costs, tokens)
    rows = tf.range(len(costs))
    return tf.data.Dataset.from_tensor_slices(spans).map(lambda span: rows[span[0] : span[1]]), len(spans)


def _shuffled_batches(
    rows: np.ndarray, costs: np.ndarray, label_lengths: np.ndarray, tokens: int, seed: int
) -> tuple[tf.data.Dataset, int]:
    """Row numbers of each batch, (B,) int32, and how many batches there are.

    Rows are shuffled, then sorted by cost and label length with a stable sort. The sorted costs are the same
    in every epoch, so the cuts are too; which of the rows of equal lengths meet in a batch is chance.
    """
    spans = tf.constant(_cut(np.sort(costs), tokens))
    rows, keys = tf.constant(rows, tf.int32), tf.constant(costs * (label_lengths.max() + 1) + label_lengths)

    def epoch(epoch_seed: tf.Tensor) -> tf.data.Dataset:
        def shuffle(values: tf.Tensor, stream: int) -> tf.Tensor:
            return tf.random.experimental.stateless_shuffle(values, tf.stack([epoch_seed, stream]))

        shuffled = shuffle(tf.range(tf.size(rows)), 0)
        order = tf.gather(shuffled, tf.argsort(tf.gather(keys, shuffled), stable=True))
        chosen = tf.gather(rows, order)
        return tf.data.Dataset.from_tensor_slices(shuffle(spans, 1)).map(lambda span: chosen[span[0] : span[1]])

    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
    return seeds.flat_map(epoch), len(spans)


def _cut(costs: np.ndarray, tokens: int) -> np.ndarray:
    """Cuts rows into runs of `length * max(cost) <= tokens`; returns (N, 2) first and last + 1."""
    starts, largest = [0], 0
    for row, cost in enumerate(costs.tolist()):
        largest = max(largest, cost)
        if row > starts[-1] and (row + 1 - starts[-1]) * largest > tokens:
            starts.append(row)
            largest = cost
    return np.array([starts, [*starts[1:], len(costs)]], np.int32).T


def _gather(sources: Rows | None, labels: Rows, heads: Sequence[Head]) -> Callable:
    all_sources, all_labels = None if sources is None else _ragged(sources), _ragged(labels)

    def batch(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], Any, Any]:  # (B,)
        inputs = {}
        if all_sources is not None:
            source_ids = tf.gather(all_sources, rows).to_tensor(PADDING)  # (B, S)
            source_ids = tf.pad(source_ids, [[0, 0], [0, -tf.shape(source_ids)[1] % SOURCE_MULTIPLE]])
            inputs["source_ids"] = source_ids
        batch_labels = tf.gather(all_labels, rows).to_tensor(PADDING)  # (B, T)
        if "logits" in heads:
            inputs["target_ids"] = _shift(batch_labels)
        weights = tf.cast(batch_labels != PADDING, tf.float32)
        if len(heads) == 1:
            return inputs, batch_labels, weights
        return inputs, dict.fromkeys(heads, batch_labels), dict.fromkeys(heads, weights)

    return batch


def _shift(labels: tf.Tensor) -> tf.Tensor:
    """What a decoder reads to predict `labels` (B, T): BOS, then the labels up to the one before EOS."""
    before = tf.where(labels == EOS, PADDING, labels)[:, :-1]
    return tf.pad(before, [[0, 0], [1, 0]], constant_values=BOS)


def _ragged(rows: Rows) -> tf.RaggedTensor:
    values = np.fromiter(itertools.chain.from_iterable(rows), np.int32)
    return tf.RaggedTensor.from_row_lengths(values, _lengths(rows))


def _lengths(rows: Rows) -> np.ndarray:
    return np.fromiter(map(len, rows), np.int64, len(rows))

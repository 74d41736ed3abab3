"""Scores and attention of given targets."""

from typing import Any

from keras import ops

from keras_s2s.decoding.step import as_step
from keras_s2s.special_ids import BOS, PADDING
from keras_s2s.typing import Source, Tensor


def token_scores(model: Any, source: Source, targets: Tensor) -> Tensor:
    """The log-probability of each token of given targets, by teacher forcing in one call.

    Args:
        model: a model with a decoder, an `Ensemble` or a `Fusion`.
        source: `source_ids` (B, S), or `source_features` and `source_lengths`; empty for a language model.
        targets: (B, T) int32 without BOS, each row ended by EOS, padded with 0.

    Returns:
        (B, T), 0 at padding. A row's sum is the log-probability of the target, and exp(-sum / tokens) its perplexity.
    """
    step = as_step(model)
    output, _ = step(shifted(targets), _begun(step, source, targets))
    rows, vocabulary = -1, ops.shape(output.scores)[-1]
    flat = ops.reshape(output.scores, (rows,))
    first = ops.arange(ops.shape(targets)[0] * ops.shape(targets)[1], dtype="int32") * vocabulary
    scores = ops.take(flat, first + ops.reshape(targets, (-1,)))
    scores = ops.reshape(scores, ops.shape(targets)) - output.log_normalizer
    return ops.where(targets == PADDING, 0.0, scores)


def best_tokens(model: Any, source: Source, targets: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The likeliest tokens at each place of given targets, by teacher forcing in one call.

    Args:
        model: as in `token_scores`.
        source: as in `token_scores`.
        targets: (B, T) int32 without BOS, each row ended by EOS, padded with 0.
        k: how many.

    Returns:
        Their ids (B, T, k) int32, the likeliest first, of equal ones the smallest, and their log-probabilities
        (B, T, k). At padding they mean nothing.
    """
    step = as_step(model)
    output, _ = step(shifted(targets), _begun(step, source, targets))
    scores, ids = ops.top_k(output.scores, k)
    return ids, scores - output.log_normalizer[..., None]


def alignment(model: Any, source: Source, targets: Tensor) -> Tensor:
    """Where a model looks as it writes given targets.

    Args:
        model: as in `token_scores`, with attention.
        source: as in `token_scores`.
        targets: (B, T) int32 without BOS, each row ended by EOS, padded with 0.

    Returns:
        (B, T, S), at each token a distribution over the source.
    """
    step = as_step(model)
    output, _ = step(shifted(targets), _begun(step, source, targets), attention=True)
    return output.attention


def _begun(step: Any, source: Source, targets: Tensor) -> Any:
    if source:
        return step.start(source)
    return step.begin({"position": ops.zeros_like(targets[:, 0])})


def shifted(targets: Tensor) -> Tensor:
    """The inputs of a decoder for these targets: BOS, then all but the last."""
    return ops.pad(targets, ((0, 0), (1, 0)), constant_values=BOS)[:, :-1]

"""The strategies that are one computation: those of CTC and CRF heads, and those of given targets."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_s2s.decoding.entries import Given, ProgramEntry
from keras_s2s.decoding.score import alignment, token_scores
from keras_s2s.decoding.step import reads_and_writes, single_model
from keras_s2s.dynamic import crf, ctc, ctc_search
from keras_s2s.dynamic.semiring import sum_in_order
from keras_s2s.search_options import STRATEGIES, TARGET, strategy_inputs
from keras_s2s.typing import Decodable, Source, Tensor


def _score(model: Any, source: Source, given: Given) -> dict[str, Tensor]:
    return {"token_scores": token_scores(model, source, given["target_ids"])}


def _align(model: Any, source: Source, given: Given) -> dict[str, Tensor]:
    return {"attention": alignment(model, source, given["target_ids"])}


def _ctc_greedy(model: Any, source: Source, given: Given) -> dict[str, Tensor]:
    tokens, lengths, scores = ctc.greedy(model.ctc(model.encoder(source)))
    return {"tokens": tokens[:, None], "lengths": lengths[:, None], "scores": scores[:, None]}


def _ctc_beam(model: Any, source: Source, given: Given) -> dict[str, Tensor]:
    logits = model.ctc(model.encoder(source))
    found = ctc_search.prefix_beam_search(logits, given["beam_size"], given["n_best"])
    return dict(zip(("tokens", "lengths", "scores"), found, strict=True))


def _viterbi(model: Any, source: Source, given: Given) -> dict[str, Tensor]:
    encoded = model.encoder(source)
    labels, scores = crf.viterbi(model.crf(encoded))
    return _tagged(encoded, labels, scores)


def _posterior(model: Any, source: Source, given: Given) -> dict[str, Tensor]:
    encoded = model.encoder(source)
    marginals = crf.marginals(model.crf(encoded))  # (B, S, V)
    score = tf.math.log(tf.reduce_max(marginals, axis=2) + 1e-30)
    score = sum_in_order(tf.where(encoded["mask"], score, 0.0))
    return _tagged(encoded, tf.argmax(marginals, axis=2, output_type=tf.int32), score)


def _tagged(encoded: Mapping[str, Tensor], labels: Tensor, scores: Tensor) -> dict[str, Tensor]:
    """One label for each source token, but for that of the source's EOS."""
    kept = tf.pad(encoded["mask"][:, 1:], [[0, 0], [0, 1]])
    lengths = tf.reduce_sum(tf.cast(kept, tf.int32), axis=1)
    tokens = tf.where(kept, labels, 0)
    return {"tokens": tokens[:, None], "lengths": lengths[:, None], "scores": scores[:, None]}


def _writes(model: Decodable) -> bool:
    """Whether it has a decoder; a language model has one, too."""
    one = single_model(model)
    return one is None or one.decoder is not None


def _has_ctc(model: Decodable) -> bool:
    one = single_model(model)
    return one is not None and one.ctc is not None


def _has_crf(model: Decodable) -> bool:
    one = single_model(model)
    return one is not None and one.crf is not None


PROGRAM_ENTRIES: Mapping[str, ProgramEntry] = {
    "score": ProgramEntry([TARGET], _score, _writes),
    "align": ProgramEntry([TARGET], _align, reads_and_writes),
    "ctc_greedy": ProgramEntry(strategy_inputs(STRATEGIES["ctc_greedy"]), _ctc_greedy, _has_ctc),
    "ctc_beam": ProgramEntry(strategy_inputs(STRATEGIES["ctc_beam"]), _ctc_beam, _has_ctc),
    "viterbi": ProgramEntry(strategy_inputs(STRATEGIES["viterbi"]), _viterbi, _has_crf),
    "posterior": ProgramEntry(strategy_inputs(STRATEGIES["posterior"]), _posterior, _has_crf),
}

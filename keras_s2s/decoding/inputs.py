"""The inputs of programs, and so of graphs: what each strategy and each feature wants to know."""

from collections.abc import Mapping

import tensorflow as tf

_FLOAT, _INT, _BOOL = (tf.TensorSpec((), dtype) for dtype in (tf.float32, tf.int32, tf.bool))
IDS = tf.TensorSpec((None, None), tf.int32)
LIMIT = {"max_length_factor": _FLOAT, "max_length_extra": _INT}
_SCORER = {"length_penalty": _FLOAT, "length_penalty_base": _FLOAT, "word_reward": _FLOAT}
_BEAM = {"beam_size": _INT, "n_best": _INT, "patience": _FLOAT, "exhaustive": _BOOL}
SAMPLE = {
    "n_best": _INT,
    "temperature": _FLOAT,
    "top_k": _INT,
    "top_p": _FLOAT,
    "min_p": _FLOAT,
    "uniforms": tf.TensorSpec((None, None, None), tf.float32),
}
_TARGETS = {"target_ids": IDS}

INPUTS: Mapping[str, Mapping[str, tf.TensorSpec]] = {
    "greedy": {**LIMIT, **_SCORER},
    "beam": {**LIMIT, **_SCORER, **_BEAM},
    "diverse": {**LIMIT, **_SCORER, **_BEAM, "diversity": _FLOAT},
    "sample": {**LIMIT, **_SCORER, **SAMPLE},
    "score": _TARGETS,
    "align": _TARGETS,
    "ctc_greedy": {},
    "ctc_beam": {"beam_size": _INT, "n_best": _INT},
    "viterbi": {},
    "posterior": {},
}
FEATURES: Mapping[str, Mapping[str, tf.TensorSpec]] = {
    "constrained": {
        "prefix": IDS,
        "begins_word": tf.TensorSpec((None,), tf.bool),
        "suppressed": IDS,
        "min_length": _INT,
        "no_repeat_ngram": _INT,
        "repetition_penalty": _FLOAT,
        "allow_unknown": _BOOL,
    },
    "coverage": {"coverage_penalty": _FLOAT},
    "joint": {"ctc_weight": _FLOAT},
    "shortlist": {"shortlist": tf.TensorSpec((None,), tf.int32)},
}

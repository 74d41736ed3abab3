"""The SavedModel of a bundle: text to text, and ids to ids, for TensorFlow and tensorflow-text alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_s2s.bundle import Decoding
from keras_s2s.export.forms import variables_of
from keras_s2s.export.shared_traces import SharedTraces
from keras_s2s.export.step_functions import step_functions
from keras_s2s.layers import fused
from keras_s2s.runtime.feeds import default_feeds
from keras_s2s.special_ids import EOS
from keras_s2s.text import Tokenizer
from keras_s2s.text.in_graph import GraphTokenizer
from keras_s2s.text.tokenizer import BLANK

_OF_SENTENCES = ("source_ids", "prefix")


def save(
    model: Any,
    programs: Mapping[str, Any],
    default: str,
    source: Tokenizer,
    target: Tokenizer,
    decoding: Decoding,
    max_source_tokens: int,
    path: Path,
) -> None:
    """Writes a SavedModel.

    Its signatures:

    - `serving_default`: `text` (B,) string -> `text` (B,) string, the best hypothesis, and `score` (B,), decoded by the
      program `default` as `decoding` says. A blank text gives an empty one; a text of more than `max_source_tokens`,
      EOS counted, is truncated.
    - one for each program, with its inputs and outputs; searches are ids to ids.
    - `encode` and `step` of a model with a decoder, as `step_functions` says.
    """
    module = tf.Module()
    # The functions capture the variables, and the module must own what they capture.
    module.weights = [variable.value for variable in variables_of(model)]
    module.source, module.target = GraphTokenizer(source), GraphTokenizer(target)
    program = programs[default]
    options = _options(decoding, target, program.input_signature)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="text")], autograph=False)
    def generate_text(text: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = _truncated(module.source.encode(text), max_source_tokens)
        inputs = {**options, "source_ids": ids, "prefix": tf.zeros_like(ids[:, :1])}
        found = program(*(inputs[spec.name] for spec in program.input_signature))
        best = module.target.decode(found["tokens"][:, 0])
        # A text of nothing but what the tokenizer drops is blank, too.
        blank = tf.logical_or(tf.strings.regex_full_match(text, BLANK), tf.equal(ids[:, 0], EOS))
        return {"text": tf.where(blank, "", best), "score": tf.where(blank, 0.0, found["scores"][:, 0])}

    with fused.lowering(SharedTraces()):
        functions = {"serving_default": generate_text, **programs, **step_functions(model)}
        # Traces of functions that are first called while a SavedModel is written are of no use to anybody else.
        signatures = {name: function.get_concrete_function() for name, function in functions.items()}
    tf.saved_model.save(module, str(path), signatures)


def _options(decoding: Decoding, target: Tokenizer, signature: Sequence[tf.TensorSpec]) -> dict[str, tf.Tensor]:
    """The inputs of a program that do not depend on its sentences."""
    values = default_feeds(target, decoding)
    wanted = {spec.name: spec.dtype for spec in signature if spec.name not in _OF_SENTENCES}
    return {name: tf.constant(values[name], dtype) for name, dtype in wanted.items()}


def _truncated(ids: tf.Tensor, longest: int) -> tf.Tensor:
    """Keeps at most `longest` ids of a row (B, S), the last of them EOS."""
    last = ids[:, longest - 1 : longest]
    return tf.concat([ids[:, : longest - 1], tf.where(last > 0, EOS, last)], axis=1)

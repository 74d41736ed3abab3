"""The SavedModel of a bundle: text to text, and ids to ids, for TensorFlow and tensorflow-text alone."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_s2s.bundle import Decoding
from keras_s2s.decoding import PROGRAMS
from keras_s2s.runtime.graph import run_time_inputs
from keras_s2s.text import Tokenizer
from keras_s2s.text.in_graph import GraphTokenizer
from keras_s2s.text.tokenizer import EOS

# What `str.isspace` says, as the runtime asks it.
_SPACE = r"[\t-\r\x1c-\x20\x{85}\p{Z}]*"


def save(
    model: Any, source: Tokenizer, target: Tokenizer, decoding: Decoding, max_source_tokens: int, path: Path
) -> None:
    """Writes a SavedModel.

    Its signatures:

    - `serving_default`: `text` (B,) string -> `text` (B,) string, the best hypothesis, and `score` (B,), decoded as
      `decoding` says. A blank text gives an empty one; a text of more than `max_source_tokens`, EOS counted, is
      truncated.
    - `greedy` and `beam`: the inputs and outputs of `greedy.onnx` and `beam.onnx`.
    """
    module = tf.Module()
    # The functions capture the variables, and the module must own what they capture.
    module.weights = [variable.value for variable in model.variables]
    module.source, module.target = GraphTokenizer(source), GraphTokenizer(target)
    programs = {name: make(model) for name, make in PROGRAMS.items()}
    module.programs = programs
    inputs = run_time_inputs(decoding)
    options = {spec.name: inputs[spec.name] for spec in programs[decoding.strategy].input_signature[1:]}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="text")], autograph=False)
    def generate_text(text: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = _truncated(module.source.encode(text), max_source_tokens)
        found = programs[decoding.strategy](ids, **options)
        best = module.target.decode(found["tokens"][:, 0])
        # A text of nothing but what the tokenizer drops is blank, too.
        blank = tf.logical_or(tf.strings.regex_full_match(text, _SPACE), tf.equal(ids[:, 0], EOS))
        return {"text": tf.where(blank, "", best), "score": tf.where(blank, 0.0, found["scores"][:, 0])}

    tf.saved_model.save(module, str(path), {"serving_default": generate_text, **programs})


def _truncated(ids: tf.Tensor, longest: int) -> tf.Tensor:
    """Keeps at most `longest` ids of a row (B, S), the last of them EOS."""
    last = ids[:, longest - 1 : longest]
    return tf.concat([ids[:, : longest - 1], tf.where(last > 0, EOS, last)], axis=1)

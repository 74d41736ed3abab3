"""A model's forms, all with one face: rows of source ids and decoding options in, candidates out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.bundle import Decoding
from keras_s2s.decoding import PROGRAMS
from keras_s2s.runtime.graph import Candidates, Graph, candidates, run_time_inputs
from keras_s2s.text.padding import pad

Rows = Sequence[Sequence[int]]
Form = Callable[[Rows, Decoding], list[Candidates]]


def keras_form(model: Any) -> Form:
    """The Keras model itself."""
    return _tensorflow_form({name: make(model) for name, make in PROGRAMS.items()})


def saved_model_form(path: Path) -> Form:
    """A SavedModel, loaded from disk."""
    return _tensorflow_form(tf.saved_model.load(str(path)).signatures)


def saved_model_texts(path: Path, texts: Sequence[str], batch_size: int) -> list[str]:
    """What the SavedModel's own text signature makes of `texts`, in batches in the order given."""
    generate = tf.saved_model.load(str(path)).signatures["serving_default"]
    batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    return [text.decode() for batch in batches for text in generate(text=tf.constant(batch))["text"].numpy()]


def onnx_form(folder: Path, threads: int | None = None) -> Form:
    """The ONNX graphs of one precision."""
    graphs = {name: Graph(folder / f"{name}.onnx", threads) for name in PROGRAMS}
    return lambda rows, decoding: graphs[decoding.strategy](rows, decoding)


def _tensorflow_form(programs: Mapping[str, Any]) -> Form:
    def run(rows: Rows, decoding: Decoding) -> list[Candidates]:
        inputs = {"source_ids": pad(rows), **run_time_inputs(decoding)}
        names = _input_names(programs[decoding.strategy])
        found = programs[decoding.strategy](**{name: tf.constant(inputs[name]) for name in names})
        return candidates(*(np.array(found[name]) for name in ("tokens", "lengths", "scores")))

    return run


def _input_names(program: Any) -> list[str]:
    if hasattr(program, "input_signature"):
        return [spec.name for spec in program.input_signature]
    return list(program.structured_input_signature[1])  # a function loaded from a SavedModel

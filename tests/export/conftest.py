"""A small model that has learnt a little, with its tokenizer and its sentences; runtimes that are not onnxruntime."""

import functools
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from keras_s2s.data import Pairs, batches
from keras_s2s.export import export_bundle
from keras_s2s.export.forms import Form, keras_form, programs_of
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.text import Tokenizer, train
from keras_s2s.training import load


class Toy(NamedTuple):
    """Writes words backwards, not always rightly."""

    model: Any
    tokenizer: Tokenizer
    dev: Pairs
    test: Pairs

    def in_keras(self, graph: str) -> Form:
        """The program of a graph in Keras, traced once for all tests."""
        return _in_keras(self.model, graph)


@functools.cache
def _in_keras(model: Any, graph: str) -> Form:
    return keras_form(programs_of(model, [graph], groups=1), model.config.target_vocabulary)


@pytest.fixture(scope="session")
def toy(made_once: Callable[..., Path]) -> Toy:
    draw = random.Random(1)
    words = sorted({"".join(draw.choices("abcde", k=draw.randint(1, 5))) for _ in range(3000)})
    draw.shuffle(words)
    pairs = [(word, word[::-1]) for word in words]
    dev, test, rest = (Pairs(*zip(*some, strict=True)) for some in (pairs[:40], pairs[40:60], pairs[60:]))
    tokenizer = train([*rest.sources, *rest.targets], 40, kind="char", normalization="identity")
    return Toy(load(made_once("toy.keras", lambda path: _train(rest, tokenizer, path))), tokenizer, dev, test)


def _train(pairs: Pairs, tokenizer: Tokenizer, path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = build(
        ModelConfig(
            source_vocabulary=tokenizer.vocabulary_size,
            target_vocabulary=tokenizer.vocabulary_size,
            width=32,
            encoder=LSTMEncoderConfig(),
            decoder=LSTMDecoderConfig(),
            dropout=0.0,
            share_embeddings=True,
        )
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=CrossEntropy())
    model.fit(batches(pairs, tokenizer, tokenizer, tokens=256), epochs=4, shuffle=False, verbose=0)
    model.save(path)


@pytest.fixture(scope="session")
def standard(toy: Toy, made_once: Callable[..., Path]) -> Path:
    """A bundle of the model with greedy graphs of standard operators; it is only read."""

    def export(path: Path) -> None:
        export_bundle(toy.model, path, toy.tokenizer, toy.tokenizer, toy.dev, graphs=["greedy"], operators="standard")

    return made_once("standard", export)


Arrays = Mapping[str, np.ndarray]
Elsewhere = Callable[[ModelProto], Callable[[Arrays], Arrays]]


def _in_reference(model: ModelProto) -> Callable[[Arrays], Arrays]:
    """The evaluator of the package onnx, which is the standard's own, in numpy."""
    evaluator = ReferenceEvaluator(model)

    def run(inputs: Arrays) -> Arrays:
        with np.errstate(all="ignore"):  # it takes exponentials of whatever is there
            return dict(zip(evaluator.output_names, evaluator.run(None, dict(inputs)), strict=True))

    return run


def _in_openvino(model: ModelProto) -> Callable[[Arrays], Arrays]:
    """OpenVINO on the CPU, in float32 also where the processor has something shorter."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # its import sends usage data
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.compile_model(openvino.Core().read_model(model.SerializeToString()), "CPU", options)

    def run(inputs: Arrays) -> Arrays:
        found = compiled(dict(inputs))
        return {name: value for output, value in found.items() for name in output.names}

    return run


@pytest.fixture(scope="session")
def reference() -> Elsewhere:
    """Makes what runs a model of standard operators in the package onnx."""
    return _in_reference


@pytest.fixture(scope="session", params=[_in_reference, _in_openvino], ids=["reference", "openvino"])
def elsewhere(request: pytest.FixtureRequest) -> Elsewhere:
    """Makes what runs a model of standard operators in another runtime than onnxruntime."""
    return request.param

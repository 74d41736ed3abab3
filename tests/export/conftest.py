"""A small model that has learnt a little, with its tokenizer and its sentences; two of noise, exported once for all
tests; runtimes that are not onnxruntime.
"""

import functools
import json
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

from keras_s2s.bundle import Decoding
from keras_s2s.data import Pairs, batches
from keras_s2s.export import export_bundle
from keras_s2s.export.forms import Form, keras_form, programs_of, steps_of
from keras_s2s.export.graphs import write_graphs
from keras_s2s.layout import Layout
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import (
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.runtime.feeds import Sentence, feeds
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


# Wide enough for matrices to be stored in the weights file in int8 too.
NOISE: dict[str, Any] = {"source_vocabulary": 34, "target_vocabulary": 34, "width": 32}
ZOO: dict[str, dict[str, Any]] = {
    "transformer": {
        "encoder": TransformerEncoderConfig(layers=2, heads=4, feed_forward=48),
        "decoder": TransformerDecoderConfig(layers=2, heads=4, feed_forward=48),
        "share_embeddings": True,
        "tie_output": True,
    },
    "sizes of each layer": {
        "encoder": TransformerEncoderConfig(layers=2, heads=[3, 1], head_width=8, feed_forward=[7, 48]),
        "decoder": TransformerDecoderConfig(
            layers=2, heads=[1, 3], memory_heads=[2, 1], head_width=8, feed_forward=[48, 5]
        ),
    },
    "lstm": {"encoder": LSTMEncoderConfig(layers=2), "decoder": LSTMDecoderConfig(layers=2, input_feeding=True)},
}
ZOO_GRAPHS = ("greedy", "beam", "beam-constrained-coverage")
ZOO_STEPS = ("greedy", "beam-constrained-coverage")


class Exported(NamedTuple):
    """A model of random weights and what it was exported to.

    Attributes:
        folder: has the graphs in fp32 and int8, greedy search and beams; greedy search and a beam with features a step
            at a time, too.
        layouts: of what the steps keep.
    """

    folder: Path
    layouts: dict[str, dict[str, Layout]]

    def model(self) -> Any:
        return load(self.folder / "model.keras")


def of_noise(parts: Mapping[str, Any]) -> Any:
    """A model of weights so large that its outputs are of every length, and beams matter."""
    keras.utils.set_random_seed(1)
    model = build(ModelConfig(**NOISE, **parts))
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables:
        scale = 0.3 if "norm" in weight.path else 1.5 * weight.shape[0] ** -0.5
        weight.assign(weight + rng.normal(scale=scale, size=weight.shape))
    bias = model.head.bias.numpy()
    bias[:2] = -30  # No training teaches a model to write padding or BOS.
    model.head.bias.assign(bias)
    return model


def _export(kind: str, folder: Path) -> None:
    model = of_noise(ZOO[kind])
    rng, decoding = np.random.default_rng(6), Decoding(strategy="greedy", beam_size=1, max_length_extra=5)
    rows = [[*rng.integers(4, NOISE["target_vocabulary"], size=number % 9).tolist(), 2] for number in range(60)]
    inputs = [feeds([Sentence(row)], decoding, NOISE["target_vocabulary"]) for row in rows]
    programs, (steps, layouts) = programs_of(model, ZOO_GRAPHS, groups=1), steps_of(model, ZOO_STEPS)
    folder.mkdir()
    write_graphs({**programs, **steps}, "greedy", inputs, folder, lambda what: None, "onnxruntime")
    model.save(folder / "model.keras")
    kept = {graph: {name: layout.model_dump() for name, layout in own.items()} for graph, own in layouts.items()}
    (folder / "layouts.json").write_text(json.dumps(kept), encoding="utf-8")


@pytest.fixture(scope="session")
def zoo(made_once: Callable[..., Path]) -> Callable[[str], Exported]:
    """`zoo(kind)`: one of the models of random weights, exported; it is only read."""

    @functools.cache
    def get(kind: str) -> Exported:
        folder = made_once(f"zoo-{kind}", lambda path: _export(kind, path))
        kept = json.loads((folder / "layouts.json").read_text(encoding="utf-8"))
        return Exported(folder, {graph: {n: Layout(**one) for n, one in own.items()} for graph, own in kept.items()})

    return get


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

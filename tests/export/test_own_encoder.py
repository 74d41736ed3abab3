"""An encoder of a user's own, made of Keras's layers, unknown to this package: it is trained and exported."""

from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_s2s import Generator, bundle
from keras_s2s.config import Config
from keras_s2s.data import batches
from keras_s2s.export import export_bundle, onnx_graph
from keras_s2s.export.forms import keras_form, programs_of
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import LSTMDecoderConfig, ModelConfig, Seq2Seq
from keras_s2s.models.assembly import ENCODERS
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.training import load


class GatedConfig(Config):
    kind: Literal["gated"] = "gated"
    kernel: int = 5


class GatedEncoder(layers.Layer):
    """Convolutions with a gate (Dauphin et al. 2017) and a position-wise part with the exact GELU of Keras."""

    def __init__(self, config: GatedConfig, source: Any, width: int, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.source = source
        self.norm = layers.LayerNormalization()
        self.convolution = layers.Conv1D(2 * width, config.kernel, padding="same")
        self.wide = layers.Dense(2 * width, activation="gelu")
        self.narrow = layers.Dense(width)

    def call(self, source: dict[str, Any], training: bool | None = None) -> dict[str, Any]:
        x, mask = self.source(source)
        real = ops.cast(mask[:, :, None], "float32")
        values, gates = ops.split(self.convolution(self.norm(x) * real), 2, axis=-1)
        x = x + values * ops.sigmoid(gates)
        return {"encoded": x + self.narrow(self.wide(x)), "mask": mask}


class OwnConfig(ModelConfig):
    encoder: GatedConfig  # type: ignore[assignment]


@keras.saving.register_keras_serializable("own")
class OwnModel(Seq2Seq):
    config_type = OwnConfig


@pytest.fixture(scope="module")
def model(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trained a little, saved and loaded."""
    sizes = {f"{side}_vocabulary": toy.tokenizer.vocabulary_size for side in ("source", "target")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "gated", GatedEncoder)
        keras.utils.set_random_seed(1)
        model = OwnModel(OwnConfig(**sizes, width=32, encoder=GatedConfig(), decoder=LSTMDecoderConfig()))
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss=CrossEntropy())
        model.fit(batches(toy.dev, toy.tokenizer, toy.tokenizer, tokens=64), epochs=8, verbose=0)
        path = tmp_path_factory.mktemp("own") / "model.keras"
        model.save(path)
        yield load(path)


def test_it_is_exported_as_others_are(toy: Any, model: Any, tmp_path: Path) -> None:
    export_bundle(model, tmp_path / "own", toy.tokenizer, toy.tokenizer, toy.dev, graphs=["greedy"])
    manifest = bundle.read(tmp_path / "own").manifest
    assert manifest.model["encoder"] == {"kind": "gated", "kernel": 5}
    assert ("encoder", "gated") in [(part.name, part.kind) for part in manifest.parts]
    form = keras_form(programs_of(model, ["greedy"], groups=1), toy.tokenizer.vocabulary_size)
    sentences = [Sentence([*ids, 2]) for ids in toy.tokenizer.encode(toy.test.sources)]
    expected = toy.tokenizer.decode([best.tokens for best, *_ in form.search("greedy", sentences, manifest.decoding)])
    assert len(set(expected)) > 10
    found = {
        precision: [best.text for best, *_ in Generator.load(tmp_path / "own", precision)(toy.test.sources)]
        for precision in ("fp32", "int8")
    }
    assert found["fp32"] == expected
    assert np.mean([a == b for a, b in zip(found["int8"], expected, strict=True)]) > 0.6


class SelfAttention(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.attention = layers.MultiHeadAttention(2, 3)

    def call(self, x: Any) -> Any:
        return self.attention(x, x)


LAYERS: dict[str, Any] = {
    "GELU by erf": lambda: layers.Dense(7, activation="gelu"),
    "causal convolution": lambda: layers.Conv1D(7, 3, padding="causal", dilation_rate=2),
    "separable convolution": lambda: layers.SeparableConv1D(7, 3, padding="same"),
    "depthwise convolution": lambda: layers.DepthwiseConv1D(3, padding="same"),
    "attention": SelfAttention,
    "LSTM": lambda: layers.LSTM(7, return_sequences=True),
    "GRU": lambda: layers.GRU(7, return_sequences=True),
    "RMS norm": layers.RMSNormalization,
    "batch norm": layers.BatchNormalization,
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_keras_without_a_fused_operator(name: str) -> None:
    layer, x = LAYERS[name](), np.random.default_rng(1).normal(size=(3, 6, 5)).astype("float32")
    layer.build(x.shape)
    signature = [tf.TensorSpec((None, None, 5), tf.float32, name="x")]
    program = tf.function(lambda x: {"y": layer(x)}, input_signature=signature, autograph=False)
    graph = onnx_graph.expand(*onnx_graph.convert(program))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], layer(x), atol=1e-5)

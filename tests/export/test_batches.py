"""What int8 says of a sentence depends on nothing else: not on other sentences, padding, the batch, or threads."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from onnx import ModelProto
from onnxruntime import InferenceSession

from keras_s2s.bundle import Decoding
from keras_s2s.export import onnx_graph
from keras_s2s.export.calibrate import calibrate
from keras_s2s.export.forms import programs_of
from keras_s2s.export.quantize import int8
from keras_s2s.export.standard import OPERATORS
from keras_s2s.layers.positions import rotate, sinusoids
from keras_s2s.models import ModelConfig, SSRUDecoderConfig, TransformerDecoderConfig, TransformerEncoderConfig, build
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import Candidates, Graph, candidates, session_options

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

# Large enough for blocks of the vocabulary.
VOCABULARY = 1280
LONGEST = 13
SENTENCES = 8 * (LONGEST + 1)
DECODERS: dict[str, Any] = {"transformer": TransformerDecoderConfig, "ssru": SSRUDecoderConfig}
RNG = np.random.default_rng(8)
ROWS = [[*RNG.integers(4, VOCABULARY, size=n % (LONGEST + 1)).tolist(), 2] for n in range(SENTENCES)]


def options(strategy: str) -> Decoding:
    beam_size = 4 if strategy == "beam" else 1
    limits = {"max_length_factor": 1.0, "max_length_extra": 3}
    return Decoding(strategy=strategy, beam_size=beam_size, n_best=1, length_penalty=1.0, **limits)


@functools.cache
def quantized(decoder: str) -> dict[str, ModelProto]:
    """The int8 graphs of a model with weights so large that outputs are of every length."""
    shape = {"layers": 2, "heads": 4, "feed_forward": 96}
    model = build(
        ModelConfig(
            source_vocabulary=VOCABULARY,
            target_vocabulary=VOCABULARY,
            width=64,
            encoder=TransformerEncoderConfig(**shape),
            decoder=DECODERS[decoder](**shape),
        )
    )
    rng = np.random.default_rng(9)
    for weight in model.trainable_variables:
        scale = 0.3 if "norm" in weight.path else 1.5 * weight.shape[0] ** -0.5
        weight.assign(weight + rng.normal(scale=scale, size=weight.shape))
    bias = model.head.bias.numpy()
    bias[2] += 2.0
    model.head.bias.assign(bias)
    programs = programs_of(model, ["greedy", "beam"], groups=1)
    graphs = {name: onnx_graph.expand(*onnx_graph.convert(program)) for name, program in programs.items()}
    scales = calibrate(graphs.values(), [feeds([Sentence(row)], options("greedy"), VOCABULARY) for row in ROWS[:32]])
    return {name: int8(graph, scales) for name, graph in graphs.items()}


@pytest.fixture(
    scope="module", params=[("transformer", "onnxruntime"), ("transformer", "standard"), ("ssru", "onnxruntime")]
)
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graphs of a decoder, written, with operators of onnxruntime or without."""
    decoder, operators = request.param
    path = tmp_path_factory.mktemp("int8") / "graphs"
    onnx_graph.write({name: OPERATORS[operators](graph) for name, graph in quantized(decoder).items()}, path)
    return path


def decoded(graph: Graph, strategy: str, batch_size: int, order: np.ndarray) -> list[Candidates]:
    """The candidates of each sentence, decoded in that order."""
    found: dict[int, Candidates] = {}
    for start in range(0, SENTENCES, batch_size):
        indices = order[start : start + batch_size].tolist()
        inputs = feeds([Sentence(ROWS[index]) for index in indices], options(strategy), VOCABULARY)
        found.update(zip(indices, candidates(graph(inputs)), strict=True))
    return [found[index] for index in range(SENTENCES)]


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_a_sentence_is_the_same_in_any_batch_with_any_threads(folder: Path, strategy: str) -> None:
    graphs = {threads: Graph(folder / f"{strategy}.onnx", threads) for threads in (1, 2, 4)}
    alone = decoded(graphs[1], strategy, 1, np.arange(SENTENCES))
    lengths = {len(best.tokens) for best, *_ in alone}
    assert len(lengths) > 6
    assert len({best.tokens for best, *_ in alone}) > SENTENCES / 4
    for threads, batch_size in ((1, 8), (1, 64), (2, 64), (4, 64)):
        order = np.random.default_rng(batch_size).permutation(SENTENCES)
        # Candidates hold scores as they are, so equal ones are equal to the byte.
        assert decoded(graphs[threads], strategy, batch_size, order) == alone


OF_PLACES: dict[str, Any] = {
    "logarithm": lambda numbers: ops.log(ops.abs(numbers)),
    "sines": lambda numbers: sinusoids(numbers, 12),
    "rotation": lambda numbers: rotate(numbers[:, None, :, None] + tf.range(6.0), numbers),
}


@pytest.mark.parametrize("kind", OF_PLACES)
def test_a_number_is_rounded_the_same_wherever_it_stands(kind: str) -> None:
    """Kernels that take several numbers at once have another way for those that are left at the end."""

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="numbers")], autograph=False)
    def program(numbers: Any) -> dict[str, Any]:
        return {"found": OF_PLACES[kind](numbers)}

    graph = onnx_graph.expand(*onnx_graph.convert(program))
    session = InferenceSession(graph.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"])
    numbers = np.random.default_rng(1).integers(1, 300, size=(501, 1)).astype("float32")
    (together,) = session.run(["found"], {"numbers": numbers})
    alone = np.concatenate([session.run(["found"], {"numbers": row[None]})[0] for row in numbers])
    np.testing.assert_allclose(together, program(numbers)["found"], rtol=1e-5, atol=1e-4)
    assert together.tobytes() == alone.tobytes()

"""Each fused operator, exported, against its Keras lowering: in fp32 and in int8."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx.parser
import onnxruntime
import pytest
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.export import onnx_graph
from keras_s2s.export.lowering import Markers
from keras_s2s.export.number_formats import ACTIVATION_LEVELS, WEIGHT_LEVELS
from keras_s2s.export.operators import Operators
from keras_s2s.export.products import parts
from keras_s2s.export.quantize import quantize
from keras_s2s.export.standard import only_in_onnxruntime, standardize
from keras_s2s.layers import fused
from keras_s2s.runtime.graph import session_options

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

RNG = np.random.default_rng(3)
ROUNDING = 1e-5
# How much larger an activation can make a difference; ReLU and tanh do not.
STEEPEST = {"gelu": 1.13, "silu": 1.1}
Arrays = list[np.ndarray]
Elsewhere = Callable[[onnx.ModelProto], Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]]


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def weight(*shape: int) -> keras.Variable:
    """Rows and columns of very different size, so that one scale for all of them would be seen."""
    spread = np.exp(RNG.normal(size=shape)) if len(shape) > 1 else 1.0
    return keras.Variable((normal(*shape) * spread).astype("float32"))


@dataclass(frozen=True)
class Case:
    """A call of fused operators.

    Attributes:
        call: the call, of tensors.
        shapes: of its inputs, None where a size is known at run time alone.
        inputs: two rows of inputs of a length.
        lengths: of the time axis.
        int8_error: the most that int8 may differ, from the inputs; None where int8 changes nothing.
    """

    call: Callable[..., Any]
    shapes: Sequence[tuple[int | None, ...]]
    inputs: Callable[[int], Arrays]
    lengths: Sequence[int] = (0, 1, 5)
    int8_error: Callable[[Arrays], np.ndarray] | None = None


def product_error(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Half a step of each activation, times weights, and half a step of each weight, times activations.

    x (..., I), w (I, O) -> (..., O). A step is 1/127 of a row's largest activation, 1/63 of a column's largest weight.
    """
    half_x = np.abs(x).max(axis=-1, keepdims=True, initial=0) / ACTIVATION_LEVELS / 2
    half_w = np.abs(w).max(axis=0) / WEIGHT_LEVELS / 2
    return np.abs(x).sum(-1, keepdims=True) * half_w + half_x * np.abs(w).sum(0) + len(w) * half_x * half_w


def row_error(ids: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Half a step of each row: ids (...), table (V, D) -> (..., 1)."""
    return np.abs(table[ids]).max(axis=-1, keepdims=True, initial=0) / WEIGHT_LEVELS / 2


def linear(activation: Any = None, bias: bool = True, transposed: bool = False, axes: int = 3) -> Case:
    w = weight(7, 6) if transposed else weight(6, 7)
    b = weight(7) if bias else None
    matrix = w.numpy().T if transposed else w.numpy()
    shapes = [(None, 6)] if axes == 2 else [(None, None, 6)]
    return Case(
        lambda x: fused.linear(x, w, b, activation, transposed),
        shapes,
        lambda length: [normal(length, 6) if axes == 2 else normal(2, length, 6)],
        int8_error=lambda inputs: STEEPEST.get(activation, 1.0) * product_error(inputs[0], matrix),
    )


def linear_of_columns(transposed: bool) -> Case:
    w, b = weight(7, 6) if transposed else weight(6, 7), weight(7)
    columns = np.array([0, 3, 4, 6], "int32")
    matrix = (w.numpy().T if transposed else w.numpy())[:, columns]
    return Case(
        lambda x, columns: fused.linear(x, w, b, transposed=transposed, columns=columns),
        [(None, None, 6), (None,)],
        lambda length: [normal(2, length, 6), columns],
        int8_error=lambda inputs: product_error(inputs[0], matrix),
    )


def embedding() -> Case:
    table = weight(9, 6)
    return Case(
        lambda ids: fused.embedding(ids, table),
        [(None, None)],
        lambda length: [RNG.integers(0, 9, size=(2, length)).astype("int32")],
        int8_error=lambda inputs: row_error(inputs[0], table.numpy()),
    )


def tied_embedding() -> Case:
    """A table that is looked up in, and is the matrix of the product with what was found."""
    table, bias = weight(9, 6), weight(9)

    def error(inputs: Arrays) -> np.ndarray:
        values = table.numpy()
        rows, found = values[inputs[0]], row_error(inputs[0], values)
        # The product sees rows that are off by half a step themselves.
        return product_error(np.abs(rows) + found, values.T) + found * np.abs(values).sum(1)

    return Case(
        lambda ids: fused.linear(fused.embedding(ids, table), table, bias, transposed=True),
        [(None, None)],
        lambda length: [RNG.integers(0, 9, size=(2, length)).astype("int32")],
        int8_error=error,
    )


def layer_norm() -> Case:
    scale, offset = weight(6), weight(6)
    return Case(
        lambda x: fused.layer_norm(x, scale, offset, 1e-3),
        [(None, None, 6)],
        lambda length: [3 * normal(2, length, 6) + 1],
    )


def rms_norm() -> Case:
    scale = weight(6)
    return Case(
        lambda x: fused.rms_norm(x, scale, 1e-3),
        [(None, None, 6)],
        lambda length: [3 * normal(2, length, 6) + 1],
    )


def attention(places: int = 4, by_query: bool = False, bias: bool = False) -> Case:
    """The time axis is that of the queries; of the memory's places the second row uses half."""

    def inputs(length: int) -> Arrays:
        queries = length if by_query else 1
        mask = np.arange(places) < np.array([places, max(places // 2, 1)])[:, None, None]
        mask = np.broadcast_to(mask, (2, queries, places)).copy()
        if by_query:
            mask &= np.arange(places) <= np.arange(queries)[:, None]
        biases = [normal(1, 3, length, places)] if bias else []
        return [normal(2, length, 6), normal(2, 3, places, 2), normal(2, 3, places, 2), mask, *biases]

    shapes: list = [(None, None, 6), (None, 3, None, 2), (None, 3, None, 2), (None, None if by_query else 1, None)]
    return Case(fused.attention, shapes + ([(1, 3, None, None)] if bias else []), inputs)


def step_attention(width: int, past: int = 4) -> Case:
    """Two steps, since in what order a cache holds its tokens is the lowering's own; the second row is younger."""

    def two_steps(first: Any, second: Any, key: Any, value: Any, seen: Any) -> Any:
        length = tf.shape(key)[2] + 1
        y, *cache = fused.step_attention(first, key, value, seen, length)
        z, *_ = fused.step_attention(second, *cache, seen + 1, length + 1)
        return y, z

    def inputs(length: int) -> Arrays:
        places = past if length == 5 else length
        seen = np.array([places, max(places - 2, 0)], "int32")
        cache = [normal(2, 3, places, width) for _ in range(2)]
        for part in cache:
            part[1, :, seen[1] :] = 1000  # padding
        return [normal(2, 1, 9 * width), normal(2, 1, 9 * width), *cache, seen]

    shapes: list = [*[(None, 1, 9 * width)] * 2, *[(None, 3, None, width)] * 2, (None,)]
    return Case(two_steps, shapes, inputs)


def recurrent(kind: str, backwards: bool = False, mask: bool = True, zero_state: bool = False) -> Case:
    """Of two rows the second is shorter, if it can be."""
    make, fuse, parts = RECURRENT[kind]
    options = {"return_sequences": True, "return_state": True, "zero_output_for_mask": True}
    layer = make(3, go_backwards=backwards, name=f"{kind}_{backwards}_{mask}_{zero_state}", **options)
    layer.build((None, None, 5))
    layer.set_weights([normal(*w.shape) for w in layer.weights])

    def call(x: Any, *rest: Any) -> Any:
        return fuse(layer, x, rest[:parts], rest[parts] if mask else None)

    def inputs(length: int) -> Arrays:
        state = np.zeros((parts, 2, 3), "float32") if zero_state else normal(parts, 2, 3)
        places = np.arange(length)[None, :] < np.array([[length], [max(length - 2, 0)]])
        return [normal(2, length, 5), *state] + ([places] if mask else [])

    shapes: list = [(None, None, 5), *[(None, 3)] * parts]
    return Case(call, shapes + ([(None, None)] if mask else []), inputs, lengths=(1, 5))


RECURRENT: dict[str, tuple[Any, Callable, int]] = {
    "lstm": (keras.layers.LSTM, fused.lstm, 2),
    "gru": (keras.layers.GRU, fused.gru, 1),
}


def logsumexp(*shape: int | None) -> Case:
    return Case(
        fused.logsumexp,
        [(None, *shape)],
        lambda length: [3 * normal(2, *(length if size is None else size for size in shape))],
        lengths=(1, 5),
    )


def logsumexp_if_wanted(*shape: int | None) -> Case:
    """Wanted but for length 1."""
    plain = logsumexp(*shape)
    return Case(
        fused.logsumexp,
        [*plain.shapes, ()],
        lambda length: [*plain.inputs(length), np.array(length > 1)],
        lengths=plain.lengths,
    )


def top_k(vocabulary: int, k: int | None = None) -> Case:
    """Few numbers, so that many are equal; without `k` it is known at run time alone."""

    def inputs(length: int) -> Arrays:
        x = RNG.integers(0, 9, size=(3, vocabulary)).astype("float32")
        x[1] = -np.inf
        return [x] if k else [x, np.array(length, "int32")]

    call = (lambda x: fused.top_k(x, k)) if k else fused.top_k
    return Case(call, [(None, vocabulary)] if k else [(None, vocabulary), ()], inputs, lengths=(1, 5, 40))


def select(kind: str, *shape: int) -> Case:
    def inputs(length: int) -> Arrays:
        x = (9 * normal(2, 5, *shape)).astype(kind)
        return [x, RNG.integers(0, 5, size=(2, length)).astype("int32")]

    return Case(fused.select, [(None, None, *shape), (None, None)], inputs)


CASES: dict[str, Case] = {
    "linear": linear(),
    "linear of two axes": linear(axes=2),
    "linear, no bias": linear(bias=False),
    "linear, relu": linear("relu"),
    "linear, tanh": linear("tanh"),
    "linear, tanh, no bias": linear("tanh", bias=False),
    "linear, gelu": linear("gelu"),
    "linear, silu": linear("silu"),
    "linear, columns": linear_of_columns(transposed=False),
    "linear, transposed, columns": linear_of_columns(transposed=True),
    "linear, transposed": linear(transposed=True),
    "linear, transposed, no bias, relu": linear("relu", bias=False, transposed=True),
    "embedding": embedding(),
    "embedding, tied": tied_embedding(),
    "layer_norm": layer_norm(),
    "rms_norm": rms_norm(),
    "attention": attention(),
    "attention to one place": attention(places=1),
    "attention, mask by query": attention(by_query=True),
    "attention, bias": attention(bias=True),
    "attention, bias, mask by query": attention(places=5, by_query=True, bias=True),
    "step_attention": step_attention(8),
    "step_attention, a longer cache": step_attention(8, past=21),
    "step_attention, heads that are no multiple of 8": step_attention(6),
    "logsumexp": logsumexp(None, 30),
    "logsumexp of blocks": logsumexp(1, 1280),
    "logsumexp of blocks, several steps": logsumexp(None, 1280),
    "logsumexp of a prime": logsumexp(1, 1283),
    "logsumexp if wanted": logsumexp_if_wanted(None, 30),
    "logsumexp of blocks, if wanted": logsumexp_if_wanted(1, 1280),
    "top_k": top_k(60),
    "top_k, one": top_k(60, 1),
    "top_k of blocks": top_k(1280),
    "top_k of blocks, one": top_k(1280, 1),
    "top_k of a prime": top_k(1283),
    "select": select("float32"),
    "select, more axes": select("float32", 3, 2),
    "select, ids": select("int32"),
    "select, truths": select("bool"),
}
for kind in RECURRENT:
    CASES |= {
        kind: recurrent(kind),
        f"{kind}, no mask": recurrent(kind, mask=False),
        f"{kind}, no state": recurrent(kind, zero_state=True),
        f"{kind}, backwards": recurrent(kind, backwards=True),
        f"{kind}, backwards, no mask": recurrent(kind, backwards=True, mask=False),
    }


class Exported:
    """A case in one form, in onnxruntime; in int8 each row of activations has steps of its own."""

    def __init__(self, case: Case, form: str) -> None:
        kinds = [array.dtype for array in case.inputs(1)]
        signature = [tf.TensorSpec(shape, kind) for shape, kind in zip(case.shapes, kinds, strict=True)]
        program = tf.function(lambda *inputs: case.call(*inputs), input_signature=signature, autograph=False)
        self.graph = onnx_graph.expand(*onnx_graph.convert(program))
        if "int8" in form:
            self.graph = quantize(self.graph, dict.fromkeys(parts(self.graph), "int8-dynamic"), {})
        if "standard" in form:
            self.graph = standardize(self.graph)
        self._session = onnxruntime.InferenceSession(
            self.graph.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
        )

    def __call__(self, inputs: Arrays) -> Arrays:
        names = [node.name for node in self._session.get_inputs()]
        return self._session.run(None, dict(zip(names, inputs, strict=True)))


@pytest.fixture(scope="module")
def exported() -> Callable[[str, str], Exported]:
    made: dict[tuple[str, str], Exported] = {}

    def get(name: str, form: str) -> Exported:
        if (name, form) not in made:
            made[name, form] = Exported(CASES[name], form)
        return made[name, form]

    return get


def in_keras(case: Case, inputs: Arrays) -> Arrays:
    return [np.asarray(output) for output in tf.nest.flatten(case.call(*map(tf.constant, inputs)))]


def test_every_operator_is_here() -> None:
    operators = {name for name, value in vars(fused).items() if hasattr(value, "__wrapped__")} - {"lowering", "part"}
    assert operators == {name.split()[0].rstrip(",") for name in CASES}
    for backend in (Markers, Operators):
        assert operators <= set(dir(backend))


@pytest.mark.parametrize("form", ["fp32", "standard fp32"])
@pytest.mark.parametrize("name", CASES)
def test_fp32_equals_keras(name: str, form: str, exported: Any) -> None:
    case = CASES[name]
    for length in case.lengths:
        inputs = case.inputs(length)
        expected = in_keras(case, inputs)
        for ours, theirs in zip(exported(name, form)(inputs), expected, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, atol=ROUNDING, err_msg=f"length {length}")


@pytest.mark.parametrize("form", ["standard fp32", "standard int8"])
@pytest.mark.parametrize("name", CASES)
def test_standard_operators_say_the_same_in_other_runtimes(
    name: str, form: str, exported: Any, elsewhere: Elsewhere
) -> None:
    ours = exported(name, form)
    run = elsewhere(ours.graph)
    names = [value.name for value in ours.graph.graph.input]
    for length in (1, 5):
        inputs = CASES[name].inputs(length)
        if name.startswith("top_k"):  # of equal numbers OpenVINO takes any, and -inf is its lowest number
            inputs[0] = RNG.permuted(np.arange(inputs[0].size, dtype="float32").reshape(inputs[0].shape), axis=1)
        found = run(dict(zip(names, inputs, strict=True)))
        for output, expected in zip(ours.graph.graph.output, ours(inputs), strict=True):
            np.testing.assert_allclose(found[output.name], expected, atol=ROUNDING, err_msg=f"length {length}")


@pytest.mark.parametrize("form", ["standard fp32", "standard int8"])
@pytest.mark.parametrize("name", CASES)
def test_standard_operators_are_all_of_onnx(name: str, form: str, exported: Any) -> None:
    graph = exported(name, form).graph
    assert [(imported.domain, imported.version) for imported in graph.opset_import] == [("", 18)]
    assert only_in_onnxruntime(graph) == []
    onnx.checker.check_model(graph, full_check=True)


@pytest.mark.parametrize(
    ("name", "form", "operators"),
    [
        ("linear, relu", "fp32", []),
        ("linear, relu", "int8", ["MatMulIntegerToFloat"]),
        ("linear, gelu", "fp32", ["Gelu"]),
        ("layer_norm", "fp32", []),
        ("rms_norm", "fp32", ["SimplifiedLayerNormalization"]),
        ("attention", "int8", ["MultiHeadAttention"]),
        ("step_attention", "int8", ["GroupQueryAttention"]),
        ("step_attention, heads that are no multiple of 8", "int8", ["MultiHeadAttention"]),
    ],
)
def test_which_operators_onnx_does_not_define(name: str, form: str, operators: list[str], exported: Any) -> None:
    assert only_in_onnxruntime(exported(name, form).graph) == operators


def test_an_operator_without_a_standard_form() -> None:
    graph = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
        f (float[N] x) => (float[N] y) { y = com.microsoft.QuickGelu(x) }"""
    )
    with pytest.raises(UserError, match="no standard form of QuickGelu; export with operators 'onnxruntime'"):
        standardize(graph)


@pytest.mark.parametrize("form", ["int8", "standard int8"])
@pytest.mark.parametrize("name", CASES)
def test_int8_is_as_near_as_its_steps_allow(name: str, form: str, exported: Any) -> None:
    case = CASES[name]
    # The largest activation of no rows has the wrong shape in onnxruntime; no graph of ours has such a product.
    for length in case.lengths if "linear" not in name and "tied" not in name else (1, 5):
        inputs = case.inputs(length)
        allowed = ROUNDING + (0 if case.int8_error is None else case.int8_error(inputs))
        for ours, theirs in zip(exported(name, form)(inputs), in_keras(case, inputs), strict=True):
            assert ours.shape == theirs.shape
            near = np.isclose(ours, theirs, rtol=0, atol=np.broadcast_to(allowed, ours.shape))
            assert near.all(), f"length {length}"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.int8_error is not None])
def test_int8_is_no_fp32(name: str, exported: Any) -> None:
    case = CASES[name]
    inputs = case.inputs(5)
    (ours,), (theirs,) = exported(name, "int8")(inputs), in_keras(case, inputs)
    assert np.abs(ours - theirs).max() > 10 * ROUNDING
    kinds = {initializer.data_type for initializer in exported(name, "int8").graph.graph.initializer}
    assert onnx_graph.TensorProto.INT8 in kinds


@pytest.mark.parametrize("seen", range(1, 20))
def test_a_step_of_attention_does_not_depend_on_the_padding_of_its_cache(seen: int, exported: Any) -> None:
    run = exported("step_attention", "fp32")
    first, second, *_ = CASES["step_attention"].inputs(5)
    cache = [normal(2, 3, seen, 8) for _ in range(2)]
    alone = run([first, second, *cache, np.full(2, seen, "int32")])
    padded = [np.pad(part, [(0, 0), (0, 0), (0, 5), (0, 0)]) for part in cache]
    for ours, theirs in zip(run([first, second, *padded, np.full(2, seen, "int32")]), alone, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("form", ["int8", "standard int8"])
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("linear")])
def test_a_row_in_int8_does_not_depend_on_other_rows(name: str, form: str, exported: Any) -> None:
    run = exported(name, form)
    x, *columns = CASES[name].inputs(16)
    (alone,) = run([x[..., :1, :].copy(), *columns])
    x[..., 1:, :] *= 1000
    (together,) = run([x, *columns])
    assert np.array_equal(together[..., :1, :], alone)


def test_rows_of_nothing_in_int8(exported: Any) -> None:
    (y,) = exported("linear, no bias", "int8")([np.zeros((2, 3, 6), "float32")])
    assert not y.any()


def test_a_tied_table_is_stored_once(exported: Any) -> None:
    for precision, count in (("fp32", 1), ("int8", 1)):
        graph = exported("embedding, tied", precision).graph.graph
        assert sum(list(tensor.dims) == [6, 9] for tensor in graph.initializer) == count
        assert not any(list(tensor.dims) == [9, 6] for tensor in graph.initializer)

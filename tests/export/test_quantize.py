"""Hand-written graphs in every number format, against numpy, and the scales of activations that are chosen for them."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from keras_s2s.bundle import Decoding
from keras_s2s.errors import UserError
from keras_s2s.export.calibrate import ActivationScale, calibrate, calibration_batches, least_squares
from keras_s2s.export.number_formats import FORMATS
from keras_s2s.export.products import parts
from keras_s2s.export.quantize import int8, quantize
from keras_s2s.runtime.graph import Stop, session_options

HEADER = '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>\n'
RNG = np.random.default_rng(7)
Weights = dict[str, np.ndarray]

PRODUCT = "f (float[N,I] x) => (float[N,O] y) { xw = MatMul(x, w)  y = Add(xw, b) }"
NO_BIAS = "f (float[N,I] x) => (float[N,O] y) { y = MatMul(x, w) }"
# The third round multiplies with another matrix than the first two add to.
LOOP = """f (float[N,O] x, int64 rounds) => (float[N,O] y) {
    y = Loop(rounds, go, x) <body = one (int64 i, bool before, float[N,O] state) => (bool after, float[N,O] next) {
        after = Identity(before)
        sw = MatMul(state, w)
        next = Add(b, sw)
    }>
}"""
# After each round of the inner loop the outer one doubles.
NESTED = """f (float[N,O] x, int64 rounds) => (float[N,O] y) {
    y = Loop(rounds, go, x) <body = outer (int64 i, bool on, float[N,O] given) => (bool still, float[N,O] twice) {
        still = Identity(on)
        made = Loop(rounds, go, given)
            <body = inner (int64 j, bool before, float[N,O] state) => (bool after, float[N,O] next) {
                after = Identity(before)
                sw = MatMul(state, w)
                next = Add(sw, b)
            }>
        twice = Add(made, made)
    }>
}"""
COLUMNS = """f (float[N,I] x, int32[C] ids) => (float[N,C] y) {
    some = Gather <axis = 1> (w, ids)  few = Gather <axis = 0> (b, ids)
    xw = MatMul(x, some)  y = Add(xw, few)
}"""


def read(source: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = parser.parse_model(HEADER + source)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return model


def run(model: onnx.ModelProto, **inputs: Any) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    return session.run(None, inputs)[0]


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def weights(inputs: int = 8, outputs: int = 5) -> Weights:
    """Columns of very different size."""
    return {"w": normal(inputs, outputs) * np.exp(normal(outputs)), "b": normal(outputs)}


PRODUCTS = [name for name, form in FORMATS.items() if not form.depends_on_batch]


def in_format(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """All of a graph in one format."""
    return quantize(model, dict.fromkeys(parts(model), name), {"w": ActivationScale(0.02, 128)})


def of_rows(model: onnx.ModelProto) -> onnx.ModelProto:
    return in_format(model, "int8-dynamic")


def whole(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights in whole numbers from -63 to 63, and the scale of each column."""
    scale = np.abs(w).max(axis=0) / 63
    return np.round(w / scale).astype("int32"), scale


def expected(x: np.ndarray, w: np.ndarray, b: np.ndarray, scale: ActivationScale) -> np.ndarray:
    (values, of_columns), zero_point = whole(w), scale.zero_point
    quantized = np.clip(np.round(x / np.float32(scale.scale)) + zero_point, 0, 255).astype("int32") - zero_point
    return (quantized @ values) * (of_columns * scale.scale) + b


@pytest.mark.parametrize("scale", [ActivationScale(0.02, 128), ActivationScale(0.01, 0)])
def test_a_product_of_whole_numbers(scale: ActivationScale) -> None:
    stored, x = weights(), normal(3, 8)
    y = run(int8(read(PRODUCT, **stored), {"w": scale}), x=x)
    np.testing.assert_allclose(y, expected(x, **stored, scale=scale), rtol=1e-5, atol=1e-5)
    y = run(int8(read(NO_BIAS, w=stored["w"]), {"w": scale}), x=x)
    np.testing.assert_allclose(y, expected(x, stored["w"], np.zeros(5), scale), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("zero", [0, 128])
def test_the_largest_products_do_not_overflow(zero: int) -> None:
    w = np.ones((64, 4), "float32") * [1, -1, 1, -1]
    model = int8(read(NO_BIAS, w=w.astype("float32")), {"w": ActivationScale(1.0, zero)})
    x = np.full((5, 64), 255 - zero, "float32")
    np.testing.assert_allclose(run(model, x=x), x @ w, rtol=1e-6)


def test_scales_of_rows() -> None:
    stored, x = weights(), normal(3, 8) * [[1], [100], [0]]
    y = run(of_rows(read(PRODUCT, **stored)), x=x.astype("float32"))
    for row, result in zip(x, y, strict=True):
        scale = ActivationScale(max(np.abs(row).max() / 127, 1e-12), 128)
        np.testing.assert_allclose(result, expected(row, **stored, scale=scale), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_row_does_not_depend_on_others(name: str) -> None:
    model, x = in_format(read(PRODUCT, **weights(96, 48)), name), normal(33, 96)
    together = run(model, x=x)
    for row in range(0, 33, 8):
        assert np.array_equal(run(model, x=x[row : row + 1]), together[row : row + 1])
    x[1:] *= 1000
    assert np.array_equal(run(model, x=x)[0], together[0])


def test_a_product_in_a_loop() -> None:
    stored, x = weights(5, 5), normal(3, 5)
    scale = ActivationScale(0.05, 128)
    model = int8(read(LOOP, **stored, go=np.array(True)), {"w": scale})
    y = x
    for rounds in range(4):
        np.testing.assert_allclose(run(model, x=x, rounds=np.array(rounds)), y, rtol=1e-4, atol=1e-4)
        y = expected(y, **stored, scale=scale).astype("float32")


def test_some_columns_of_a_product() -> None:
    stored, x, ids, scale = weights(), normal(3, 8), np.array([4, 0, 2], "int32"), ActivationScale(0.02, 128)
    y = run(int8(read(COLUMNS, **stored), {"w": scale}), x=x, ids=ids)
    np.testing.assert_allclose(y, expected(x, **stored, scale=scale)[:, ids], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_rows_of_a_table(tied: bool) -> None:
    table, ids = weights(7, 4)["w"], np.array([[0, 6, 3]], "int32")
    rows = "rows = Transpose <perm = [1, 0]> (table)  xw = MatMul(x, table)  z = Identity(xw)" if tied else ""
    source = f"f (int32[N,T] ids, float[N,I] x) => (float[N,T,D] y, float[N,O] z) {{ {rows} y = Gather(rows, ids) }}"
    model = read(source.replace("rows,", "rows," if tied else "table,"), table=table.T.copy() if tied else table)
    if not tied:
        model.graph.node.extend(parser.parse_graph("g (float[N,I] x) => (float[N,I] z) { z = Identity(x) }").node)
    for node in model.graph.node:
        node.name = f"embedding_{node.op_type}"
    y = run(int8(model, {"table": ActivationScale(1.0, 128)}), ids=ids, x=normal(1, 4))
    values, scale = whole(table.T)
    np.testing.assert_allclose(y, (values * 1.0).T[ids] * scale[ids][..., None], rtol=1e-6)


def test_other_products_and_look_ups_stay() -> None:
    source = """f (float[N,I] x, float[I,O] other, int64[N] ids) => (float[N,O] y, float[N,I] z)
        { y = MatMul(x, other)  z = Gather(w, ids) }"""
    model = read(source, w=normal(4, 8))
    assert [node.op_type for node in int8(model, {}).graph.node] == ["MatMul", "Gather"]


def test_an_add_that_others_see_before_stays() -> None:
    source = "f (float[N,I] x) => (float[N,O] y, float[N,O] xw) { xw = MatMul(x, w)  y = Add(xw, b) }"
    stored, x = weights(), normal(3, 8)
    model = int8(read(source, **stored), {"w": ActivationScale(0.02, 128)})
    assert [node.op_type for node in model.graph.node] == ["QuantizeLinear", "MatMulIntegerToFloat", "Add"]
    np.testing.assert_allclose(
        run(model, x=x), expected(x, **stored, scale=ActivationScale(0.02, 128)), rtol=1e-5, atol=1e-5
    )


def test_scales_have_the_least_square_error() -> None:
    values = np.append(normal(10000), [40.0]).astype("float32")
    chosen = least_squares(values)

    def error(scale: float) -> float:
        return float(np.square(np.clip(np.round(values / scale), -128, 127) * scale - values).mean())

    assert chosen.zero_point == 128
    assert chosen.scale < 40 / 127  # clipping one value is better than a coarse scale for all
    assert error(chosen.scale) <= min(error(40 * share / 127) for share in (1.0, 0.8, 0.6, 0.4, 0.2))


def test_where_nothing_is_negative_all_levels_are_above_zero() -> None:
    chosen = least_squares(np.linspace(0, 2.55, 256, dtype="float32"))
    assert chosen.zero_point == 0
    assert chosen.scale == pytest.approx(0.01, rel=1e-3)
    assert least_squares(np.zeros(4, "float32")).scale > 0


def test_calibration_sees_what_products_are_given_in_every_round() -> None:
    stored, x = weights(5, 5), normal(6, 5)
    model = read(LOOP, **stored, go=np.array(True))
    rounds = [x]
    for _ in range(2):
        rounds.append(rounds[-1] @ stored["w"] + stored["b"])
    found = calibrate([model], [{"x": x[:4], "rounds": np.array(3)}, {"x": x[4:], "rounds": np.array(3)}])
    assert found.keys() == {"w"}
    theirs = least_squares(np.concatenate(rounds).ravel())
    assert (found["w"].zero_point, found["w"].scale) == (theirs.zero_point, pytest.approx(theirs.scale, rel=1e-4))


def test_calibration_ends_when_it_is_told_to() -> None:
    stop = Stop()
    stop()
    with pytest.raises(Exception, match="terminate"):
        calibrate([read(NO_BIAS, w=np.ones((8, 5), "float32"))], [{"x": np.ones((4, 8), "float32")}], stop=stop)


def test_what_calibration_saw_in_an_earlier_graph_stays() -> None:
    both = """f (float[N,I] x, float[N,I] z) => (float[N,O] y, float[N,O] u)
        { twice = Add(x, x)  xw = MatMul(twice, w)  y = Add(xw, b)  u = MatMul(z, v) }"""
    stored, x, z = weights(), normal(4, 8), normal(4, 8)
    first, second = read(NO_BIAS, w=stored["w"]), read(both, **stored, v=normal(8, 5))
    of_twice = {"w": least_squares((x + x).ravel()), "v": least_squares(z.ravel())}
    assert calibrate([second], [{"x": x, "z": z}]) == of_twice
    found = calibrate([first, second], [{"x": x, "z": z}])
    assert found == {**of_twice, "w": least_squares(x.ravel())}
    assert found != of_twice


def test_calibration_sees_every_round_of_a_loop_in_a_loop() -> None:
    stored, state = weights(5, 5), normal(4, 5)
    model, x, seen = read(NESTED, **stored, go=np.array(True)), state, []
    for _ in range(2):
        for _ in range(2):
            seen.append(state)
            state = state @ stored["w"] + stored["b"]
        state = 2 * state
    found = calibrate([model], [{"x": x, "rounds": np.array(2)}])["w"]
    theirs = least_squares(np.concatenate(seen).ravel())
    assert (found.zero_point, found.scale) == (theirs.zero_point, pytest.approx(theirs.scale, rel=1e-4))


def test_calibration_sees_rounds_in_which_rows_leave() -> None:
    stored, x = weights(5, 5), normal(4, 5)
    leaving = NESTED.replace("twice = Add(made, made)", "twice = Slice(made, one, many, nothing)")
    places = {name: np.array([value]) for name, value in (("one", 1), ("many", 9), ("nothing", 0))}
    model, state, seen = read(leaving, **stored, **places, go=np.array(True)), x, []
    for _ in range(3):
        for _ in range(3):
            seen.append(state)
            state = state @ stored["w"] + stored["b"]
        state = state[1:]
    found = calibrate([model], [{"x": x, "rounds": np.array(3)}])["w"]
    theirs = least_squares(np.concatenate(seen).ravel())
    assert (found.zero_point, found.scale) == (theirs.zero_point, pytest.approx(theirs.scale, rel=1e-4))


def test_batches_of_sentences_calibrate_as_those_sentences_alone() -> None:
    stored, table = weights(), normal(50, 8)
    source = "f (int32[N,S] source_ids) => (float[N,S,O] y) { x = Gather(table, source_ids)  y = MatMul(x, w) }"
    model = read(source, table=table, w=stored["w"])
    rows = [RNG.integers(4, 50, size=size).tolist() for size in RNG.integers(1, 6, size=100)]
    how = {"strategy": "greedy", "beam_size": 1, "length_penalty": 0, "length_penalty_base": 0, "n_best": 1}
    decoding = Decoding(**how, max_length_factor=1, max_length_extra=0)
    batches = calibration_batches(rows, [[2]] * len(rows), decoding, 50)
    found = calibrate([model], batches)["w"]
    theirs = least_squares(table[np.concatenate(rows)].ravel())
    assert (found.zero_point, found.scale) == (theirs.zero_point, pytest.approx(theirs.scale, rel=1e-4))


def test_calibration_takes_other_graphs_for_what_the_first_has_not() -> None:
    first, second = read(NO_BIAS, w=normal(8, 5)), read(NO_BIAS.replace("w", "v"), v=normal(8, 5))
    x = normal(4, 8)
    assert calibrate([first, first, second], [{"x": x}]) == {
        "w": least_squares(x.ravel()),
        "v": least_squares(x.ravel()),
    }


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Rows of weights, each block of 32 rounded to whole multiples of the scale that reaches its largest weight."""
    blocks = np.pad(values, [(0, 0), (0, -values.shape[1] % 32)]).reshape(len(values), -1, 32)
    levels = 1 << bits - 1
    scale = np.maximum(np.abs(blocks).max(axis=-1, keepdims=True) / levels, 1e-12)
    steps = np.clip(np.round(blocks / scale), -levels, levels - 1)
    return (steps * scale).reshape(len(values), -1)[:, : values.shape[1]]


@pytest.mark.parametrize(("name", "bits"), [("weight8", 8), ("weight4", 4)])
@pytest.mark.parametrize("inputs", [32, 80])
def test_blocks_of_weights_lose_no_more_than_plain_rounding(name: str, bits: int, inputs: int) -> None:
    stored, x = weights(inputs, 24), np.eye(inputs, dtype="float32")
    y = run(in_format(read(PRODUCT, **stored), name), x=x) - stored["b"]  # the weights themselves
    plain = rounded(stored["w"].T, bits).T
    assert 0 < np.square(y - stored["w"]).sum() < 1.05 * np.square(plain - stored["w"]).sum()
    x = normal(7, inputs)
    y = run(in_format(read(PRODUCT, **stored), name), x=x)
    exact = x @ stored["w"] + stored["b"]
    assert np.abs(y - exact).mean() < 1.2 * np.abs(x @ (plain - stored["w"])).mean() + 0.01 * np.abs(exact).mean()


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_table_is_looked_up_in_what_it_is_multiplied_as(name: str, turned: bool) -> None:
    """Rows of a table in a format, alone and where it is the matrix of a product, too."""
    table, ids = normal(9, 40), np.array([[0, 8, 3], [5, 5, 0]], "int32")
    rows = "rows = Transpose <perm = [1, 0]> (table)  z = MatMul(x, table)" if turned else "z = Identity(x)"
    found = "rows" if turned else "table"
    source = (
        f"f (int32[N,T] ids, float[M,D] x) => (float[N,T,D] y, float[M,O] z) {{ {rows}  y = Gather({found}, ids) }}"
    )
    model = read(source, table=table.T.copy() if turned else table)
    model.graph.node[-1].name = "embedding_1"
    changed = quantize(model, {"table": name}, {"table": ActivationScale(0.02, 128)})
    y = run(changed, ids=ids, x=normal(1, 40))
    error = {"fp16": 1e-3, "weight8": 0.01, "weight4": 0.12}.get(name, 0.02)
    assert y.shape == (2, 3, 40)
    assert 0 < np.abs(y - table[ids]).max() < error * np.abs(table).max()
    held = [tensor for tensor in changed.graph.initializer if np.prod(tensor.dims) >= table.size / 2]
    assert len(held) == 1
    assert numpy_helper.to_array(held[0]).nbytes < 0.6 * table.nbytes


def test_float16_halves() -> None:
    stored, x = weights(), normal(3, 8)
    y = run(in_format(read(PRODUCT, **stored), "fp16"), x=x)
    np.testing.assert_allclose(y, x @ stored["w"] + stored["b"], rtol=5e-3, atol=5e-3)
    assert not np.array_equal(y, x @ stored["w"] + stored["b"])
    y = run(in_format(read(COLUMNS, **stored), "fp16"), x=x, ids=np.array([4, 0], "int32"))
    np.testing.assert_allclose(y, (x @ stored["w"] + stored["b"])[:, [4, 0]], rtol=5e-3, atol=5e-3)


def test_blocks_have_no_columns() -> None:
    with pytest.raises(UserError, match=r"weight4: graphs with a shortlist .* choose int8"):
        in_format(read(COLUMNS, **weights()), "weight4")


LSTM = """f (float[T,N,I] x, int32[N] lengths, float[1,N,H] h, float[1,N,H] c) => (float[T,1,N,H] y) {
    y, last_h, last_c = LSTM <hidden_size = 6, direction = DIRECTION> (x, w, r, b, lengths, h, c)
}"""


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_an_lstm_in_whole_numbers(direction: str) -> None:
    stored = {"w": normal(1, 24, 8) / 3, "r": normal(1, 24, 6) / 3, "b": normal(1, 48)}
    model = read(LSTM.replace("DIRECTION", f'"{direction}"'), **stored)
    given = {"x": normal(5, 3, 8), "lengths": np.array([5, 2, 4], "int32"), "h": normal(1, 3, 6), "c": normal(1, 3, 6)}
    exact, y = (run(graph, **given) for graph in (model, in_format(model, "int8-lstm")))
    assert 0 < np.abs(y - exact).max() < 0.05
    assert [node.op_type for node in int8(model, {}).graph.node] == ["LSTM"]


def test_the_attention_of_a_step_is_one_operator_but_for_gpus() -> None:
    source = """f (float[R,1,D] x, float[R,H,P,d] k, float[R,H,P,d] v, int32[R] seen, int32 length) =>
        (float[R,1,D] y, float[R,H,Q,d] keys, float[R,H,Q,d] values) {
        q = MatMul(x, w)
        y, keys, values = com.microsoft.GroupQueryAttention <num_heads = 2, kv_num_heads = 2, scale = 0.3>
            (q, , , k, v, seen, length) }"""
    model = read(source, w=normal(8, 48))
    some, all_ = np.array([2, 3], "int32"), np.array(4, "int32")
    inputs = {"x": normal(2, 1, 8), "k": normal(2, 2, 3, 8), "v": normal(2, 2, 3, 8), "seen": some, "length": all_}
    expected = run(model, **inputs)
    for name, operator in (("fp16", "MultiHeadAttention"), ("int8-dynamic", "GroupQueryAttention")):
        changed = quantize(model, {"w": name}, {})
        assert operator in [node.op_type for node in changed.graph.node]
        np.testing.assert_allclose(run(changed, **inputs), expected, atol=0.03 if name == "fp16" else 0.3)


def test_each_matrix_has_its_own_format() -> None:
    source = (
        "f (float[N,I] x) => (float[N,O] y) { h = MatMul(x, encoder)  k = MatMul(h, decoder)  y = MatMul(k, logits) }"
    )
    names = {"encoder": "encoder", "decoder": "decoder", "logits": "output"}
    model = read(source, **{name: normal(8, 8) for name in names})
    assert parts(model) == names
    changed = quantize(model, {"encoder": "fp16", "logits": "weight8"}, {})
    kinds = [node.op_type for node in changed.graph.node]
    assert kinds == ["Cast", "MatMul", "Cast", "MatMul", "MatMulNBits"]

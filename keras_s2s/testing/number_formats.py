"""Checks that a registered number format is one."""

import re
from typing import Any, get_args

import numpy as np
from onnx import ModelProto, numpy_helper, parser

from keras_s2s.errors import UserError
from keras_s2s.export.calibrate import ActivationScale
from keras_s2s.export.number_formats import FORMATS, Format
from keras_s2s.export.quantize import quantize
from keras_s2s.runtime.graph import Graph
from keras_s2s.training.quantization import Aware

_HEADER = '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>\n'
_PRODUCTS = {
    "a product": "f (float[N,I] x) => (float[N,O] y) { xw = MatMul(x, w)  y = Add(xw, b) }",
    "a product without an offset": "f (float[N,I] x) => (float[N,O] y) { y = MatMul(x, w) }",
    "some columns of a product": """f (float[N,I] x, int32[C] ids) => (float[N,C] y) {
        some = Gather <axis = 1> (w, ids)  few = Gather <axis = 0> (b, ids)
        xw = MatMul(x, some)  y = Add(xw, few) }""",
}
_TABLE = "f (int32[N,T] ids) => (float[N,T,D] y) { y = Gather(w, ids) }"
_TIED = """f (int32[N,T] ids, float[M,D] x) => (float[N,T,D] y, float[M,O] z) {
    rows = Transpose <perm = [1, 0]> (w)  z = MatMul(x, w)  y = Gather(rows, ids) }"""
_LSTM = """f (float[T,N,I] x) => (float[T,1,N,H] y) { y, h, c = LSTM <hidden_size = 8> (x, w, r) }"""
_WORST = 0.25  # of the mean size of a result: what 4 bits a weight lose is far less
_LAST_BITS = 1e-5  # sums in float32 may be added in another order for another number of rows


def check_format(name: str) -> None:
    """Checks a number format against what `export.number_formats.Format` says, on tiny graphs.

    Products with and without an offset, of all columns and of some (where it does not refuse them), look-ups of a
    table and of a product's matrix come near those in float32, by their old names. Weights are smaller than in float32,
    and stored once. A row's result does not depend on others, unless it says so, nor on scales of activations that it
    does not ask for. LSTM layers change if and only if it says so.

    Args:
        name: of a registered format.

    Raises:
        AssertionError: names the first thing that is not so.
    """
    assert name in FORMATS, f"no number format '{name}'; there are {', '.join(FORMATS)}; register it first"
    form = FORMATS[name]
    _check_traits(form)
    rng = np.random.default_rng(1)
    weights = {"w": rng.normal(size=(96, 48)).astype("float32"), "b": rng.normal(size=48).astype("float32")}
    x = rng.normal(size=(7, 96)).astype("float32")
    for what, source in _PRODUCTS.items():
        _check_product(form, what, _read(source, **weights), x)
    _check_table(form, _read(_TABLE, w=weights["w"]), {}, tied=False)
    _check_table(form, _read(_TIED, w=weights["w"]), {"x": x}, tied=True)
    _check_lstm(form, rng)


def _check_traits(form: type[Format]) -> None:
    name, release = form.name, form.minimum_onnxruntime
    assert issubclass(form, Format), f"{name}: is no Format"
    assert release is None or re.fullmatch(r"\d+(\.\d+)+", release), f"{name}: minimum_onnxruntime is '{release}'"
    known = get_args(Aware)
    assert form.trained_as in (None, *known), f"{name}: trained_as is none of {', '.join(known)}"


def _check_product(form: type[Format], what: str, model: ModelProto, x: np.ndarray) -> None:
    inputs = {"x": x, "ids": np.array([4, 0, 2], "int32")}
    try:
        changed = _changed(form, model)
    except UserError:
        assert "columns" in what, f"{form.name}: refuses {what}"
        return
    exact, y = (_run(graph, inputs)["y"] for graph in (model, changed))
    _check_near(f"{form.name}: {what}", y, exact)
    if not form.depends_on_batch:
        for row in range(len(x)):
            alone = _run(changed, {**inputs, "x": x[row : row + 1]})["y"]
            same = np.abs(alone[0] - y[row]).max() < _LAST_BITS * np.abs(exact).max()
            assert same, f"{form.name}: {what}: a row depends on others in its batch"
    _check_size(f"{form.name}: {what}", changed, model)


def _check_table(form: type[Format], model: ModelProto, inputs: dict[str, np.ndarray], tied: bool) -> None:
    model.graph.node[-1].name = "embedding_1"  # as that of a fused look-up
    what = f"{form.name}: a look-up in {'the matrix of a product' if tied else 'a table'}"
    changed = _changed(form, model)
    inputs = {**inputs, "ids": np.array([[0, 8, 3], [5, 5, 0]], "int32")}
    exact, y = (_run(graph, inputs)["y"] for graph in (model, changed))
    _check_near(what, y, exact)
    _check_size(what, changed, model)


def _check_lstm(form: type[Format], rng: np.random.Generator) -> None:
    weights = {name: rng.normal(size=(1, 32, size)).astype("float32") / 3 for name, size in (("w", 6), ("r", 8))}
    model, x = _read(_LSTM, **weights), rng.normal(size=(5, 3, 6)).astype("float32")
    changed = _changed(form, model)
    stays = [node.op_type for node in changed.graph.node] == ["LSTM"]
    assert stays != form.quantizes_lstm, f"{form.name}: quantizes_lstm is {form.quantizes_lstm}, but it is not so"
    _check_near(f"{form.name}: an LSTM", _run(changed, {"x": x})["y"], _run(model, {"x": x})["y"])


def _check_near(what: str, y: np.ndarray, exact: np.ndarray) -> None:
    assert y.dtype == np.float32, f"{what}: gives {y.dtype}, not float32"
    assert y.shape == exact.shape, f"{what}: gives the shape {y.shape}, not {exact.shape}"
    error = np.abs(y - exact).mean() / np.abs(exact).mean()
    assert error < _WORST, f"{what}: is wrong by {error:.0%} of its size"


def _check_size(what: str, changed: ModelProto, model: ModelProto) -> None:
    ours, theirs = (
        sum(numpy_helper.to_array(tensor).nbytes for tensor in graph.graph.initializer) for graph in (changed, model)
    )
    assert ours < theirs, f"{what}: weights have {ours} bytes, and {theirs} in float32"


def _read(source: str, **weights: np.ndarray) -> ModelProto:
    model = parser.parse_model(_HEADER + source)
    read = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in weights.items() if name in read
    )
    return model


def _changed(form: type[Format], model: ModelProto) -> ModelProto:
    """All of a graph in the format; its matrix is called "w"."""
    scales = {"w": ActivationScale(4 / 127, 128)} if form.needs_calibration else {}
    return quantize(model, {"w": form.name}, scales)


def _run(model: ModelProto, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    return Graph(model.SerializeToString())(inputs)

"""Slices and reshapes of small graphs: what is left of them, and that they give what they gave."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from onnx import parser

from keras_s2s.export import onnx_graph
from keras_s2s.export.passes import tidy
from keras_s2s.layers import fused

HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'
X = np.arange(24, dtype="float32").reshape(2, 3, 4)
WHOLE = "int64[3] from = {0, 0, 0}, int64[3] to = {1000000000, 1000000000, 2147483647}, int64[3] axes = {0, 1, 2}"


def tidied(body: str, constants: str) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    model = parser.parse_model(f"{HEADER} f (float[A,B,C] x) => (float[D,E] y) <{constants}> {{ {body} }}")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    tidy(result.graph)
    return model, result


def run(model: onnx.ModelProto) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": X})[0]


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_slices_that_take_everything_go() -> None:
    before, after = tidied("a = Slice(x, from, to, axes)  b = Slice(a, from, to, axes)  y = Neg(b)", WHOLE)
    assert operators(after) == ["Neg"]
    assert np.array_equal(run(before), run(after))


def test_a_slice_that_is_a_result_keeps_its_name() -> None:
    before, after = tidied("y = Slice(x, from, to, axes)", WHOLE)
    assert np.array_equal(run(before), run(after))


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("whole", [False, True])
def test_a_place_that_is_squeezed_is_gathered(place: int, whole: bool) -> None:
    """`whole` names the other axes, too."""
    starts, ends, axes = (place,), (place + 1,), (1,)
    if whole:
        starts, ends, axes = (0, place, 0), (2147483647, place + 1, 2147483647), (0, 1, 2)
    constants = ", ".join(
        f"int64[{len(values)}] {name} = {{{', '.join(map(str, values))}}}"
        for name, values in {"from": starts, "to": ends, "axes": axes, "one": (1,)}.items()
    )
    before, after = tidied("a = Slice(x, from, to, axes)  y = Squeeze(a, one)", constants)
    assert operators(after) == ["Gather"]
    assert np.array_equal(run(before), run(after))


@pytest.mark.parametrize(
    "constants",
    [
        "int64[1] from = {0}, int64[1] to = {2}, int64[1] axes = {1}, int64[1] steps = {1}",
        "int64[1] from = {1}, int64[1] to = {1000000000}, int64[1] axes = {1}, int64[1] steps = {1}",
        "int64[1] from = {0}, int64[1] to = {1000000000}, int64[1] axes = {1}, int64[1] steps = {2}",
        "int64[1] from = {-2}, int64[1] to = {-1}, int64[1] axes = {1}, int64[1] steps = {1}",
    ],
)
def test_other_slices_stay(constants: str) -> None:
    before, after = tidied("a = Slice(x, from, to, axes, steps)  y = Neg(a)", constants)
    assert operators(after) == ["Slice", "Neg"]
    assert np.array_equal(run(before), run(after))


def test_a_reshape_to_known_sizes_looks_through_others() -> None:
    constants = "int64[1] last = {3}, int64[2] flat = {-1, 8}, int64[3] other = {4, 3, 2}"
    body = "a = Unsqueeze(x, last)  b = Squeeze(a, last)  c = Reshape(b, other)  y = Reshape(c, flat)"
    before, after = tidied(body, constants)
    assert operators(after) == ["Reshape"]
    assert np.array_equal(run(before), run(after))


def test_a_reshape_that_copies_a_size_stays() -> None:
    before, after = tidied(
        "a = Reshape(x, other)  y = Reshape(a, flat)", "int64[2] flat = {0, -1}, int64[3] other = {4, 3, 2}"
    )
    assert operators(after) == ["Reshape", "Reshape"]
    assert np.array_equal(run(before), run(after))


@pytest.mark.parametrize(("axes", "sizes"), [((1,), (-1, 1, 8)), ((0, 2), (1, -1, 1, 8))])
def test_an_axis_put_in_behind_known_sizes_is_one_of_them(axes: tuple, sizes: tuple) -> None:
    named = f"int64[{len(axes)}] new = {{{', '.join(map(str, axes))}}}"
    before, after = tidied("a = Reshape(x, flat)  y = Unsqueeze(a, new)", f"int64[2] flat = {{-1, 8}}, {named}")
    assert operators(after) == ["Reshape"]
    assert tuple(onnx.numpy_helper.to_array(after.graph.initializer[0])) == sizes
    assert np.array_equal(run(before), run(after))


def test_an_axis_put_in_behind_sizes_that_are_copied_stays() -> None:
    before, after = tidied("a = Reshape(x, flat)  y = Unsqueeze(a, new)", "int64[2] flat = {0, -1}, int64[1] new = {1}")
    assert operators(after) == ["Reshape", "Unsqueeze"]
    assert np.array_equal(run(before), run(after))


@pytest.mark.parametrize(
    ("axes", "axis", "place", "goes"),
    [("{1}", 1, 0, True), ("{0}", 0, 0, True), ("{1}", 2, 0, False), ("{1}", 0, 1, False), ("{0, 1}", 0, 0, False)],
)
def test_the_one_place_of_an_axis_just_put_in_is_what_it_was_put_in(
    axes: str, axis: int, place: int, goes: bool
) -> None:
    count = axes.count(",") + 1
    body = f"a = Unsqueeze(x, new)  b = Gather<axis={axis}>(a, place)  y = Neg(b)"
    before, after = tidied(body, f"int64[{count}] new = {axes}, int64 place = {{{place}}}")
    assert operators(after) == (["Neg"] if goes else ["Unsqueeze", "Gather", "Neg"])
    assert np.array_equal(run(before), run(after))


@pytest.mark.parametrize(("output", "between", "goes"), [(1, 6, True), (1, 2, False), (0, 6, False)])
def test_places_stay_what_they_are(output: int, between: int, goes: bool) -> None:
    """`between` is int32 or uint8; casts of values round them."""
    found = ["values", "places"][output]
    body = f"values, places = TopK(x, two)  a = Cast<to={between}>({found})  b = Cast<to=7>(a)  y = Neg(b)"
    model = parser.parse_model(f"{HEADER} f (float[A,B,C] x) => (int64[D,E,F] y) <int64[1] two = {{2}}> {{ {body} }}")
    before = onnx.ModelProto()
    before.CopyFrom(model)
    tidy(model.graph)
    assert operators(model) == (["TopK", "Neg"] if goes else ["TopK", "Cast", "Cast", "Neg"])
    assert np.array_equal(run(before), run(model))


SIZE = "s = Shape(x)  i = Cast<to=6>(s)  n = Gather<axis=0>(i, which)  one = Unsqueeze(n, zero)"
SIZES = "int64[1] zero = {0}, int32[1] rest = {-1}, int32[1] two = {2}"


@pytest.mark.parametrize(
    ("place", "sizes", "is_kept"),
    [
        (0, "one, rest", True),
        (0, "one, rest, two", True),
        (1, "two, one, rest", True),
        (2, "rest, two, one", True),
        (0, "rest, one", False),
        (1, "one, rest", False),
        (0, "one, one, rest", False),
    ],
)
def test_a_reshape_says_which_sizes_it_keeps(place: int, sizes: str, is_kept: bool) -> None:
    constants = f"{SIZES}, int64 which = {{{place}}}"
    body = f"{SIZE}  c = Concat<axis=0>({sizes})  t = Cast<to=7>(c)  y = Reshape(x, t)"
    before, after = tidied(body, constants)
    assert (operators(after) == ["Reshape"]) == is_kept
    assert np.array_equal(run(before), run(after))


def test_a_size_of_another_tensor_is_looked_up() -> None:
    body = (
        f"{SIZE}  c = Concat<axis=0>(one, rest)  t = Cast<to=7>(c)  o = Transpose<perm=[1,0,2]>(x)  y = Reshape(o, t)"
    )
    before, after = tidied(body, f"{SIZES}, int64 which = {{0}}")
    assert "Shape" in operators(after)
    assert np.array_equal(run(before), run(after))


def test_a_size_of_zero_is_no_size_that_is_kept() -> None:
    constants = f"{SIZES}, int64 which = {{0}}, int32[1] none = {{0}}"
    body = (
        f"{SIZE}  e = Slice(x, zero, zero, zero)  c = Concat<axis=0>(one, none)  t = Cast<to=7>(c)"
        "  y = Reshape<allowzero=1>(e, t)"
    )
    before, after = tidied(body, constants)
    assert run(before).shape == run(after).shape == (2, 0)


@pytest.mark.parametrize("axis", [None, 0, 1, [0, 1]])
@pytest.mark.parametrize("keepdims", [False, True])
def test_whether_all_are_true(axis: Any, keepdims: bool) -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.bool, name="x")], autograph=False)
    def program(x: Any) -> dict[str, Any]:
        return {"y": tf.reduce_all(x, axis, keepdims)}

    graph = onnx_graph.expand(*onnx_graph.convert(program))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for x in ([[True, True], [True, False]], [[True, True, True]], [[False], [False]]):
        (y,) = session.run(None, {"x": np.array(x)})
        assert np.array_equal(
            y, np.all(x, axis=None if axis is None else tuple(np.atleast_1d(axis)), keepdims=keepdims)
        )
        assert y.dtype == bool


def test_whole_numbers_are_compared_as_such() -> None:
    """In float32 neighbours above 2^24 are one."""
    numbers = tf.TensorSpec((None,), tf.int32)

    @tf.function(input_signature=[numbers, numbers], autograph=False)
    def program(a: Any, b: Any) -> dict[str, Any]:
        return {"less": a < b, "greater": a > b}

    graph = onnx_graph.expand(*onnx_graph.convert(program))
    assert sorted(operators(graph)) == ["Greater", "Less"]
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    a, b = np.array([2**24, 2**24 + 1, 5], "int32"), np.array([2**24 + 1, 2**24, 5], "int32")
    less, greater = session.run(
        ["less", "greater"], dict(zip((x.name for x in session.get_inputs()), (a, b), strict=True))
    )
    assert (less.tolist(), greater.tolist()) == ([True, False, False], [False, True, False])


def test_logarithms_may_be_written_over_what_they_are_of() -> None:
    """onnxruntime does it if it knows that both have the same sizes."""

    @tf.function(input_signature=[tf.TensorSpec((None, 1, 1280), tf.float32, name="x")], autograph=False)
    def program(x: Any) -> dict[str, Any]:
        return {"y": fused.logsumexp(x + 1.0)}

    graph = onnx_graph.expand(*onnx_graph.convert(program)).graph
    (node,) = (node for node in graph.node if node.op_type == "LogSoftmax")
    shapes = {value.name: value.type.tensor_type.shape for value in graph.value_info}
    assert shapes[node.input[0]] == shapes[node.output[0]]
    rows, *others = shapes[node.output[0]].dim
    assert rows.dim_param
    assert [size.dim_value for size in others] == [1, 1280]

"""Passes over small graphs: what is left of them, and that they give what they gave."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, parser

from keras_s2s.export.passes import (
    all_graphs,
    put_constants_outside,
    put_constants_where_they_are_read,
    replace_nodes,
    tidy,
)
from keras_s2s.runtime.graph import Graph, session_options

HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'


def read(source: str) -> onnx.ModelProto:
    model = parser.parse_model(HEADER + source)
    onnx.checker.check_model(model)
    return model


def run(model: onnx.ModelProto, **inputs: Any) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {node.name: inputs[node.name] for node in session.get_inputs()})


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    tidy(result.graph)
    return result


def operators(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def stored(graph: onnx.GraphProto) -> set[str]:
    return {tensor.name for tensor in graph.initializer}


def body(model: onnx.ModelProto) -> onnx.GraphProto:
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    return loop.attribute[0].g


def same(before: onnx.ModelProto, after: onnx.ModelProto, **inputs: Any) -> None:
    for one, other in zip(run(before, **inputs), run(after, **inputs), strict=True):
        assert np.array_equal(one, other)


LOOK_UP = """look_up (float[N,2] x, int32[M] i, int32 n) => (float[M,2] y)
    <float zero = {0}, float five = {5}, int32 other = {1}> {
        as_float = Cast <to = 1> (i)
        negative = Less(as_float, zero)
        shifted = Add(i, n)
        index = Where(negative, shifted, i)
        y = Gather(x, index)
    }"""
X = np.arange(10, dtype="float32").reshape(5, 2)
INDICES = np.array([0, 4, -1, -5, 2], "int32")


def test_indices_from_the_end_are_left_to_gather() -> None:
    model = read(LOOK_UP)
    result = tidied(model)
    assert operators(result.graph) == ["Gather"]
    assert list(result.graph.node[0].input) == ["x", "i"]
    assert stored(result.graph) == set()
    same(model, result, x=X, i=INDICES, n=np.array(5, "int32"))


def test_an_index_may_be_a_cast_itself() -> None:
    cast = LOOK_UP.replace("int32[M] i,", "int64[M] j,").replace("as_float =", "i = Cast <to = 6> (j) as_float =")
    model = read(cast)
    result = tidied(model)
    assert operators(result.graph) == ["Cast", "Gather"]
    same(model, result, x=X, j=INDICES.astype("int64"), n=np.array(5, "int32"))
    # What is compared must be the index, and not what it was before a cast that rounds.
    other = read(cast.replace("int64[M] j", "float[M] j").replace("Cast <to = 1> (i)", "Identity(j)"))
    assert "Where" in operators(tidied(other).graph)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Less(as_float, zero)", "Less(as_float, five)"),
        ("Less(as_float, zero)", "Less(zero, as_float)"),
        ("Less(as_float, zero)", "Equal(as_float, zero)"),
        ("Add(i, n)", "Max(i, other)"),
        ("Add(i, n)", "Add(other, n)"),
        ("Where(negative, shifted, i)", "Where(negative, i, shifted)"),
        ("Cast <to = 1> (i)", "Cast <to = 1> (n)"),
    ],
)
def test_other_choices_of_an_index_stay(before: str, after: str) -> None:
    assert before in LOOK_UP
    model = read(LOOK_UP.replace(before, after))
    result = tidied(model)
    assert "Where" in operators(result.graph)
    same(model, result, x=X, i=np.array([0, 1, 2, 0], "int32"), n=np.array(2, "int32"))


LOOP = """loop (int64 rounds, float[2] start, float[2] given) => (float[2] last, float[2] later) {
        constant = Identity(given)
        always = Constant <value = bool {1}> ()
        last, kept = Loop <
            body = round (int64 number, bool goes_on, float[2] x, float[2] w) => (bool on, float[2] y, float[2] same) {
                on = Identity(goes_on)
                y = Add(x, w)
                between = Identity(w)
                same = Identity(between)
            }
        > (rounds, always, start, constant)
        later = Mul(kept, kept)
    }"""
LOOP_INPUTS: dict[str, Any] = {
    "rounds": np.array(3, "int64"),
    "start": np.array([1, 2], "float32"),
    "given": np.array([10, 20], "float32"),
}


def test_what_a_loop_never_changes_is_read_from_outside() -> None:
    model = read(LOOP)
    result = tidied(model)
    assert [node.name for node in body(result).input] == ["number", "goes_on", "x"]
    assert [node.name for node in body(result).output] == ["on", "y"]
    assert operators(body(result)) == ["Identity", "Add"]
    assert list(body(result).node[1].input) == ["x", "given"]
    # Who read the loop's result reads what went into it.
    assert operators(result.graph) == ["Constant", "Loop", "Mul"]
    assert list(result.graph.node[2].input) == ["given", "given"]
    last, later = run(result, **LOOP_INPUTS)
    assert last.tolist() == [31, 62]
    assert later.tolist() == [100, 400]
    same(model, result, **LOOP_INPUTS)


def test_what_a_loop_changes_stays_in_it() -> None:
    model = read(LOOP.replace("between = Identity(w)", "between = Add(w, w)"))
    result = tidied(model)
    assert len(body(result).input) == 4
    assert run(result, **LOOP_INPUTS)[0].tolist() == [71, 142]
    same(model, result, **LOOP_INPUTS)


def test_a_swap_is_a_change() -> None:
    model = read(
        LOOP.replace("y = Add(x, w)", "y = Identity(w)").replace("between = Identity(w)", "between = Identity(x)")
    )
    result = tidied(model)
    assert len(body(result).input) == 4
    assert run(result, **LOOP_INPUTS)[0].tolist() == [10, 20]


def test_a_result_of_the_graph_keeps_its_name() -> None:
    source = LOOP.replace("float[2] later)", "float[2] kept)").replace("later = Mul(kept, kept)", "")
    model = read(source)
    result = tidied(model)
    same(model, result, **LOOP_INPUTS)
    assert run(result, **LOOP_INPUTS)[1].tolist() == [10, 20]


def test_a_branch_in_a_loop_reads_from_outside_too() -> None:
    branches = """y = If <
                    then_branch = more () => (float[2] sum) { sum = Add(x, w) },
                    else_branch = less () => (float[2] difference) { difference = Sub(x, w) }
                > (goes_on)"""
    model = read(LOOP.replace("y = Add(x, w)", branches))
    result = tidied(model)
    assert len(body(result).input) == 3
    assert run(result, **LOOP_INPUTS)[0].tolist() == [31, 62]
    same(model, result, **LOOP_INPUTS)


def test_what_nobody_reads_goes() -> None:
    model = read(
        """unused (float[2] x, bool condition) => (float[2] y)
        <float[2] read = {1, 2}, float[2] unread = {3, 4}, float[2] read_inside = {5, 6}> {
            dead = Add(x, unread)
            deader = Mul(dead, dead)
            live = Add(x, read)
            y = If <
                then_branch = yes () => (float[2] a) { a = Mul(live, read_inside) },
                else_branch = no () => (float[2] b) { b = Neg(live) waste = Abs(live) }
            > (condition)
        }"""
    )
    result = tidied(model)
    assert operators(result.graph) == ["Add", "If"]
    assert [operators(attribute.g) for attribute in result.graph.node[1].attribute] == [["Mul"], ["Neg"]]
    assert stored(result.graph) == {"read", "read_inside"}
    for condition in (True, False):
        same(model, result, x=np.array([7, 8], "float32"), condition=np.array(condition))


def test_inner_graphs_come_first() -> None:
    assert [graph.name for graph in all_graphs(read(LOOP).graph)] == ["round", "loop"]


def test_nodes_are_replaced_by_some_of_themselves() -> None:
    graph = read(LOOK_UP).graph
    replace_nodes(graph, [graph.node[4], graph.node[0]])
    assert operators(graph) == ["Gather", "Cast"]


INVARIANT = """loop (int64 rounds, float[2] start, float[2] given) => (float[2] last) {
        always = Constant <value = bool {1}> ()
        last = Loop <
            body = round (int64 number, bool goes_on, float[2] x) => (bool on, float[2] y)
            <float[2] ten = {10, 10}, float[2] one = {1, 1}> {
                on = Identity(goes_on)
                two = Constant <value = float {2}> ()
                three = Constant <value = float {3}> ()
                doubled = Mul(given, two)
                more = Add(doubled, ten)
                tripled = Mul(x, three)
                sum = Add(tripled, more)
                y = Sub(sum, one)
            }
        > (rounds, always, start)
    }"""


def loop_values(x: list[float], given: list[float], rounds: int) -> list[float]:
    for _ in range(rounds):
        x = [3 * a + 2 * b + 10 - 1 for a, b in zip(x, given, strict=True)]
    return x


def test_what_reads_nothing_of_a_loop_is_computed_before_it() -> None:
    model = read(INVARIANT)
    result = tidied(model)
    assert operators(result.graph) == ["Constant", "Constant", "Mul", "Add", "Loop"]
    assert operators(body(result)) == ["Identity", "Constant", "Mul", "Add", "Sub"]
    assert stored(result.graph) == {"ten"}
    assert stored(body(result)) == {"one"}
    onnx.checker.check_model(result)
    for rounds in (0, 1, 3):
        inputs = {**LOOP_INPUTS, "rounds": np.array(rounds, "int64")}
        assert run(result, **inputs)[0].tolist() == loop_values([1, 2], [10, 20], rounds)
        same(model, result, **inputs)


def test_what_a_body_gives_stays_in_it() -> None:
    model = read(INVARIANT.replace("y = Sub(sum, one)", "y = Mul(more, ten)"))
    result = tidied(model)
    # Of the invariant nodes the one that is a result stays, and reads what was computed before.
    assert operators(body(result)) == ["Identity", "Mul"]
    assert list(body(result).node[1].input) == ["more", "ten"]
    same(model, result, **LOOP_INPUTS)


@pytest.mark.parametrize("operator", ["RandomUniformLike <seed = 1.0> (given)", "RandomUniform <shape = [2]> ()"])
def test_random_numbers_are_drawn_in_every_round(operator: str) -> None:
    result = tidied(read(INVARIANT.replace("doubled = Mul(given, two)", f"doubled = {operator}")))
    # What reads the numbers stays with them.
    assert operators(body(result)) == ["Identity", "Constant", operator.split()[0], "Add", "Mul", "Add", "Sub"]
    assert operators(result.graph) == ["Constant", "Loop"]


ALIKE = """alike (float[N,2] x, int32[M] i) => (float[M,2] y, float[M,2] z, float[M,2] given)
    <int64[1] last = {-1}, int64[1] end = {-1}, int64[1] first = {0}> {
        i_long = Cast <to = 7> (i)
        i_whole = Cast <to = 7> (i)
        i_float = Cast <to = 1> (i)
        row = Unsqueeze(i_long, last)
        line = Unsqueeze(i_whole, end)
        column = Unsqueeze(i_float, first)
        one = GatherND(x, row)
        other = GatherND(x, line)
        y = Add(one, other)
        z = Add(other, one)
        given = GatherND(x, line)
    }"""


def test_what_is_the_same_is_computed_once() -> None:
    model = read(ALIKE)
    result = tidied(model)
    # A result keeps its node, and what reads the same in another order is another thing.
    assert operators(result.graph) == ["Cast", "Unsqueeze", "GatherND", "Add", "Add", "GatherND"]
    assert stored(result.graph) == {"last"}
    same(model, result, x=X, i=INDICES)


def test_a_loop_reads_what_was_merged_outside_of_it() -> None:
    twice = "first = Mul(given, start)  second = Mul(given, start)  always = Constant"
    read_both = "a = Sub(sum, first)  b = Add(a, second)  y = Sub(b, one)"
    model = read(INVARIANT.replace("always = Constant", twice).replace("y = Sub(sum, one)", read_both))
    result = tidied(model)
    assert "second" not in {name for node in body(result).node for name in node.input}
    assert operators(result.graph).count("Mul") == 2
    same(model, result, **LOOP_INPUTS)


def test_random_numbers_are_drawn_twice() -> None:
    source = """twice (float[N] x) => (float[N] y)
        { a = RandomUniformLike(x)  b = RandomUniformLike(x)  y = Sub(a, b) }"""
    result = tidied(read(source))
    assert operators(result.graph) == ["RandomUniformLike", "RandomUniformLike", "Sub"]


def test_a_branch_moves_with_what_is_in_it() -> None:
    branches = """doubled = If <
        then_branch = yes () => (float[2] a) { a = Mul(given, two) },
        else_branch = no () => (float[2] b) { b = Add(given, CHANGES) }
    > (always)"""
    fixed = INVARIANT.replace("doubled = Mul(given, two)", branches.replace("CHANGES", "ten"))
    model = read(fixed)
    result = tidied(model)
    assert operators(result.graph) == ["Constant", "Constant", "If", "Add", "Loop"]
    same(model, result, **LOOP_INPUTS)
    # It stays if anything in it changes, or is drawn anew.
    for inside in ("Add(given, x)", "RandomUniformLike(given)"):
        kept = tidied(read(fixed.replace("Add(given, ten)", inside)))
        assert operators(body(kept)).count("If") == 1
        assert operators(kept.graph) == ["Constant", "Loop"]


NESTED = """nested (int64 rounds, float[2] start, float[2] given) => (float[2] last) {
        always = Constant <value = bool {1}> ()
        last = Loop <
            body = outer (int64 i, bool goes_on, float[2] x) => (bool on, float[2] y) {
                on = Identity(goes_on)
                y = Loop <
                    body = inner (int64 j, bool goes_on_2, float[2] z) => (bool on_2, float[2] w) {
                        on_2 = Identity(goes_on_2)
                        of_none = Mul(given, given)
                        of_outer = Add(x, of_none)
                        w = Add(z, of_outer)
                    }
                > (rounds, always, x)
            }
        > (rounds, always, start)
    }"""


def test_a_node_leaves_as_many_loops_as_do_not_change_it() -> None:
    model = read(NESTED)
    result = tidied(model)
    outer = body(result)
    (inner,) = (node.attribute[0].g for node in outer.node if node.op_type == "Loop")
    assert operators(result.graph) == ["Constant", "Mul", "Loop"]
    assert operators(outer) == ["Identity", "Add", "Loop"]
    assert operators(inner) == ["Identity", "Add"]
    same(model, result, **LOOP_INPUTS)


def test_a_loop_that_another_never_changes_leaves_it() -> None:
    model = read(
        NESTED.replace("of_outer = Add(x, of_none)", "of_outer = Add(z, of_none)")
        .replace("> (rounds, always, x)", "> (rounds, always, given)")
        .replace("y = Loop", "v = Loop")
        .replace("> (rounds, always, given)", "> (rounds, always, given)\n y = Add(v, x)")
    )
    result = tidied(model)
    assert operators(result.graph) == ["Constant", "Mul", "Loop", "Loop"]
    same(model, result, **LOOP_INPUTS)


CONSTANTS = """constants (int64 rounds, float[2] start) => (float[2] last, float[2] other)
    <float[2] everywhere = {1, 2}, float[2] inside = {3, 4}, float[2] outside = {5, 6}> {
        always = Constant <value = bool {1}> ()
        first = Add(start, everywhere)
        other = Mul(first, outside)
        last = Loop <
            body = outer (int64 i, bool goes_on, float[2] x) => (bool on, float[2] y) {
                on = Identity(goes_on)
                y = Loop <
                    body = inner (int64 j, bool goes_on_2, float[2] z) => (bool on_2, float[2] w) {
                        on_2 = Identity(goes_on_2)
                        sum = Add(z, everywhere)
                        product = Mul(sum, inside)
                        w = Sub(product, everywhere)
                    }
                > (rounds, always, x)
            }
        > (rounds, always, first)
    }"""


def test_constants_are_put_where_they_are_read() -> None:
    model = read(CONSTANTS)
    result = onnx.ModelProto.FromString(model.SerializeToString())
    put_constants_where_they_are_read(result.graph)
    onnx.checker.check_model(result)
    inner, outer, whole = all_graphs(result.graph)
    assert [stored(graph) for graph in (whole, outer, inner)] == [
        {"everywhere", "outside"},
        set(),
        {"inside", "inner/everywhere"},
    ]
    assert [list(node.input) for node in inner.node[1:]] == [
        ["z", "inner/everywhere"],
        ["sum", "inside"],
        ["product", "inner/everywhere"],
    ]
    assert list(whole.node[1].input) == ["start", "everywhere"]
    same(model, result, rounds=np.array(2, "int64"), start=np.array([1, 2], "float32"))
    put_constants_outside(result.graph)
    assert {tensor.name: tensor for tensor in result.graph.initializer} == {t.name: t for t in model.graph.initializer}
    del result.graph.initializer[:], model.graph.initializer[:]
    assert result == model


def test_no_constant_stays_where_nobody_reads_it() -> None:
    source = CONSTANTS.replace("on = Identity(goes_on)\n", "on = Identity(goes_on)\n again = Mul(x, inside)\n")
    model = read(source.replace("(rounds, always, x)", "(rounds, always, again)"))
    result = onnx.ModelProto.FromString(model.SerializeToString())
    put_constants_where_they_are_read(result.graph)
    inner, outer, whole = all_graphs(result.graph)
    assert [stored(graph) for graph in (whole, outer, inner)] == [
        {"everywhere", "outside"},
        {"inside"},
        {"inner/inside", "inner/everywhere"},
    ]
    same(model, result, rounds=np.array(2, "int64"), start=np.array([1, 2], "float32"))
    put_constants_outside(result.graph)
    assert stored(result.graph) == {"everywhere", "inside", "outside"}


LARGE = """
    large (int64 rounds, int64 from, float[1, 4] start) => (float[1, 4] y)
    <float[4, 4] matrix, float[4] offset, float[4, 4] table, float[4] small = {1, 2, 3, 4}>
    {
        always = Constant <value = bool {1}> ()
        first = MatMul(start, matrix)
        y = Loop (rounds, always, first) <body = outer (int64 i, bool goes_on, float[1, 4] x)
            => (bool on, float[1, 4] x_next) {
                on = Identity(goes_on)
                x_next = Loop (rounds, always, x) <body = inner (int64 j, bool goes_on_2, float[1, 4] z)
                    => (bool on_2, float[1, 4] w) {
                        on_2 = Identity(goes_on_2)
                        row = Gather(table, from)
                        product = MatMul(z, matrix)
                        sum = Add(product, offset)
                        moved = Add(sum, row)
                        w = Add(moved, small)
                    }>
            }>
    }"""


def with_weights(file: Path) -> onnx.ModelProto:
    """`LARGE`, with those of its constants that have no value there in this file."""
    model, rng = parser.parse_model(HEADER + LARGE), np.random.default_rng(1)
    with open(file, "wb") as weights:
        for value in model.graph.value_info:
            sizes = [size.dim_value for size in value.type.tensor_type.shape.dim]
            tensor = model.graph.initializer.add(name=value.name, data_type=TensorProto.FLOAT, dims=sizes)
            data = (rng.integers(-2, 3, sizes) / 4).astype("float32").tobytes()
            tensor.data_location = TensorProto.EXTERNAL
            for key, place in (("location", file.name), ("offset", weights.tell()), ("length", len(data))):
                tensor.external_data.add(key=key, value=str(place))
            weights.write(data)
    del model.graph.value_info[:]
    return model


def test_constants_in_a_file_stay_outside_and_are_read_inside(tmp_path: Path) -> None:
    model = with_weights(tmp_path / "weights.bin")
    result = onnx.ModelProto.FromString(model.SerializeToString())
    put_constants_where_they_are_read(result.graph)
    inner, outer, whole = all_graphs(result.graph)
    assert [stored(graph) for graph in (whole, outer, inner)] == [{"matrix", "offset", "table"}, set(), {"small"}]
    assert [(node.op_type, [*node.input]) for node in inner.node[:2]] == [
        ("Concat", ["matrix"]),
        ("Concat", ["offset"]),
    ]
    made = {node.output[0]: [*node.input] for node in inner.node}
    assert made["row"] == ["table", "from"]
    assert made["product"] == ["z", "inner/matrix"]
    assert made["sum"] == ["product", "inner/offset"]
    assert "matrix" in whole.node[1].input
    feeds = {"rounds": np.array(2), "from": np.array(1), "start": np.ones((1, 4), "float32")}
    found = []
    for name, one in (("before", model), ("after", result)):
        onnx.save(one, tmp_path / f"{name}.onnx")
        found.append(Graph(tmp_path / f"{name}.onnx")(feeds)["y"])
    weights = {"weights.bin": (tmp_path / "weights.bin").read_bytes()}
    found.append(Graph(result.SerializeToString(), weights=weights)(feeds)["y"])
    assert len({tuple(y.ravel()) for y in found}) == 1
    put_constants_outside(result.graph)
    assert {t.name: t for t in result.graph.initializer} == {t.name: t for t in model.graph.initializer}
    del result.graph.initializer[:], model.graph.initializer[:]
    assert result == model


def test_a_constant_in_a_file_is_prepacked_inside_two_loops(tmp_path: Path) -> None:
    """What onnxruntime makes of the graph holds no `Concat`, and the inner loop has matrices of its own."""
    model = with_weights(tmp_path / "weights.bin")
    put_constants_where_they_are_read(model.graph)
    onnx.save(model, tmp_path / "graph.onnx")
    options = session_options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(tmp_path / "graph.onnx", options, providers=["CPUExecutionProvider"])
    inner, outer, _ = all_graphs(onnx.load(tmp_path / "optimised.onnx", load_external_data=False).graph)
    assert "Concat" not in {node.op_type for graph in (inner, outer) for node in graph.node}
    assert {"inner/matrix", "inner/offset", "small"} <= stored(inner)
    assert "table" not in stored(inner)

"""Graphs that do what they must not are refused before they run."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from keras_s2s import UserError, bundle
from keras_s2s.runtime.safety import SCHEMA, check_graphs, has_weights_inside

GRAPH = "onnx/fp32/greedy.onnx"
Check = Callable[[ModelProto | bytes], None]


@pytest.fixture
def check(own_bundle: Path) -> Check:
    """Checks a bundle with this graph."""

    def run(model: ModelProto | bytes) -> None:
        content = model if isinstance(model, bytes) else model.SerializeToString()
        (own_bundle / GRAPH).write_bytes(content)
        check_graphs(bundle.read(own_bundle), "fp32")

    return run


def refused(check: Check, model: ModelProto | bytes) -> str:
    """What is said of the graph: one line that begins with its file and ends with what to do."""
    with pytest.raises(UserError) as raised:
        check(model)
    (what,) = re.findall(rf"^/.*/echo/{GRAPH}: (.*); export the bundle again$", str(raised.value))
    return what


def graph_of(nodes: Sequence[NodeProto] = (), initializers: Sequence[TensorProto] = ()) -> GraphProto:
    return GraphProto(name="g", node=nodes, initializer=initializers)


def model_of(graph: GraphProto) -> ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def outside(location: str = "../x", **more: str) -> TensorProto:
    entries = {"location": location, **more}
    return TensorProto(
        name="w",
        data_type=TensorProto.FLOAT,
        data_location=TensorProto.EXTERNAL,
        external_data=[onnx.StringStringEntryProto(key=key, value=value) for key, value in entries.items()],
    )


def node_with(**attribute: Any) -> NodeProto:
    return NodeProto(op_type="Constant", attribute=[AttributeProto(name="a", **attribute)])


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + varint(number // 128)


def field(number: int, content: bytes) -> bytes:
    """A field of a message, as it stands in a file."""
    return varint(number * 8 + 2) + varint(len(content)) + content


INSIDE: dict[str, Callable[[GraphProto], GraphProto]] = {
    "outermost": lambda graph: graph,
    "a branch": lambda graph: graph_of([node_with(g=graph)]),
    "a loop in a branch": lambda graph: graph_of([node_with(g=graph_of([node_with(g=graph)]))]),
    "many graphs": lambda graph: graph_of([node_with(graphs=[graph_of(), graph, graph_of()])]),
}
inside = pytest.mark.parametrize("place", INSIDE.values(), ids=INSIDE)


def test_good_bundles_pass(echo_bundle: Path, many_graphs_bundle: Path) -> None:
    for path in (echo_bundle, many_graphs_bundle):
        check_graphs(bundle.read(path), "fp32")


@inside
def test_known_domains_and_the_weights_beside_the_graph_pass(
    check: Check, place: Callable[[GraphProto], GraphProto]
) -> None:
    nodes = [NodeProto(op_type="Add", domain=domain) for domain in ("", "ai.onnx", "com.microsoft")]
    weights = outside("weights.bin", offset="0", length="4", checksum="0")
    sparse = SparseTensorProto(values=weights, indices=weights)
    nodes += [node_with(t=weights), node_with(sparse_tensor=sparse)]
    check(model_of(place(graph_of(nodes, [weights]))))


@inside
@pytest.mark.parametrize("domain", ["evil", "ai.onnx.ml", "com.microsoft.experimental"])
def test_an_operator_of_another_domain(check: Check, place: Callable[[GraphProto], GraphProto], domain: str) -> None:
    nodes = [NodeProto(op_type="Add"), NodeProto(op_type="Run", domain=domain)]
    assert (
        refused(check, model_of(place(graph_of(nodes))))
        == f"operator of the unknown domain '{domain}', expected ONNX's or com.microsoft"
    )


@pytest.mark.parametrize(
    "location",
    [
        "../x",
        "/etc/passwd",
        "C:\\x",
        "",
        ".",
        "weights.bin/",
        "./weights.bin",
        "../fp32/weights.bin",
        "not_named.bin",
        "source.model",
        "sub/weights.bin",
        "weights.bin\0",
        "*/_ORT_MEM_ADDR_/*",
        "more.bin",
    ],
)
def test_data_elsewhere(own_bundle: Path, check: Check, location: str) -> None:
    (own_bundle / "onnx/fp32/not_named.bin").write_bytes(b"1234")
    manifest = bundle.read(own_bundle).manifest
    # What lies in no graph's folder is not hashed when the precision is opened.
    elsewhere = ("onnx/fp32/sub/weights.bin", "onnx/fp32/*/_ORT_MEM_ADDR_/*", "onnx/other/more.bin")
    graphs = {**manifest.graphs["fp32"], "beam": bundle.GraphFile(path="onnx/other/beam.onnx", sha256="0" * 64)}
    changes = {"files": {**manifest.files, **dict.fromkeys(elsewhere, "0" * 64)}, "graphs": {"fp32": graphs}}
    bundle.write(own_bundle, manifest.model_copy(update=changes))
    assert (
        refused(check, model_of(graph_of(initializers=[outside("weights.bin"), outside(location)])))
        == f"external data in {location!r}, expected a file beside the graph that bundle.json names"
    )


SPARSE = {
    "values": SparseTensorProto(values=outside()),
    "indices": SparseTensorProto(values=outside("weights.bin"), indices=outside()),
}
HOLDERS = {
    "initializer": GraphProto(initializer=[outside()]),
    **{f"sparse initializer, {name}": GraphProto(sparse_initializer=[sparse]) for name, sparse in SPARSE.items()},
    "t": graph_of([node_with(t=outside())]),
    "tensors": graph_of([node_with(tensors=[outside("weights.bin"), outside()])]),
    **{f"sparse tensor, {name}": graph_of([node_with(sparse_tensor=sparse)]) for name, sparse in SPARSE.items()},
    **{f"sparse tensors, {name}": graph_of([node_with(sparse_tensors=[sparse])]) for name, sparse in SPARSE.items()},
}


@inside
@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_data_elsewhere_of_any_tensor(
    check: Check, place: Callable[[GraphProto], GraphProto], holder: GraphProto
) -> None:
    assert "external data in '../x'" in refused(check, model_of(place(holder)))


@pytest.mark.parametrize("key", ["basepath", "prepacked_0", "Location", ""])
def test_more_about_external_data_than_where_it_lies(check: Check, key: str) -> None:
    tensor = outside("weights.bin", **{key: "x|0;4;"})
    assert (
        refused(check, model_of(graph_of(initializers=[tensor])))
        == f"external data with '{key}', expected a location, an offset and a length"
    )


def test_external_data_of_a_tensor_that_says_it_has_none(check: Check) -> None:
    tensor = outside()
    tensor.data_location = TensorProto.DEFAULT
    assert "'../x'" in refused(check, model_of(graph_of(initializers=[tensor])))


@pytest.mark.parametrize("values", [(b"../x", b"weights.bin"), (b"weights.bin", b"../x")])
def test_what_is_said_twice_is_checked_twice(check: Check, values: tuple[bytes, bytes]) -> None:
    entry = field(1, b"location") + b"".join(field(2, value) for value in values)
    assert "data in '../x'" in refused(check, field(7, field(5, field(13, entry))))
    node = b"".join(field(7, value.removeprefix(b"weights.bin")) for value in values)
    assert "domain '../x'" in refused(check, field(7, field(1, node)))


def test_functions_and_training(check: Check) -> None:
    own = helper.make_function("own", "Twice", ["x"], ["y"], [], [helper.make_opsetid("", 18)])
    for more in ({"functions": [own]}, {"training_info": [onnx.TrainingInfoProto()]}):
        model = model_of(graph_of())
        model.MergeFrom(ModelProto(**more))
        assert refused(check, model) == "local function or training graph, expected a graph alone"


def nested(levels: int) -> bytes:
    """A model with a graph in an attribute of a node of a graph, and so on."""
    content = b""
    for _ in range(levels):
        content = field(1, field(5, field(6, content)))
    return field(7, content)


def test_files_that_are_no_graphs(check: Check) -> None:
    whole = model_of(graph_of([NodeProto(op_type="Add")])).SerializeToString()
    for content in (b"\xff\xff no graph", whole[:-1], nested(10_000)):
        assert refused(check, content) == "expected an ONNX graph"
    for content in (whole, nested(20)):
        check(content)


def test_a_name_of_another_format(own_bundle: Path) -> None:
    opened = bundle.read(own_bundle)
    (own_bundle / GRAPH).rename(own_bundle / "onnx/fp32/greedy.ort")
    graphs = {"fp32": {"greedy": bundle.GraphFile(path="onnx/fp32/greedy.ort", sha256="0" * 64)}}
    bundle.write(own_bundle, opened.manifest.model_copy(update={"graphs": graphs}))
    with pytest.raises(UserError, match=r"greedy\.ort: expected a graph's name to end in \.onnx; export"):
        check_graphs(bundle.read(own_bundle), "fp32")


def test_a_strange_name_stays_on_one_line(check: Check) -> None:
    assert r"domain 'a\n\\xff\x1b[2J'," in refused(check, field(7, field(1, field(7, b"a\n\xff\x1b[2J"))))


def test_fields_are_onnx_s() -> None:
    for message, fields in SCHEMA.items():
        theirs = getattr(onnx, message).DESCRIPTOR.fields_by_name
        for name, (number, of) in fields.items():
            assert (theirs[name].number, theirs[name].message_type and theirs[name].message_type.name) == (number, of)
            assert of or theirs[name].type in (theirs[name].TYPE_STRING, theirs[name].TYPE_BYTES)


def test_no_way_to_an_operator_or_a_tensor_is_forgotten() -> None:
    def leads(descriptor: Any, seen: frozenset[str] = frozenset()) -> bool:
        name = descriptor.name
        below = [f.message_type for f in descriptor.fields if f.message_type and name not in seen]
        return name in ("NodeProto", "TensorProto") or any(leads(one, seen | {name}) for one in below)

    for message, ours in SCHEMA.items():
        fields = getattr(onnx, message).DESCRIPTOR.fields
        ways = {f.name for f in fields if f.message_type and leads(f.message_type)}
        assert ways <= set(ours) or not ours, message
    assert {name for name, fields in SCHEMA.items() if not fields} == {"FunctionProto", "TrainingInfoProto"}


@inside
def test_weights_in_inner_graphs_are_found(place: Callable[[GraphProto], GraphProto]) -> None:
    for graph in (graph_of(initializers=[outside("weights.bin")]), graph_of([node_with(t=outside("weights.bin"))])):
        model = model_of(place(graph))
        of_the_outermost = model.graph == graph and bool(graph.initializer)
        assert has_weights_inside(model.SerializeToString()) != of_the_outermost
    assert not has_weights_inside(model_of(place(graph_of([NodeProto(op_type="Add")]))).SerializeToString())

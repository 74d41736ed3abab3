"""Exported graphs: what they are made of, and that they say what Keras says, whatever their run-time inputs.

The models have random weights, large ones, so that their outputs are of every length and beams matter.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import AttributeProto, TensorProto

from keras_s2s.bundle import Decoding
from keras_s2s.decoding import INPUTS, Ensemble, Fusion, Hypotheses
from keras_s2s.export import onnx_graph
from keras_s2s.export.calibrate import ActivationScale, calibrate
from keras_s2s.export.forms import Form, keras_form, onnx_form, programs_of
from keras_s2s.export.nodes import MICROSOFT
from keras_s2s.export.passes import all_graphs, loops_of
from keras_s2s.export.products import products
from keras_s2s.export.quantize import int8
from keras_s2s.export.weights import WEIGHTS_FILE
from keras_s2s.models import (
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import Candidates

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

# Wide enough for matrices to be stored in the weights file in int8 too.
WIDTH = 32
VOCABULARY = 34
PRECISIONS = ("fp32", "int8")
ENCODERS: dict[str, Any] = {
    "lstm": LSTMEncoderConfig(layers=2),
    "transformer": TransformerEncoderConfig(layers=2, heads=2, feed_forward=48),
}
DECODERS: dict[str, Any] = {
    "lstm": LSTMDecoderConfig(layers=2),
    "transformer": TransformerDecoderConfig(layers=2, heads=4, feed_forward=48),
}
# Every part is in one of the first two, so the others are slow tests.
KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("lstm", "lstm"): ("greedy", "beam"),
    ("transformer", "transformer"): ("greedy", "beam"),
    ("lstm", "transformer"): ("greedy",),
    ("transformer", "lstm"): ("greedy",),
}
with_beams = pytest.mark.parametrize("exported", [kinds for kinds in KINDS if "beam" in KINDS[kinds]], indirect=True)
AVERAGE: dict[str, Any] = {"length_penalty": 1.0, "length_penalty_base": 0.0}
GNMT: dict[str, Any] = {"length_penalty": 0.6, "length_penalty_base": 5.0}


class Exported(NamedTuple):
    """A model's graphs as they lie on disk, and its forms; "keras" is one of them, the others are precisions."""

    kinds: tuple[str, str]
    folder: Path
    forms: dict[str, Form]

    @property
    def programs(self) -> tuple[str, ...]:
        return KINDS[self.kinds]

    def graphs(self, precision: str) -> dict[str, onnx.ModelProto]:
        paths = {name: self.folder / precision / f"{name}.onnx" for name in self.programs}
        return {name: onnx.load(path, load_external_data=False) for name, path in paths.items()}

    def decode(self, form: str, rows: list[list[int]], decoding: Decoding) -> list[Candidates]:
        return self.forms[form].search(decoding.strategy, [Sentence(row) for row in rows], decoding)


@pytest.fixture(
    scope="module",
    params=[pytest.param(kinds, marks=[] if "beam" in KINDS[kinds] else [pytest.mark.slow]) for kinds in KINDS],
    ids=lambda kinds: f"{kinds[0]} to {kinds[1]}",
)
def exported(request: Any, zoo: Any, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    encoder, decoder = kinds = request.param
    if encoder == decoder:
        model, folder = zoo(encoder).model(), zoo(encoder).folder / "onnx"
        programs = programs_of(model, KINDS[kinds], groups=1)
    else:
        folder = tmp_path_factory.mktemp("graphs")
        model = of_noise(encoder=ENCODERS[encoder], decoder=DECODERS[decoder])
        programs = programs_of(model, KINDS[kinds], groups=1)
        write({name: onnx_graph.convert(program) for name, program in programs.items()}, folder)
    forms = {"keras": keras_form(programs, VOCABULARY)}
    for precision in PRECISIONS:
        forms[precision] = onnx_form(folder / precision, KINDS[kinds], VOCABULARY)
    return Exported(kinds, folder, forms)


def of_noise(**parts: Any) -> Any:
    model = build(ModelConfig(source_vocabulary=VOCABULARY, target_vocabulary=VOCABULARY, width=WIDTH, **parts))
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables:
        scale = 0.3 if "norm" in weight.path else 1.5 * weight.shape[0] ** -0.5
        weight.assign(weight + rng.normal(scale=scale, size=weight.shape))
    return model


def write(converted: dict[str, Any], folder: Path) -> None:
    """Writes graphs in both precisions."""
    fp32 = {name: onnx_graph.expand(*graph) for name, graph in converted.items()}
    inputs = [feeds([Sentence(row)], options(strategy="greedy"), VOCABULARY) for row in rows(60)]
    scales = calibrate(fp32.values(), inputs)
    onnx_graph.write(fp32, folder / "fp32")
    onnx_graph.write({name: int8(graph, scales) for name, graph in fp32.items()}, folder / "int8")


def rows(count: int = 12) -> list[list[int]]:
    """Sources of 0 to 6 tokens, each with EOS."""
    rng = np.random.default_rng(6)
    return [[*rng.integers(4, VOCABULARY, size=number % 7).tolist(), 2] for number in range(count)]


def options(beam_size: int = 1, strategy: str = "beam", **changes: Any) -> Decoding:
    """Not validated: a beam of one is no default of a bundle, but the graph knows it."""
    limits = {"max_length_factor": 1.5, "max_length_extra": 5}
    return Decoding.model_construct(
        **{"strategy": strategy, "beam_size": beam_size, "n_best": 1, **AVERAGE, **limits, **changes}
    )


def same(ours: list[Candidates], theirs: list[Candidates]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert [candidate.tokens for candidate in a] == [candidate.tokens for candidate in b]
        np.testing.assert_allclose([c.score for c in a], [c.score for c in b], atol=1e-4)


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    return (node for graph in all_graphs(model.graph) for node in graph.node)


def the_loops(model: onnx.ModelProto) -> tuple[onnx.GraphProto, onnx.GraphProto]:
    """The bodies of the loop in which sentences leave, and of the one inside it that makes tokens."""
    ((_, outer),) = loops_of(model.graph)
    ((_, inner),) = loops_of(outer)
    return outer, inner


def reads(node: onnx.NodeProto) -> set[str]:
    """What a node reads, and what is read inside it."""
    inside = (a.g for a in node.attribute if a.type == AttributeProto.GRAPH)
    return {*node.input}.union(*(reads(one) for graph in inside for one in graph.node))


def place(tensor: TensorProto) -> tuple[int, int]:
    """Offset and length in the weights file."""
    values = {entry.key: entry.value for entry in tensor.external_data}
    assert values["location"] == WEIGHTS_FILE
    return int(values["offset"]), int(values["length"])


def initializers(model: onnx.ModelProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for graph in all_graphs(model.graph) for tensor in graph.initializer}


def origin(model: onnx.ModelProto, name: str) -> str:
    """The constant of the outermost graph that an inner one reads by this name."""
    made = {output: node for node in nodes(model) for output in node.output}
    return made[name].input[0] if name in made and made[name].op_type == "Concat" else name


def external(model: onnx.ModelProto) -> dict[str, TensorProto]:
    return {name: t for name, t in initializers(model).items() if t.data_location == TensorProto.EXTERNAL}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_a_graph_is_made_of(exported: Exported, precision: str) -> None:
    encoder, decoder = exported.kinds
    for name, model in exported.graphs(precision).items():
        count = Counter(node.op_type for node in nodes(model))
        inside = Counter(node.op_type for node in the_loops(model)[1].node)
        assert count["Loop"] == 2
        # Two layers; the encoder's read both ways.
        assert inside["LSTM"] == (2 if decoder == "lstm" else 0)
        assert count["LSTM"] - inside["LSTM"] == (4 if encoder == "lstm" else 0)
        layers = 2 if decoder == "transformer" else 0
        assert (inside["GroupQueryAttention"], inside["MultiHeadAttention"]) == (layers, layers)
        assert inside["LayerNormalization"] == (7 if decoder == "transformer" else 0)
        assert {node.domain for node in nodes(model)} <= {"", MICROSOFT}
        assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18, MICROSOFT: 1}
        assert [node.name for node in model.graph.input] == ["source_ids", *INPUTS[name]]
        assert {node.name for node in model.graph.output} == {*Hypotheses._fields}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_loop_carries_only_what_changes(exported: Exported, precision: str) -> None:
    for body in (body for model in exported.graphs(precision).values() for body in the_loops(model)):
        made = {name: node for node in body.node for name in node.output}
        carried = {node.name for node in body.input[2:]}
        for output in body.output[1:]:
            node = made.get(output.name)
            assert output.name not in carried
            assert node is None or node.op_type != "Identity" or node.input[0] not in carried


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_are_where_they_are_read(exported: Exported, precision: str) -> None:
    for model in exported.graphs(precision).values():
        names = [tensor.name for graph in all_graphs(model.graph) for tensor in graph.initializer]
        assert len(names) == len(set(names))
        in_file = set(external(model))
        for graph in all_graphs(model.graph):
            own = {tensor.name for tensor in graph.initializer}
            assert {name for node in graph.node for name in node.input} & {*names} - in_file == own - in_file
        assert in_file <= {tensor.name for tensor in model.graph.initializer}
        _, inner = the_loops(model)
        within = [node for node in inner.node if in_file & {*node.input}]
        assert {"Concat"} <= {node.op_type for node in within} <= {"Concat", "Gather"}
        assert all(len(node.input) == 1 for node in within if node.op_type == "Concat")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_loop_computes_only_what_changes(exported: Exported, precision: str) -> None:
    for model in exported.graphs(precision).values():
        in_file = set(external(model))
        for body in the_loops(model):
            results = {output.name for output in body.output}
            inside = {node.name for node in body.input} | {name for node in body.node for name in node.output}
            fixed = [node for node in body.node if node.op_type == "Constant" or {*node.input} <= in_file]
            constants = {name for node in fixed for name in node.output}
            for node in body.node:
                assert node in fixed or reads(node) & (inside - constants) or set(node.output) & results
                assert node not in fixed or node.op_type in ("Constant", "Concat")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_look_ups_read_their_indices_as_they_are(exported: Exported, precision: str) -> None:
    for model in exported.graphs(precision).values():
        for graph in all_graphs(model.graph):
            made = {name: node.op_type for node in graph.node for name in node.output}
            assert "Where" not in {made.get(node.input[1]) for node in graph.node if node.op_type == "Gather"}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nothing_is_kept_that_nobody_reads(exported: Exported, precision: str) -> None:
    for model in exported.graphs(precision).values():
        read = {name for node in nodes(model) for name in node.input}
        read |= {output.name for graph in all_graphs(model.graph) for output in graph.output}
        assert {tensor.name for graph in all_graphs(model.graph) for tensor in graph.initializer} <= read


def test_int8_products_read_int8_weights_and_no_copy_in_fp32_is_left(exported: Exported) -> None:
    for name, model in exported.graphs("int8").items():
        stored = initializers(model)
        products = [node for node in nodes(model) if node.op_type == "MatMulIntegerToFloat"]
        fp32 = [node for node in nodes(exported.graphs("fp32")[name]) if node.op_type == "MatMul"]
        floating = [node for node in nodes(model) if node.op_type == "MatMul"]
        weights = initializers(exported.graphs("fp32")[name])
        read = [origin(exported.graphs("fp32")[name], node.input[1]) for node in fp32]
        assert len(products) == sum(weight in weights for weight in read)
        assert len(products) + len(floating) == len(fp32)
        assert all(stored[origin(model, node.input[1])].data_type == TensorProto.INT8 for node in products)
        assert all(origin(model, node.input[1]) not in stored for node in floating)
        quantized = {tuple(sorted(t.dims)) for t in stored.values() if t.data_type == TensorProto.INT8}
        floats = {tuple(sorted(t.dims)) for t in stored.values() if t.data_type == TensorProto.FLOAT}
        assert quantized
        assert not quantized & floats


def test_lstm_weights_stay_fp32(exported: Exported) -> None:
    for model in exported.graphs("int8").values():
        stored = initializers(model)
        weights = [name for node in nodes(model) if node.op_type == "LSTM" for name in node.input[1:4]]
        assert all(stored[origin(model, name)].data_type == TensorProto.FLOAT for name in weights)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_weights_file(exported: Exported, precision: str) -> None:
    paths = sorted((exported.folder / precision).glob("*.onnx"))
    assert {f"{name}.onnx" for name in exported.programs} <= {path.name for path in paths}
    graphs = {path.stem: onnx.load(path, load_external_data=False) for path in paths}
    size = (exported.folder / precision / WEIGHTS_FILE).stat().st_size
    places: dict[str, tuple[int, int]] = {}
    for model in graphs.values():
        for name, tensor in external(model).items():
            offset, length = place(tensor)
            assert length == (4 if tensor.data_type == TensorProto.FLOAT else 1) * np.prod(tensor.dims)
            assert offset % 64 == 0
            assert offset + length <= size
            assert places.setdefault(name, (offset, length)) == (offset, length)
    ends = sorted((offset, offset + length) for offset, length in set(places.values()))
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))
    apart = sum(place(tensor)[1] for model in graphs.values() for tensor in external(model).values())
    if len(graphs) > 1:
        assert size < 0.6 * apart
    assert sorted(path.name for path in (exported.folder / precision).iterdir()) == sorted(
        [WEIGHTS_FILE, *(f"{name}.onnx" for name in graphs)]
    )


def test_int8_weights_are_a_quarter(exported: Exported) -> None:
    fp32, int8 = (external(exported.graphs(precision)["greedy"]) for precision in PRECISIONS)
    bytes_of = {name: place(tensor)[1] for name, tensor in fp32.items()}
    quantized = {name.split("/int8")[0]: place(tensor)[1] for name, tensor in int8.items() if "/int8" in name}
    assert quantized
    for name, size in quantized.items():
        assert bytes_of.get(name, bytes_of.get(f"{name}/transposed")) == 4 * size


def test_what_graphs_are_made_of_stays_as_it_is(zoo: Any, tmp_path: Path) -> None:
    (program,) = programs_of(zoo("transformer").model(), ["greedy"], groups=1).values()
    model, calls = onnx_graph.convert(program)
    before = model.SerializeToString()
    fp32 = onnx_graph.expand(model, calls)
    assert model.SerializeToString() == before
    before = fp32.SerializeToString()
    int8(fp32, {product.weight: ActivationScale(1.0, 128) for product in products(fp32)})
    onnx_graph.write({"greedy": fp32}, tmp_path / "graphs")
    assert fp32.SerializeToString() == before


def test_the_models_are_worth_comparing(exported: Exported) -> None:
    found = [best[0].tokens for best in exported.decode("keras", rows(), options(strategy="greedy"))]
    assert len(set(found)) > 6
    assert len({len(tokens) for tokens in found}) > 2


@pytest.mark.parametrize("penalty", [AVERAGE, GNMT], ids=["average", "GNMT"])
@pytest.mark.parametrize("factor", [0.0, 1.5])
@pytest.mark.parametrize("extra", [0, 5])
def test_greedy_says_what_keras_says(exported: Exported, extra: int, factor: float, penalty: Any) -> None:
    decoding = options(strategy="greedy", max_length_factor=factor, max_length_extra=extra, **penalty)
    theirs = exported.decode("keras", rows(), decoding)
    same(exported.decode("fp32", rows(), decoding), theirs)
    longest = [int(factor * len(row)) + extra for row in rows()]
    assert all(len(best[0].tokens) <= limit for best, limit in zip(theirs, longest, strict=True))


@with_beams
@pytest.mark.parametrize("penalty", [AVERAGE, GNMT], ids=["average", "GNMT"])
@pytest.mark.parametrize("beam_size", [1, 3, 7])
def test_beams_say_what_keras_says(exported: Exported, beam_size: int, penalty: Any) -> None:
    for extra in (0, 5):
        for factor in (0.0, 1.5):
            limits: dict[str, Any] = {"max_length_factor": factor, "max_length_extra": extra}
            decoding = options(beam_size, n_best=beam_size, **limits, **penalty)
            same(exported.decode("fp32", rows(), decoding), exported.decode("keras", rows(), decoding))


@with_beams
def test_a_beam_larger_than_the_vocabulary(exported: Exported) -> None:
    decoding = options(40, n_best=40)
    same(exported.decode("fp32", rows(3), decoding), exported.decode("keras", rows(3), decoding))


@with_beams
def test_a_beam_of_one_is_greedy(exported: Exported) -> None:
    same(exported.decode("fp32", rows(), options(1)), exported.decode("fp32", rows(), options(strategy="greedy")))


@with_beams
def test_run_time_inputs_matter(exported: Exported) -> None:
    one, wide, gnmt = (
        [best[0] for best in exported.decode("fp32", rows(), decoding)]
        for decoding in (options(1), options(7), options(7, **GNMT))
    )
    assert [best.tokens for best in one] != [best.tokens for best in wide]
    assert [best.score for best in wide] != [best.score for best in gnmt]


@with_beams
@pytest.mark.parametrize("precision", PRECISIONS)
def test_n_best_is_the_head_of_the_beam(exported: Exported, precision: str) -> None:
    everything = exported.decode(precision, rows(), options(4, n_best=4))
    for n_best in (1, 2, 3):
        found = exported.decode(precision, rows(), options(4, n_best=n_best))
        assert found == [candidates[:n_best] for candidates in everything]
    for candidates in everything:
        scores = [candidate.score for candidate in candidates]
        assert scores == sorted(scores, reverse=True)
        assert len({candidate.tokens for candidate in candidates}) == len(candidates)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_sentence_alone_is_the_same_as_in_a_padded_batch(exported: Exported, precision: str) -> None:
    for program in exported.programs:
        decoding = options(4, program)
        together = exported.decode(precision, rows(), decoding)
        same(together, [exported.decode(precision, [row], decoding)[0] for row in rows()])
        longer = [*rows(), [5] * 40 + [2]]
        same(together, exported.decode(precision, longer, decoding)[:-1])


def test_int8_scores_are_near_fp32(exported: Exported) -> None:
    """As long as both forms have written the same, so that they say what follows the same."""
    decoding = options(strategy="greedy")
    fp32, int8 = (exported.decode(precision, rows(60), decoding) for precision in PRECISIONS)
    differences = []
    for (a,), (b,) in zip(fp32, int8, strict=True):
        pairs = zip(
            zip(a.tokens, a.token_scores, strict=False), zip(b.tokens, b.token_scores, strict=False), strict=False
        )
        together = takewhile(lambda pair: pair[0][0] == pair[1][0], pairs)
        differences += [abs(ours - theirs) for (_, ours), (_, theirs) in together]
    assert len(differences) > 60
    assert 0 < np.median(differences) < 0.05


@pytest.mark.parametrize("kind", ["ensemble", "fusion"])
def test_models_with_like_named_weights_keep_their_own(kind: str, tmp_path: Path) -> None:
    def one(seed: int, **source: Any) -> Any:
        model = build(ModelConfig(**source, target_vocabulary=VOCABULARY, width=8, decoder=LSTMDecoderConfig()))
        rng = np.random.default_rng(seed)
        model.set_weights([weight + rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
        return model

    source: dict[str, Any] = {"source_vocabulary": VOCABULARY, "encoder": LSTMEncoderConfig()}
    model = (
        Ensemble([one(1, **source), one(2, **source)]) if kind == "ensemble" else Fusion(one(1, **source), one(2), 1.0)
    )
    programs = programs_of(model, ["greedy"], groups=1)
    graphs = {name: onnx_graph.convert(program) for name, program in programs.items()}
    write(graphs, tmp_path)
    sentences, decoding = [Sentence(row) for row in rows()], options(strategy="greedy")
    keras, fp32, int8 = (
        form.search("greedy", sentences, decoding)
        for form in (
            keras_form(programs, VOCABULARY),
            *(onnx_form(tmp_path / p, list(programs), VOCABULARY) for p in PRECISIONS),
        )
    )
    same(fp32, keras)
    assert len({best.tokens for best, *_ in keras}) > 4
    agree = [a[0].tokens == b[0].tokens for a, b in zip(int8, keras, strict=True)]
    assert sum(agree) > len(agree) / 2


def test_what_has_no_onnx_form_is_an_error_that_names_it() -> None:
    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")], autograph=False)
    def program(x: Any) -> dict[str, Any]:
        return {"y": tf.math.bessel_i0(x)}

    with pytest.raises(onnx_graph.ConversionError, match=r"no ONNX form: .*BesselI0"):
        onnx_graph.convert(program)

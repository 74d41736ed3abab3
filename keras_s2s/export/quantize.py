"""A graph in float32 becomes one in other number formats, matrix by matrix."""

from collections.abc import Mapping

from onnx import ModelProto, NodeProto

from keras_s2s.export.calibrate import ActivationScale
from keras_s2s.export.nodes import Nodes
from keras_s2s.export.number_formats import FORMATS, Int8
from keras_s2s.export.passes import all_graphs, replace_nodes, tidy
from keras_s2s.export.products import look_ups, lstms, parts, products
from keras_s2s.export.step_attention import without_groups


def quantize(model: ModelProto, formats: Mapping[str, str], scales: Mapping[str, ActivationScale]) -> ModelProto:
    """Makes a quantized graph of one in float32.

    Args:
        model: with its weights in it.
        formats: a name of `formats.FORMATS` for each matrix that changes, by its name; of an LSTM by its kernel's.
        scales: of activations, by the name of the product's matrix, for formats that need calibration.

    Raises:
        UserError: a format cannot be had in this graph.
    """
    result = ModelProto()
    result.CopyFrom(model)
    made = {name: FORMATS[name](result, scales) for name in dict.fromkeys(formats.values())}
    # In the place of a sum stands what needs no sum, as by then both of its parts are there.
    instead: dict[str, list[NodeProto]] = {}
    for product in products(result):
        if product.weight in formats:
            if product.add is not None:
                instead[product.node.output[0]] = []
            instead[(product.add or product.node).output[0]] = made[formats[product.weight]].product(product)
    for look_up in look_ups(result):
        if look_up.table in formats:
            instead[look_up.node.output[0]] = made[formats[look_up.table]].look_up(look_up)
    for node in lstms(result):
        form = made.get(formats.get(node.input[1], ""))
        if form is not None and form.quantizes_lstm:
            instead[node.output[0]] = form.lstm(node)
    plain = Nodes("step_attention")
    if not all(form.is_for_cpus for form in made.values()):
        instead |= without_groups(plain, result)
    for graph in all_graphs(result.graph):
        replace_nodes(graph, [new for node in graph.node for new in instead.get(node.output[0], [node])])
    for nodes in (plain, *made.values()):
        nodes.store(result.graph)
    tidy(result.graph)
    return result


def int8(model: ModelProto, scales: Mapping[str, ActivationScale]) -> ModelProto:
    """All matrices of a graph in "int8"; LSTM and GRU layers stay in float32.

    No quantized LSTM of onnxruntime gives a sentence the same result in every batch, and there is no quantized GRU.
    """
    kernels = {node.input[1] for node in lstms(model)}
    return quantize(model, dict.fromkeys(parts(model).keys() - kernels, Int8.name), scales)

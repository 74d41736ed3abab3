"""The attention of a step without an operator of its own."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from keras_s2s.export.nodes import MICROSOFT, Nodes
from keras_s2s.export.passes import all_graphs


class PlainAttention(NamedTuple):
    """What a plain attention takes, by name.

    Attributes:
        query: (R, 1, D).
        key: (R, H, P+1, d), the new token's in the first place.
        value: likewise.
        mask: (R, P+1) int32, 1 where there is a token.
    """

    query: str
    key: str
    value: str
    mask: str


def plain_attention(
    nodes: Nodes, heads: int, query_key_value: str, key: str, value: str, seen: str, length: str
) -> PlainAttention:
    """Makes all but the attention itself of a `layers.fused.step_attention`.

    The new token comes before those of the cache; of a cache only the first places count, in any order.
    """
    query, *new = nodes.many("Split", [query_key_value], 3, axis=-1, num_outputs=3)
    sizes = nodes.integers(0, heads, 1, -1)
    key, value = (
        nodes.node("Concat", [nodes.node("Reshape", [part, sizes]), cached], axis=2)
        for part, cached in zip(new, (key, value), strict=True)
    )
    zero, one = (nodes.constant(f"place_{place}", np.array(place, "int32")) for place in (0, 1))
    places = nodes.node("Range", [zero, length, one])
    is_seen = nodes.node("LessOrEqual", [places, nodes.node("Unsqueeze", [seen, nodes.integers(-1)])])
    return PlainAttention(query, key, value, nodes.node("Cast", [is_seen], to=TensorProto.INT32))


def multi_head_attention(nodes: Nodes, heads: int, scale: float, *inputs: str) -> list[str]:
    """Makes a `layers.fused.step_attention`, whose inputs these are, with a MultiHeadAttention of onnxruntime."""
    query, key, value, mask = plain_attention(nodes, heads, *inputs)
    numbers = {"num_heads": heads, "scale": scale}
    return [
        nodes.node("MultiHeadAttention", [query, key, value, "", mask], domain=MICROSOFT, **numbers),
        key,
        value,
    ]


def without_groups(nodes: Nodes, model: ModelProto) -> Iterator[tuple[str, list[NodeProto]]]:
    """By the name of its first output, what can stand in the place of each GroupQueryAttention of `Operators`."""
    for graph in all_graphs(model.graph):
        for node in (node for node in graph.node if node.op_type == "GroupQueryAttention"):
            numbers = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            outputs = multi_head_attention(nodes, numbers["num_heads"], numbers["scale"], *filter(None, node.input))
            yield node.output[0], nodes.take_as(outputs, node.output)

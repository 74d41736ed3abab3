"""What the products of a graph are given on a user's text, and the steps of activations that fit it."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from keras_s2s.bundle import Decoding
from keras_s2s.export import onnx_graph
from keras_s2s.export.passes import loops_of
from keras_s2s.export.products import products
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import Graph
from keras_s2s.text.padding import pad

Arrays = Mapping[str, np.ndarray]

_SENTENCES = 200
_SAMPLE = 1 << 21  # activations of a product that are kept of all batches
_REACHED = 0.9999
_CLIPS = np.linspace(1.0, 0.2, 41)  # shares of the largest activation that are tried
_BINS = 1 << 16  # of a sample's histogram: 256 a step, so that a value's place in its bin is no error


@dataclass(frozen=True)
class Steps:
    """How activations become uint8: round(x / step) + zero, cut to 0 and 255."""

    step: float
    zero: int


Choose = Callable[[np.ndarray], Steps]


def calibration_batches(
    rows: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], decoding: Decoding, vocabulary: int
) -> list[Arrays]:
    """Inputs of all graphs, one sentence in each, as `calibrate` wants them; the first 200 are taken.

    Args:
        rows: ids of sources, with EOS.
        targets: of their references, with EOS; as many, or fewer.
        decoding: options of the searches.
        vocabulary: V, of the target.
    """
    return [
        {**feeds([Sentence(row)], decoding, vocabulary), "target_ids": pad([target])}
        for row, target in zip(rows[:_SENTENCES], targets[:_SENTENCES], strict=False)
    ]


def calibrate(
    graphs: Iterable[ModelProto], batches: Iterable[Arrays], choose: Choose | None = None
) -> dict[str, Steps]:
    """Runs graphs until all their products have been seen, and chooses the steps of each one's activations.

    Args:
        graphs: in float32, with their weights in them.
        batches: inputs of all graphs together; each takes those that it has. They are of one sentence each: where some
            leave a batch, rounds differ in their shapes, and no loop gives them together.
        choose: makes steps of a sample of activations; `least_squares` if None.

    Returns:
        The steps by the name of the product's matrix.
    """
    batches, choose, found = list(batches), choose or least_squares, dict[str, Steps]()
    for model in graphs:
        if {product.weight for product in products(model)} - found.keys():
            seen = ((choose(values), weights) for values, weights in _activations(model, batches))
            of_model = {weight: steps for steps, weights in seen for weight in weights}
            found = of_model | found  # what an earlier graph has said stays
    return found


def least_squares(values: np.ndarray) -> Steps:
    """The steps with the least square error on a sample. Where nothing is negative, all 256 are for what is not."""
    zero, levels = _levels(values)
    largest = max(float(np.abs(values).max()), 1e-12)
    counts, edges = np.histogram(values, _BINS, (-largest, largest))
    held = np.flatnonzero(counts)
    counts, centres = counts[held], (edges[held] + edges[held + 1]) / 2
    steps = largest * _CLIPS / levels
    return Steps(float(min(steps, key=lambda step: _error(counts, centres, step, zero))), zero)


def percentile(values: np.ndarray) -> Steps:
    """The steps that reach 99.99 % of a sample, cutting the largest."""
    zero, levels = _levels(values)
    return Steps(max(float(np.quantile(np.abs(values), _REACHED)), 1e-12) / levels, zero)


def _levels(values: np.ndarray) -> tuple[int, int]:
    """Where zero is, and how many steps there are above it."""
    return (128, 127) if values.min() < 0 else (0, 255)


def _error(counts: np.ndarray, values: np.ndarray, step: float, zero: int) -> float:
    quantized = (np.clip(np.round(values / step) + zero, 0, 255) - zero) * step
    return float(np.average(np.square(quantized - values), weights=counts))


def _activations(model: ModelProto, batches: Sequence[Arrays]) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Samples of what products are given, and the names of the matrices that are given just that."""
    tapped, taps = _tapped(model)
    samples: dict[str, list[np.ndarray]] = {output: [] for outputs in taps.values() for output in outputs}
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        onnx_graph.write({"tapped": tapped}, Path(folder) / "graphs")
        graph = Graph(Path(folder) / "graphs" / "tapped.onnx")
        for batch in batches:
            found = graph(batch)
            for output, parts in samples.items():
                parts.append(_sample(found[output], _SAMPLE // len(batches), random))
    alike: dict[tuple[str, ...], list[str]] = {}
    for weight, outputs in taps.items():
        alike.setdefault(tuple(outputs), []).append(weight)
    for given, weights in alike.items():
        yield np.concatenate([part for output in given for part in samples[output]]), weights


def _sample(values: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Some of the values, with the least and the largest among them."""
    values = values.ravel()
    if values.size <= size:
        return values
    return np.concatenate([random.choice(values, size), [values.min(), values.max()]])


def _tapped(model: ModelProto) -> tuple[ModelProto, dict[str, list[str]]]:
    """A graph that also gives what its products are given, and which of these outputs are for each matrix.

    A loop gives that of all its rounds, through the loops around it.
    """
    result = ModelProto()
    result.CopyFrom(model)
    loops, taps = _loops_around(result.graph), dict[str, list[str]]()
    for product in products(result):
        name = product.node.input[0]
        for loop, body in loops.get(product.node.output[0], []):
            if name not in {output.name for output in body.output}:
                body.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
                loop.output.append(f"{name}/rounds")
            name = f"{name}/rounds"
        taps.setdefault(product.weight, []).append(name)
    tapped = dict.fromkeys(name for outputs in taps.values() for name in outputs)
    result.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tapped)
    return result, taps


def _loops_around(graph: GraphProto) -> dict[str, list[tuple[NodeProto, GraphProto]]]:
    """The loops, with their bodies, in which each output of a node is made, the innermost first."""
    found: dict[str, list[tuple[NodeProto, GraphProto]]] = {}
    for loop, body in loops_of(graph):
        deeper = _loops_around(body)
        for name in (name for node in body.node for name in node.output):
            found[name] = [(loop, body)]
        found |= {name: [*loops, (loop, body)] for name, loops in deeper.items()}
    return found

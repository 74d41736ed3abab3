"""The activations that the products of a graph meet on a user's text, and the scales that fit them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from keras_s2s.bundle import Decoding
from keras_s2s.export.onnx_graph import with_weights_outside
from keras_s2s.export.passes import loops_of
from keras_s2s.export.products import products
from keras_s2s.export.weights import folder_of
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import Stop, session_options
from keras_s2s.runtime.in_order import Begun, in_order
from keras_s2s.runtime.providers import make_session
from keras_s2s.text.padding import pad

Arrays = Mapping[str, np.ndarray]

_SENTENCES, _BATCH = 200, 16
_SAMPLE = 1 << 19  # activations of a product that are kept of all batches, about
_REACHED = 0.9999
_CLIPS = np.linspace(1.0, 0.2, 41)  # shares of the largest activation that are tried
_BINS = 1 << 16  # of a sample's histogram: 256 for each of 256 levels, so that a value's place in its bin is no error


@dataclass(frozen=True)
class ActivationScale:
    """How activations become uint8: round(x / scale) + zero_point, cut to 0 and 255."""

    scale: float
    zero_point: int


_FOLDER = "session.model_external_initializers_file_folder_path"  # an option of onnxruntime
_NOTHING, _FLAT = "calibration/nothing", "calibration/flat"  # constants of a tapped graph

Choose = Callable[[np.ndarray], ActivationScale]


def calibration_batches(
    rows: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], decoding: Decoding, vocabulary: int
) -> list[Arrays]:
    """Inputs of all graphs; the first 200 sentences are taken.

    Sources of a batch have one length, so that nothing is measured that is padding.

    Args:
        rows: ids of sources, with EOS.
        targets: of their references, with EOS; as many, or fewer.
        decoding: options of the searches.
        vocabulary: V, of the target.
    """
    pairs = zip(rows[:_SENTENCES], targets[:_SENTENCES], strict=False)
    ordered = sorted(pairs, key=lambda pair: (len(pair[0]), len(pair[1])))
    alike = [list(some) for _, some in groupby(ordered, key=lambda pair: len(pair[0]))]
    batches = [some[start : start + _BATCH] for some in alike for start in range(0, len(some), _BATCH)]
    return [
        {
            **feeds([Sentence(row) for row, _ in batch], decoding, vocabulary),
            "target_ids": pad([target for _, target in batch]),
        }
        for batch in batches
    ]


def calibrate(
    graphs: Iterable[ModelProto],
    batches: Iterable[Arrays],
    choose: Choose | None = None,
    threads: int | None = None,
    stop: Stop | None = None,
) -> dict[str, ActivationScale]:
    """Runs graphs until all their products have been seen, and chooses the scale of each one's activations.

    Args:
        graphs: in float32, with their weights in them.
        batches: inputs of all graphs together; each takes those that it has.
        choose: makes a scale of a sample of activations; `least_squares` if None.
        threads: how many threads one operator may use; None is one for each core.
        stop: ends each run of a graph.

    Returns:
        The scales by the name of the product's matrix.
    """
    batches, choose, found = list(batches), choose or least_squares, dict[str, ActivationScale]()
    for model in graphs:
        if {product.weight for product in products(model)} - found.keys():
            seen = ((choose(values), weights) for values, weights in _activations(model, batches, threads, stop))
            of_model = {weight: scale for scale, weights in seen for weight in weights}
            found = of_model | found  # what an earlier graph has said stays
    return found


def least_squares(values: np.ndarray) -> ActivationScale:
    """The scale with the least square error on a sample. Where nothing is negative, all 256 levels are for the rest."""
    zero_point, levels = _levels(values)
    largest = max(float(np.abs(values).max()), 1e-12)
    counts, edges = np.histogram(values, _BINS, (-largest, largest))
    held = np.flatnonzero(counts)
    counts, centres = counts[held], (edges[held] + edges[held + 1]) / 2
    scales = largest * _CLIPS / levels
    best = min(scales, key=lambda scale: _error(counts, centres, scale, zero_point))
    return ActivationScale(float(best), zero_point)


def percentile(values: np.ndarray) -> ActivationScale:
    """The scale that reaches 99.99 % of a sample, cutting the largest."""
    zero_point, levels = _levels(values)
    return ActivationScale(max(float(np.quantile(np.abs(values), _REACHED)), 1e-12) / levels, zero_point)


def _levels(values: np.ndarray) -> tuple[int, int]:
    """Where zero is, and how many levels there are above it."""
    return (128, 127) if values.min() < 0 else (0, 255)


def _error(counts: np.ndarray, values: np.ndarray, scale: float, zero_point: int) -> float:
    quantized = (np.clip(np.round(values / scale) + zero_point, 0, 255) - zero_point) * scale
    return float(np.average(np.square(quantized - values), weights=counts))


def _activations(
    model: ModelProto, batches: Sequence[Arrays], threads: int | None, stop: Stop | None
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Samples of what products are given, and the names of the matrices that are given just that."""
    tapped, taps = _tapped(model)
    samples = {output: _Sample() for outputs in taps.values() for output in outputs}
    session = _session(tapped, threads)
    inputs = [node.name for node in session.get_inputs()]

    def begun(batch: Arrays) -> Begun[list[np.ndarray]]:
        fed = {name: batch[name] for name in inputs}
        running = pool.submit(session.run, [*samples], fed, None if stop is None else stop.options)
        return lambda: [running.result()]

    # While samples are taken of what one batch gave, the next one runs.
    with ThreadPoolExecutor(1) as pool:
        for found in in_order(map(begun, batches), ahead=1):
            _add(samples.values(), found)
            del found  # before another batch needs as much room
    alike: dict[tuple[str, ...], list[str]] = {}
    for weight, outputs in taps.items():
        alike.setdefault(tuple(outputs), []).append(weight)
    for given, weights in alike.items():
        yield np.concatenate([samples[output].values() for output in given]), weights


def _add(samples: Iterable["_Sample"], found: Sequence[np.ndarray]) -> None:
    for sample, values in zip(samples, found, strict=True):
        sample.add(values)


def _session(model: ModelProto, threads: int | None) -> onnxruntime.InferenceSession:
    """A session of a graph whose weights stay where they are: in their file, or in the graph."""
    options = session_options(threads)
    if (folder := folder_of(model.graph)) is not None:
        options.add_session_config_entry(_FOLDER, str(folder))
    return make_session(with_weights_outside(model, lambda tensor: tensor).SerializeToString(), options)


class _Sample:
    """Some of many values, each with the same chance, and the least and the largest of all."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._kept: list[np.ndarray] = []
        self._share = 1.0
        self._least, self._largest = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        """Takes as large a share of them as of those before."""
        self._least = min(self._least, values.min(initial=np.inf))
        self._largest = max(self._largest, values.max(initial=-np.inf))
        self._kept.append(self._some(values.ravel(), self._share))
        while sum(part.size for part in self._kept) > _SAMPLE:
            self._share /= 2
            self._kept = [self._some(part, 0.5) for part in self._kept]

    def _some(self, values: np.ndarray, share: float) -> np.ndarray:
        return values if share == 1 else self._random.choice(values, round(values.size * share), replace=False)

    def values(self) -> np.ndarray:
        return np.concatenate([*self._kept, np.array([self._least, self._largest], "float32")])


def _tapped(model: ModelProto) -> tuple[ModelProto, dict[str, list[str]]]:
    """A graph that also gives what its products are given, and which of these outputs are for each matrix.

    A loop gives that of all its rounds, through the loops around it.
    """
    result = ModelProto()
    result.CopyFrom(model)
    result.graph.initializer.append(numpy_helper.from_array(np.zeros(0, "float32"), _NOTHING))
    result.graph.initializer.append(numpy_helper.from_array(np.array([-1]), _FLAT))
    loops, taps = _loops_around(result.graph), dict[str, list[str]]()
    for product in products(result):
        name = product.node.input[0]
        for number, (loop, body) in enumerate(loops.get(product.node.output[0], [])):
            name = (_of_rounds if number == 0 else _of_rounds_of_any_shape)(name, loop, body)
        taps.setdefault(product.weight, []).append(name)
    tapped = dict.fromkeys(name for outputs in taps.values() for name in outputs)
    result.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tapped)
    return result, taps


def _of_rounds(name: str, loop: NodeProto, body: GraphProto) -> str:
    """An output of a loop: a value of its body in every round, whose shape no round changes."""
    given = f"{name}/rounds"
    if given not in loop.output:
        body.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        loop.output.append(given)
    return given


def _of_rounds_of_any_shape(name: str, loop: NodeProto, body: GraphProto) -> str:
    """The same of a value whose shape changes, as sentences leave: one vector that each round makes longer."""
    given, before, after, flat = (f"{name}/{end}" for end in ("rounds", "before", "after", "flat"))
    if given not in loop.output:
        carried = len(loop.input) - 2  # behind the most rounds, and whether there is a first one
        loop.input.append(_NOTHING)
        loop.output.insert(carried, given)
        body.input.append(helper.make_tensor_value_info(before, TensorProto.FLOAT, None))
        body.output.insert(1 + carried, helper.make_tensor_value_info(after, TensorProto.FLOAT, None))
        body.node.append(helper.make_node("Reshape", [name, _FLAT], [flat]))
        body.node.append(helper.make_node("Concat", [before, flat], [after], axis=0))
    return given


def _loops_around(graph: GraphProto) -> dict[str, list[tuple[NodeProto, GraphProto]]]:
    """The loops, with their bodies, in which each output of a node is made, the innermost first."""
    found: dict[str, list[tuple[NodeProto, GraphProto]]] = {}
    for loop, body in loops_of(graph):
        deeper = _loops_around(body)
        for name in (name for node in body.node for name in node.output):
            found[name] = [(loop, body)]
        found |= {name: [*loops, (loop, body)] for name, loops in deeper.items()}
    return found

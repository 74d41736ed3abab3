"""The ONNX graphs of a bundle, in each precision."""

import queue
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from keras_s2s.bundle import strategy_and_features
from keras_s2s.export import onnx_graph
from keras_s2s.export.beside import beside
from keras_s2s.export.calibrate import calibrate
from keras_s2s.export.lowering import FusedCall
from keras_s2s.export.parts import Parts
from keras_s2s.export.plan import CALIBRATING, converting
from keras_s2s.export.quantize import int8
from keras_s2s.export.standard import OPERATORS, OperatorSet, only_in_onnxruntime
from keras_s2s.export.weights import WeightsFile
from keras_s2s.runtime.graph import Stop
from keras_s2s.search_options import STRATEGIES


def write_graphs(
    programs: Mapping[str, Any],
    default: str,
    batches: Sequence[Mapping[str, np.ndarray]],
    folder: Path,
    progress: Callable[[str], None],
    operators: OperatorSet,
) -> dict[str, dict[str, list[str]]]:
    """Writes the graphs of each precision.

    Int8 is calibrated on `batches`, by the graph `default` if that has all products. Steps of a search come after the
    whole search, where all that they multiply by has been seen.

    Returns:
        The operators that ONNX does not define, by precision and graph.
    """
    finish = OPERATORS[operators]
    graphs: dict[str, ModelProto] = {}
    calls: list[FusedCall] = []
    parts = Parts()
    ready: queue.SimpleQueue[ModelProto | None] = queue.SimpleQueue()
    found: dict[str, dict[str, list[str]]] = {"fp32": {}, "int8": {}}

    def save(precision: str, name: str, graph: ModelProto, weights: WeightsFile) -> None:
        finished = finish(graph)
        onnx_graph.save(finished, folder / "onnx" / precision / f"{name}.onnx", weights)
        found[precision][name] = only_in_onnxruntime(finished)

    stop = Stop()
    # A graph is calibrated while the next ones are converted: each of both keeps a core busy.
    with beside(lambda: calibrate(iter(ready.get, None), batches, threads=1, stop=stop), stop) as scales:
        try:
            with WeightsFile(folder / "onnx" / "fp32") as weights:
                for name in conversion_order(programs, default):
                    progress(converting(name))
                    model, own = onnx_graph.convert(programs[name], parts)
                    calls += own.values()
                    graphs[name] = onnx_graph.expand(model, own, calls, weights)
                    ready.put(graphs[name])
                    save("fp32", name, graphs[name], weights)
        finally:
            ready.put(None)
        progress(CALIBRATING)
    with WeightsFile(folder / "onnx" / "int8") as weights:
        for name in programs:
            save("int8", name, int8(graphs[name], scales.result()), weights)
    return found


def conversion_order(programs: Iterable[str], default: str) -> list[str]:
    """The programs as they are converted: decoders before heads, and of the decoders that of the default search first.

    A decoder may multiply by the table of the source's embeddings; if it does, all graphs store the table for that.
    """

    def of_head(name: str) -> bool:
        known = STRATEGIES.get(strategy_and_features(name)[0])
        return known is not None and not known.is_search

    return sorted(programs, key=lambda name: (of_head(name), name != default))

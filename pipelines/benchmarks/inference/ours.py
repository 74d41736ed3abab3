"""The graphs of this project, ids in and ids out."""

from collections.abc import Sequence
from pathlib import Path

from keras_s2s.bundle import Decoding
from keras_s2s.runtime.batching import map_batches
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import Graph, candidates


class Engine:
    """A model, greedy and with a beam.

    Args:
        folder: as `prepare` wrote it.
        precision: "float32" or "int8".
        threads: of one operator.
    """

    def __init__(self, folder: Path, precision: str, threads: int) -> None:
        self._folder = folder / "onnx" / {"float32": "fp32"}.get(precision, precision)
        self._threads = threads
        self._graphs: dict[str, Graph] = {}

    def decode(self, rows: Sequence[Sequence[int]], decoding: Decoding, batch_size: int) -> list[list[int]]:
        """The best output of each row, without EOS; rows of like length share batches."""
        graph = self._graph(decoding.strategy)

        def run(batch: Sequence[Sentence]) -> list[list[int]]:
            return [list(found[0].tokens) for found in candidates(graph(feeds(batch, decoding, 0)))]

        return map_batches(run, [Sentence(row) for row in rows], batch_size)

    def _graph(self, name: str) -> Graph:
        if name not in self._graphs:
            self._graphs[name] = Graph(self._folder / f"{name}.onnx", self._threads)
        return self._graphs[name]

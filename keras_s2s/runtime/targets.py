"""What a graph says of given targets: scores of their tokens, or where the model looks as it writes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_s2s.runtime.batching import Row, map_batches
from keras_s2s.runtime.graph import Graph
from keras_s2s.text.padding import pad


@dataclass(frozen=True)
class Pair:
    """Source ids and target ids, both with EOS."""

    source: Row
    target: Row

    def __len__(self) -> int:
        """The number of source ids."""
        return len(self.source)


def of_targets(graph: Graph, pairs: Sequence[Pair], batch_size: int) -> list[np.ndarray]:
    """Runs the graph "score" or "align" on pairs, in batches of like length.

    Returns:
        For each pair what the graph says, without what it says of padding: (T,), or of "align" (T, S).
    """
    return map_batches(lambda batch: _of_batch(graph, batch), pairs, batch_size)


def _of_batch(graph: Graph, pairs: Sequence[Pair]) -> list[np.ndarray]:
    found = graph({"source_ids": pad([p.source for p in pairs]), "target_ids": pad([p.target for p in pairs])})
    (values,) = found.values()
    return [
        x[: len(p.target), : len(p.source)] if x.ndim == 2 else x[: len(p.target)]
        for x, p in zip(values, pairs, strict=True)
    ]

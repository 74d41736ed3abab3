"""One exported graph: arrays in, arrays out; and what a search found, as a list."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from keras_s2s.cores import available_cores
from keras_s2s.memory import keeps_freed_memory

Candidates = list["Candidate"]


class Candidate(NamedTuple):
    """A hypothesis before it is text.

    Attributes:
        tokens: ids without EOS.
        score: what ranks it.
        token_scores: log-probabilities of its tokens and of EOS.
        finished: whether it ended by itself; False if it was cut at its limit; None if that is not known.
    """

    tokens: tuple[int, ...]
    score: float
    token_scores: tuple[float, ...] = ()
    finished: bool | None = None


class Graph:
    """An ONNX graph.

    Args:
        model: the .onnx file, beside which its weights lie; or what it holds.
        threads: how many threads one operator may use; None is one for each core.
        weights: of a model that is given as bytes, what its files of weights hold, by name.

    Attributes:
        inputs: their names.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        threads: int | None = None,
        weights: Mapping[str, bytes] | None = None,
    ) -> None:
        options = session_options(threads)
        if weights:
            sizes = list(map(len, weights.values()))
            options.add_external_initializers_from_files_in_memory([*weights], [*weights.values()], sizes)
        source = model if isinstance(model, bytes) else str(Path(model))
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self._session.get_inputs()]
        self._outputs = [node.name for node in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, np.ndarray], stop: "Stop | None" = None) -> dict[str, np.ndarray]:
        """Runs the graph.

        Args:
            inputs: those that it has are taken of them: a greedy graph has none that only a beam needs.
            stop: ends the run.
        """
        options = None if stop is None else stop.options
        found = self._session.run(self._outputs, {name: inputs[name] for name in self.inputs}, options)
        return dict(zip(self._outputs, found, strict=True))


class Stop:
    """When it is called, each run of a graph that was given it raises before its next operator.

    Attributes:
        options: of such runs.
    """

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()
        self.options.log_severity_level = 4  # A run that is ended would write an error to standard error.

    def __call__(self) -> None:
        self.options.terminate = True


def session_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """What onnxruntime is told.

    Args:
        threads: how many threads one operator may use; None is one for each core that this process may use.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # A pattern is kept for each shape that ever came, and none fits: caches grow at every step.
    options.enable_mem_pattern = False
    # Its own arena would keep a second time what glibc keeps, and of each size the most that ever was.
    options.enable_cpu_mem_arena = not keeps_freed_memory()
    # Left to itself onnxruntime counts the machine's cores, and binds its threads to them whether or not this process
    # may use them. Given a number it binds none.
    options.intra_op_num_threads = available_cores() if threads is None else threads
    return options


def candidates(found: Mapping[str, np.ndarray], limits: Sequence[int] | None = None) -> list[Candidates]:
    """What a search found, as a list for each sentence, best first.

    Args:
        found: `tokens` (B, N, T), `lengths` (B, N), `scores` (B, N), and of some searches `token_scores` (B, N, T) and
            `finished` (B, N).
        limits: the most tokens of each sentence; None if there are no such limits. Without `finished`, what is
            shorter has ended by itself.

    Returns:
        The candidates. A beam that found fewer than N fills up with impossible ones, which are left out.
    """
    longest = [None] * len(found["tokens"]) if limits is None else limits
    return [_of_sentence({name: x[i] for name, x in found.items()}, limit) for i, limit in enumerate(longest)]


def _of_sentence(found: Mapping[str, np.ndarray], limit: int | None) -> Candidates:
    scores, marks = found.get("token_scores"), found.get("finished")
    return [
        Candidate(
            tuple(found["tokens"][n][:length].tolist()),
            float(score),
            () if scores is None else tuple(scores[n][: length + 1].tolist()),
            _ended(int(length), limit) if marks is None else bool(marks[n]),
        )
        for n, (length, score) in enumerate(zip(found["lengths"], found["scores"], strict=True))
        if score != -np.inf
    ]


def _ended(length: int, limit: int | None) -> bool | None:
    return True if limit is None or length < limit else None

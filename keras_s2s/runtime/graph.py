"""One exported graph: rows of source ids in, candidates out."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from keras_s2s.bundle import Decoding
from keras_s2s.text.padding import pad

Candidates = list["Candidate"]


class Candidate(NamedTuple):
    """A hypothesis before it is text: its ids without EOS, and its normalised score."""

    tokens: tuple[int, ...]
    score: float


class Graph:
    """An ONNX graph that searches.

    Args:
        path: the .onnx file; its weights lie beside it.
        threads: how many threads one operator may use; None leaves it to onnxruntime.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(Path(path)), options, providers=["CPUExecutionProvider"])
        self._inputs = [node.name for node in self._session.get_inputs()]

    def __call__(self, rows: Sequence[Sequence[int]], decoding: Decoding) -> list[Candidates]:
        """Decodes rows of ids, each ending with EOS, together."""
        feeds = {"source_ids": pad(rows), **run_time_inputs(decoding)}
        # A greedy graph has no inputs for what only a beam needs.
        outputs = self._session.run(["tokens", "lengths", "scores"], {name: feeds[name] for name in self._inputs})
        return candidates(*outputs)


def run_time_inputs(decoding: Decoding) -> Mapping[str, np.ndarray]:
    """What a graph wants to know besides the sources, by the names of its inputs."""
    return {
        "max_length_factor": np.array(decoding.max_length_factor, "float32"),
        "max_length_extra": np.array(decoding.max_length_extra, "int32"),
        "length_penalty": np.array(decoding.length_penalty, "float32"),
        "length_penalty_base": np.array(decoding.length_penalty_base, "float32"),
        "beam_size": np.array(decoding.beam_size, "int32"),
        "n_best": np.array(decoding.n_best, "int32"),
    }


def candidates(tokens: np.ndarray, lengths: np.ndarray, scores: np.ndarray) -> list[Candidates]:
    """Arrays (B, N, T), (B, N), (B, N) as a list for each sentence, best first.

    A beam that found fewer than N fills up with impossible ones, which are left out.
    """
    return [
        [
            Candidate(tuple(ids[:length].tolist()), float(score))
            for ids, length, score in zip(*sentence, strict=True)
            if score != -np.inf
        ]
        for sentence in zip(tokens, lengths, scores, strict=True)
    ]

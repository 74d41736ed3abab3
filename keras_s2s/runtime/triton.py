"""A graph of a bundle as a model of NVIDIA's Triton Inference Server."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime

from keras_s2s.bundle import Bundle, Decoding, read, verify
from keras_s2s.errors import UserError
from keras_s2s.runtime.graph import session_options
from keras_s2s.runtime.options import find_graph
from keras_s2s.runtime.providers import make_session

MODEL, CONFIG, VERSION = "model.onnx", "config.pbtxt", "1"

_TYPES = {
    "tensor(int32)": "TYPE_INT32",
    "tensor(float)": "TYPE_FP32",
    "tensor(bool)": "TYPE_BOOL",
}


def write_triton_model(
    bundle: str | os.PathLike[str],
    repository: str | os.PathLike[str],
    graph: str | None = None,
    precision: str = "int8",
    threads: int = 1,
) -> Path:
    """Writes a graph into a repository of Triton's, and loads it from there once to see what it takes and gives.

    A request is a batch: the graph's options are scalars that hold for all of its rows, so Triton must not put rows of
    other requests beside them (`max_batch_size: 0`). Triton knows no scalars: it takes such an option as a vector of
    one number, which its onnxruntime backend gives the graph as a scalar.

    Args:
        bundle: its folder.
        repository: a folder of models; made if it is not there.
        graph: its name; by default the one that the bundle's defaults need.
        precision: of the graph.
        threads: how many threads one operator may use.

    Returns:
        The model's folder, `BUNDLE-GRAPH` in the repository, with `config.pbtxt`, `1/model.onnx` and its weights.

    Raises:
        UserError: no such bundle, precision or graph, a wrong hash, or the repository has that model.
    """
    opened = read(bundle)
    manifest = opened.manifest
    default = manifest.default_graph
    graph = find_graph(opened, precision, graph or default)
    name = f"{opened.path.resolve().name}-{graph}"
    folder = Path(repository) / name
    if folder.exists():
        raise UserError(f"{folder}: is there already; remove it or choose another repository")
    building = folder.with_name(f".{name}.building-{os.getpid()}")
    try:
        _copy(opened, graph, precision, building / VERSION)
        session = make_session(building / VERSION / MODEL, session_options(threads))
        text = "\n".join(_config(name, session, manifest.decoding, threads))
        (building / CONFIG).write_text(text + "\n", encoding="utf-8")
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _copy(bundle: Bundle, graph: str, precision: str, folder: Path) -> None:
    """Copies a graph and its weights, by the name that it knows them by."""
    path = bundle.manifest.graphs[precision][graph].path
    verify(bundle, [path, *bundle.manifest.weights(precision)])
    folder.mkdir(parents=True)
    shutil.copyfile(bundle.file(path), folder / MODEL)
    bundle.copy_weights(precision, folder)


def _config(name: str, session: onnxruntime.InferenceSession, decoding: Decoding, threads: int) -> Iterator[str]:
    """The lines of config.pbtxt; a comment tells the bundle's default of an option."""
    yield f"name: {json.dumps(name)}"
    yield 'backend: "onnxruntime"'
    yield f'default_model_filename: "{MODEL}"'
    yield "max_batch_size: 0"
    for kind, tensors in (("input", session.get_inputs()), ("output", session.get_outputs())):
        yield from (_tensor(kind, tensor, decoding) for tensor in tensors)
    yield "instance_group { kind: KIND_CPU count: 1 }"
    yield f'parameters {{ key: "intra_op_thread_count" value {{ string_value: "{threads}" }} }}'


def _tensor(kind: str, tensor: Any, decoding: Decoding) -> str:
    """An input or output: sizes that only a call knows are -1, and a scalar is a vector of one number."""
    sizes = ", ".join(str(size) if isinstance(size, int) else "-1" for size in tensor.shape) or "1"
    defaults = {**dict(decoding), **decoding.own, "with_scores": decoding.scores}
    is_option = kind == "input" and tensor.name in defaults  # "scores" is an output, too
    default = f"  # in the bundle {defaults[tensor.name]}" if is_option else ""
    return f'{kind} {{ name: "{tensor.name}" data_type: {_TYPES[tensor.type]} dims: [{sizes}] }}{default}'

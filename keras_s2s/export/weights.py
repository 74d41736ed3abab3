"""The weights of graphs in a file beside them, each stored once.

A written graph names the file, as ONNX wants it; in memory a tensor says where the file is, so that its values can be
had wherever it goes.
"""

import hashlib
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from onnx import GraphProto, TensorProto, helper, numpy_helper

WEIGHTS_FILE = "weights.bin"

# Tensors below this many bytes stay in the graph's own file.
_INLINE_BYTES = 1024
_ALIGNMENT = 64


class WeightsFile:
    """A file of weights in the making.

    Args:
        folder: of the graphs; it is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._path = folder / WEIGHTS_FILE
        self._file = self._path.open("wb")  # closed by `__exit__`
        self._places: dict[bytes, int] = {}
        self._variables: dict[tuple[int, bool], TensorProto] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def of(self, tensor: TensorProto) -> TensorProto:
        """The tensor with its data in the file; a small one as it is, and one whose data are there already."""
        if size_of(tensor) < _INLINE_BYTES or _location(tensor) == str(self._path):
            return tensor
        return self._stored(tensor.name, values_of(tensor))

    def of_variable(self, name: str, variable: Any, transposed: bool) -> TensorProto:
        """A tensor of this name with the values of a variable, which is read once, whatever the number of its graphs.

        Args:
            name: of the tensor.
            variable: lives at least as long as this object is used.
            transposed: whether the tensor is the variable's transpose.
        """
        key = id(variable), transposed
        if key not in self._variables:
            values = variable.numpy()
            self._variables[key] = self.of_array(name, values.T if transposed else values)
        result = TensorProto()
        result.CopyFrom(self._variables[key])
        result.name = name
        return result

    def of_array(self, name: str, values: np.ndarray) -> TensorProto:
        """A tensor of this name with these values."""
        values = np.ascontiguousarray(values)
        return numpy_helper.from_array(values, name) if values.nbytes < _INLINE_BYTES else self._stored(name, values)

    def _stored(self, name: str, values: np.ndarray) -> TensorProto:
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        result = TensorProto(name=name, data_type=kind, dims=values.shape, data_location=TensorProto.EXTERNAL)
        place = {"location": str(self._path), "offset": str(self._place(values)), "length": str(values.nbytes)}
        for key, entry in place.items():
            result.external_data.add(key=key, value=entry)
        return result

    def _place(self, values: np.ndarray) -> int:
        """By content alone: two graphs of an ensemble may name its models' weights the other way round."""
        data = values.reshape(-1).view("uint8").data
        digest = hashlib.sha256(data).digest()
        if digest not in self._places:
            self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
            self._places[digest] = self._file.tell()
            self._file.write(data)
            self._file.flush()  # It may be read before it is complete.
        return self._places[digest]


def values_of(tensor: TensorProto) -> np.ndarray:
    """The values of a tensor, read-only; those in a file are mapped."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    place = {entry.key: entry.value for entry in tensor.external_data}
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.memmap(place["location"], kind, "r", int(place["offset"]), tuple(tensor.dims))


def size_of(tensor: TensorProto) -> int:
    """Bytes of the values of a tensor."""
    return math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def folder_of(graph: GraphProto) -> Path | None:
    """The folder of the file that a graph's weights lie in; None if the graph holds them."""
    return next((Path(location).parent for tensor in graph.initializer if (location := _location(tensor))), None)


def _location(tensor: TensorProto) -> str:
    """Of the file with its values; "" if it holds them."""
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def locate(tensors: Iterable[TensorProto], folder: str | os.PathLike[str]) -> None:
    """Says of tensors in files in which folder these are: "" for how a graph is written."""
    for entry in (entry for tensor in tensors for entry in tensor.external_data if entry.key == "location"):
        entry.value = os.path.join(folder, os.path.basename(entry.value))

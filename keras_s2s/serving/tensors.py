"""Tensors of the Open Inference Protocol, in JSON or as bytes after it."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.inference_schemas import InferRequest, InputTensor, OutputTensor, TensorParameters

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header that says how many bytes of a body are JSON; all after them are tensors."""


class Output(NamedTuple):
    """A tensor as it is sent: its part of the JSON, and its bytes after it."""

    tensor: OutputTensor
    raw: bytes


def split(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body, and the bytes after it.

    Args:
        body: of a request.
        length: the value of `HEADER_LENGTH`, or None.

    Raises:
        HTTPProblem: a length that is no number, or more than there is.
    """
    if length is None:
        return body, b""
    if not (length.isascii() and length.isdecimal() and len(length) < 20 and 0 < int(length) <= len(body)):
        raise HTTPProblem(
            422,
            f"{HEADER_LENGTH}: '{length[:40]}', expected how many of the {len(body)} bytes are JSON; "
            "a request without JSON is not taken",
        )
    return body[: int(length)], body[int(length) :]


def read_texts(asked: InferRequest, raw: bytes) -> dict[str, list[str]]:
    """The inputs of a request by name.

    Args:
        asked: its JSON.
        raw: what stands after it.

    Raises:
        HTTPProblem: an input twice, or none of "text"; a wrong shape, number of bytes, or text.
    """
    found: dict[str, list[str]] = {}
    for tensor in asked.inputs:
        if tensor.name in found:
            raise _wrong(tensor.name, "given twice")
        found[tensor.name], raw = _read(tensor, raw)
    if raw:
        raise HTTPProblem(422, f"inputs: {len(raw)} bytes more than the sizes in 'binary_data_size' add up to")
    if "text" not in found:
        raise HTTPProblem(422, "inputs: 'text' is missing")
    return found


def write_texts(name: str, rows: Sequence[Sequence[str]], binary: bool) -> Output:
    """Texts as a tensor of BYTES."""
    values = [text for row in rows for text in row]
    raw = b"".join(struct.pack("<I", len(value)) + value for value in map(str.encode, values))
    return _output(name, "BYTES", [len(rows), len(rows[0])], values, raw if binary else None)


def write_numbers(name: str, rows: Sequence[Sequence[float]], binary: bool) -> Output:
    """Numbers as a tensor of FP32."""
    numbers = np.asarray(rows, dtype="<f4")
    return _output(name, "FP32", list(numbers.shape), numbers.ravel().tolist(), numbers.tobytes() if binary else None)


def _output(name: str, datatype: str, shape: list[int], values: list[Any], raw: bytes | None) -> Output:
    if raw is None:
        return Output(OutputTensor(name=name, datatype=datatype, shape=shape, data=values), b"")
    size = TensorParameters(binary_data_size=len(raw))
    return Output(OutputTensor(name=name, datatype=datatype, shape=shape, parameters=size), raw)


def _read(tensor: InputTensor, raw: bytes) -> tuple[list[str], bytes]:
    """The values of a tensor, and the bytes that are not its own."""
    size = None if tensor.parameters is None else tensor.parameters.binary_data_size
    values = tensor.data or []
    if (size is None) == (tensor.data is None):
        raise _wrong(tensor.name, f"expected either 'data', or 'binary_data_size' and the header {HEADER_LENGTH}")
    if size is not None:
        if size > len(raw):
            raise _wrong(tensor.name, f"binary_data_size {size}, but {len(raw)} bytes are left after the JSON")
        values, raw = _unpacked(tensor.name, raw[:size]), raw[size:]
    if tensor.shape[1:] not in ([], [1]):
        raise _wrong(tensor.name, f"shape {tensor.shape}, expected [n] or [n, 1] for n texts")
    if tensor.shape[0] != len(values):
        raise _wrong(tensor.name, f"shape {tensor.shape} for {len(values)} values")
    return values, raw


def _unpacked(name: str, raw: bytes) -> list[str]:
    """Texts of which each has its number of bytes before it."""
    values: list[str] = []
    place = 0
    while place < len(raw):
        begin = place + 4
        place = begin + (struct.unpack_from("<I", raw, place)[0] if begin <= len(raw) else len(raw))
        if place > len(raw):
            raise _wrong(name, f"value {len(values) + 1} ends after the {len(raw)} bytes of the tensor")
        try:
            values.append(raw[begin:place].decode())
        except UnicodeDecodeError:
            raise _wrong(name, f"value {len(values) + 1} is no UTF-8") from None
    return values


def _wrong(name: str, why: str) -> HTTPProblem:
    return HTTPProblem(422, f"inputs: {name}: {why}")

"""Execution providers: the hardware that onnxruntime computes graphs on."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import onnxruntime

from keras_s2s.errors import UserError

_SILENT, _DEFAULT_SEVERITY = 4, 2
# y = Identity(x), of scalars, as ONNX's bytes.
_IDENTITY = (
    b'\x08\x08:1\n\x12\n\x01x\x12\x01y"\x08Identity:\x00\x12\x01aZ\x0b\n\x01x\x12\x06\n\x04\x08\x01\x12\x00'
    b"b\x0b\n\x01y\x12\x06\n\x04\x08\x01\x12\x00B\x04\n\x00\x10\r"
)


@dataclass(frozen=True)
class Provider:
    """An execution provider of onnxruntime.

    Attributes:
        name: onnxruntime's name for it.
        precisions: those of a bundle's graphs that suit it, best first. Unless a call names one, the first that the
            bundle has is used.
        needs: what a machine must have for it, for the error message of one that does not.
        options: of onnxruntime for it.
    """

    name: str
    precisions: Sequence[str]
    needs: str
    options: Mapping[str, str] = field(default_factory=dict)


CPU = "cpu"
PROVIDERS: dict[str, Provider] = {
    CPU: Provider("CPUExecutionProvider", ["int8"], "onnxruntime"),
    "cuda": Provider(
        "CUDAExecutionProvider",
        ["fp16", "fp32"],
        "the package onnxruntime-gpu, an NVIDIA GPU with its driver, and the CUDA and cuDNN libraries of "
        "https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html",
    ),
}
"""Execution providers by the names that users give. A new entry is one more choice everywhere."""


def find_providers(names: Sequence[str]) -> list[Provider]:
    """Entries of `PROVIDERS`.

    Args:
        names: at least one, the preferred one first. Operators that it lacks are computed by the next one, and at last
            by the CPU.

    Raises:
        UserError: an unknown name, or a provider that is not part of the installed onnxruntime.
    """
    if isinstance(names, str) or not names:
        raise UserError(f"providers: expected a list of names, such as ['{CPU}'], got {names!r}")
    for name in names:
        if name not in PROVIDERS:
            raise UserError(f"provider: no '{name}'; there are {', '.join(PROVIDERS)}")
        if PROVIDERS[name].name not in onnxruntime.get_available_providers():
            raise _missing(name, f"the installed onnxruntime has no {PROVIDERS[name].name}")
    return [PROVIDERS[name] for name in names]


def choose_precision(asked: str | None, providers: Sequence[str], there: Collection[str]) -> str:
    """The precision of the graphs to use.

    Args:
        asked: is taken if it is not None.
        providers: names; the first one decides.
        there: precisions of the bundle.

    Raises:
        UserError: as `find_providers`.
    """
    suitable = find_providers(providers)[0].precisions
    return asked or next((precision for precision in suitable if precision in there), suitable[-1])


def check_providers(names: Sequence[str]) -> None:
    """Looks whether this machine can compute on providers, before anything is loaded.

    Raises:
        UserError: as `make_session`.
    """
    if list(names) != [CPU]:
        make_session(_IDENTITY, onnxruntime.SessionOptions(), names)


def make_session(
    model: str | os.PathLike[str] | bytes, options: onnxruntime.SessionOptions, providers: Sequence[str] = (CPU,)
) -> onnxruntime.InferenceSession:
    """Makes a session that computes on these providers, never on others in their place.

    Args:
        model: the .onnx file, or its content.
        options: of the session.
        providers: names of `PROVIDERS`, the preferred one first.

    Raises:
        UserError: as `find_providers`, or onnxruntime cannot use one of them on this machine.
    """
    source = model if isinstance(model, bytes) else os.fspath(model)
    if list(providers) == [CPU]:
        return onnxruntime.InferenceSession(source, options, providers=[PROVIDERS[CPU].name])
    found = find_providers(providers)
    try:
        with _without_warnings():
            session = onnxruntime.InferenceSession(
                source,
                options,
                providers=[provider.name for provider in found],
                provider_options=[dict(provider.options) for provider in found],
                enable_fallback=0,
            )
    except Exception as error:
        raise _missing(providers[0], f"onnxruntime says '{str(error).strip().splitlines()[0]}'") from error
    # A provider whose libraries cannot be loaded is left out with no more than a line in onnxruntime's log.
    got = session.get_providers()
    for name, provider in zip(providers, found, strict=True):
        if provider.name not in got:
            raise _missing(name, "onnxruntime sees no such device, or cannot load its libraries")
    return session


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keeps out of the log what the error of a provider that was left out says in one line."""
    onnxruntime.set_default_logger_severity(_SILENT)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(_DEFAULT_SEVERITY)


def _missing(name: str, why: str) -> UserError:
    return UserError(
        f"provider '{name}': {why}; it needs {PROVIDERS[name].needs}; install what is missing, or choose '{CPU}'"
    )

"""`generate` over Ray Data: windows of the input go to the cores of a cluster, and come back in order."""

import contextlib
import io
import itertools
import logging
import os
import pickle
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keras_s2s.cli.files import content, open_file, utf8_lines
from keras_s2s.cli.packages import needed_packages
from keras_s2s.cli.work import Work, more_prefixes
from keras_s2s.errors import UserError

logger = logging.getLogger(__name__)


def connect(work: Work) -> None:
    """Takes the cluster that there is, or starts one on this machine.

    Raises:
        UserError: the input is no file, Ray is missing, or nobody answers where a cluster shall be.
    """
    if not work.can_be_repeated:
        raise UserError("--ray: reads its input in parts; give files with --input and --prefix")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Of what Ray says only what it raises.
    with needed_packages("generate --ray", "ray"):
        import ray.data
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    _check_address(os.environ.get("RAY_ADDRESS", ""))
    ray.init(log_to_driver=False, logging_level=logging.ERROR)


def _check_address(address: str) -> None:
    """Looks whether somebody answers; Ray would ask for minutes."""
    if address in ("", "auto", "local"):
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError):
        raise UserError(
            f"--ray: nobody answers at RAY_ADDRESS, '{address}'; expected HOST:PORT of a cluster that has this machine"
        ) from None


def done(work: Work, before: int, cores: int | None) -> Iterator[tuple[int, bytes]]:
    """Does the work on the cluster; results are those of `Work.done_here`.

    Args:
        work: its input is read here, its bundle on every node.
        before: how many lines are done, whole windows of them.
        cores: of the cluster; None is all.

    Raises:
        UserError: as `Work.done_here`, or a node finds no bundle.
    """
    parts = list(itertools.islice(_parts(work), before // work.window, None))
    for result in _results(work, parts, cores):
        for warning in result.warnings:
            logger.warning(warning)
        yield len(result.texts), b"".join(result.texts)
        if result.error is not None:
            raise UserError(result.error)
    if work.prefix is not None and work.content is not None and content(work.prefix).lines > work.content.lines:
        raise more_prefixes(work.prefix)


def _results(work: Work, parts: list[dict[str, int]], cores: int | None) -> Iterator["_Result"]:
    """What becomes of each part, in order."""
    import ray

    if not parts:
        return
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    work = replace(work, bundle=work.bundle.absolute())
    # A part says where lines stand. They are read on this node, which alone need have the input.
    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    workers = ray.data.ActorPoolStrategy(size=min(cores or int(ray.cluster_resources()["CPU"]), len(parts)))
    read: Any = _read
    decode: Any = _Decoder
    found = (
        ray.data.from_items(parts, override_num_blocks=len(parts))
        .map(read, fn_args=[work], num_cpus=0, label_selector=here, compute=ray.data.TaskPoolStrategy(size=2))
        .map(decode, fn_constructor_args=[work], num_cpus=1, compute=workers)
    )
    for row in found.iter_rows():
        yield pickle.loads(row["result"])


@dataclass
class _Result:
    """What became of a part: the output of each line, and why there are not more of them."""

    texts: list[bytes] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None


class _Decoder:
    """What runs on each core: a part in, its `_Result` out."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._generator: Any = None

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        result = _Result()
        with _warnings_to(result.warnings):
            try:
                for text in self._texts(part):
                    result.texts.append(text)
            except UserError as error:
                result.error = str(error)
        return {"result": pickle.dumps(result)}

    def _texts(self, part: dict[str, Any]) -> Iterator[bytes]:
        from keras_s2s.runtime import Generator

        work, first = self._work, part["first"]
        if self._generator is None:
            self._generator = Generator.load(work.bundle, work.precision, threads=1)
        lines = utf8_lines(io.BytesIO(part["lines"]), str(work.input), first)
        begins = None if work.prefix is None else utf8_lines(io.BytesIO(part["begins"]), str(work.prefix), first)
        return work.texts(self._generator, lines, begins, first, full=True)


def _parts(work: Work) -> Iterator[dict[str, int]]:
    """Of each window of the input the number of its first line, and where it and its prefixes stand in their files."""
    begins = iter(()) if work.prefix is None else _windows(work.prefix, work.window)
    for number, (start, size) in enumerate(_windows(work.input, work.window)):
        begin, begin_size = next(begins, (0, 0))
        first = 1 + number * work.window
        yield {"first": first, "start": start, "size": size, "begin": begin, "begin_size": begin_size}


def _windows(path: Path, lines: int) -> Iterator[tuple[int, int]]:
    """Start and size, in bytes, of so many lines of a file after the other."""
    start = 0
    with open_file(path, "rb") as file:
        while size := sum(map(len, itertools.islice(file, lines))):
            yield start, size
            start += size


def _read(part: dict[str, Any], work: Work) -> dict[str, Any]:
    """The bytes that a part says where to find."""
    begins = b"" if work.prefix is None else _bytes(work.prefix, part["begin"], part["begin_size"])
    return {"first": part["first"], "lines": _bytes(work.input, part["start"], part["size"]), "begins": begins}


def _bytes(path: Path, start: int, size: int) -> bytes:
    with open_file(path, "rb") as file:
        file.seek(start)
        return file.read(size)


@contextlib.contextmanager
def _warnings_to(messages: list[str]) -> Iterator[None]:
    """Keeps what the package logs as warnings."""
    package, handler = logging.getLogger("keras_s2s"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)

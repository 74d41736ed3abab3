"""`generate` over Ray Data: windows of the input go to the cores of a cluster, and come back in order."""

import contextlib
import io
import itertools
import logging
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keras_s2s.cli import ray_cluster
from keras_s2s.cli.files import content, open_to_read, utf8_lines
from keras_s2s.cli.output_form import Part
from keras_s2s.cli.work import Work, more_prefixes
from keras_s2s.errors import UserError
from keras_s2s.text.files import unpacked

logger = logging.getLogger(__name__)


def connect(work: Work) -> None:
    """Takes the cluster that there is, or starts one on this machine.

    Raises:
        UserError: the input is no file; or as `ray_cluster.connect`.
    """
    if not work.can_be_repeated:
        raise UserError("--ray: reads its input in parts; give files with --input and --prefix")
    ray_cluster.connect("generate", "ray.data")


def done(work: Work, before: int, cores: int | None) -> Iterator[Part]:
    """Does the work on the cluster; results are those of `Work.done_here`, many at once.

    Args:
        work: its input is read here, its bundle on every node.
        before: how many lines are done, whole windows of them.
        cores: of the cluster; None is all.

    Raises:
        UserError: as `Work.done_here`, or a node finds no bundle.
    """
    with _seekable(work.input) as lines, _seekable(work.prefix) as begins:
        windows = list(itertools.islice(_windows(work.window, lines, begins), before // work.window, None))
        for result in _results(work, windows, cores):
            for warning in result.warnings:
                logger.warning(warning)
            yield from result.parts
            if result.error is not None:
                raise UserError(result.error)
    if work.prefix is not None and work.content is not None and content(work.prefix).lines > work.content.lines:
        raise more_prefixes(work.prefix)


def _results(work: Work, windows: list[dict[str, Any]], cores: int | None) -> Iterator["_Result"]:
    """The result of each window, in order."""
    import ray

    if not windows:
        return
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    work = replace(work, bundle=work.bundle.absolute())
    # A window says where lines stand. They are read on this node, which alone need have the input.
    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    workers = ray.data.ActorPoolStrategy(size=min(cores or int(ray.cluster_resources()["CPU"]), len(windows)))
    read: Any = _read
    decode: Any = _Decoder
    found = (
        ray.data.from_items(windows, override_num_blocks=len(windows))
        .map(read, num_cpus=0, label_selector=here, compute=ray.data.TaskPoolStrategy(size=2))
        .map(decode, fn_constructor_args=[work], num_cpus=1, compute=workers)
    )
    for row in found.iter_rows():
        yield pickle.loads(row["result"])


@dataclass
class _Result:
    """The result of a window: the output of each line, warnings, and the error that stopped it."""

    parts: list[Part] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None


class _Decoder:
    """The worker on each core: decodes a window into a `_Result`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._generator: Any = None

    def __call__(self, window: dict[str, Any]) -> dict[str, Any]:
        result = _Result()
        with _warnings_to(result.warnings):
            try:
                for part in self._parts(window):
                    result.parts.append(part)
            except UserError as error:
                result.error = str(error)
        return {"result": pickle.dumps(result)}

    def _parts(self, window: dict[str, Any]) -> Iterator[Part]:
        from keras_s2s.runtime import Generator

        work, first = self._work, window["first"]
        if self._generator is None:
            self._generator = Generator.load(work.bundle, work.precision, threads=1)
        lines = utf8_lines(io.BytesIO(window["lines"]), str(work.input), first)
        begins = None if work.prefix is None else utf8_lines(io.BytesIO(window["begins"]), str(work.prefix), first)
        return work.parts(self._generator, lines, begins, first, full=True)


@contextlib.contextmanager
def _seekable(path: Path | None) -> Iterator[Path | None]:
    """A file that can be read from any place on: of a compressed one a copy, while the block lasts."""
    if path is None:
        yield None
        return
    with unpacked(open_to_read(path), str(path)) as file:
        if isinstance(file, io.BufferedReader):
            yield path.absolute()
            return
        with tempfile.NamedTemporaryFile(prefix="keras-s2s-") as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            yield Path(copy.name)


def _windows(size: int, lines: Path | None, begins: Path | None) -> Iterator[dict[str, Any]]:
    """Of each window the number of its first line, and where it and its prefixes stand in their files."""
    of_begins = _places(begins, size)
    for number, place in enumerate(_places(lines, size)):
        yield {"first": 1 + number * size, "lines": place, "begins": next(of_begins, None)}


def _places(path: Path | None, lines: int) -> Iterator[tuple[str, int, int]]:
    """Of so many lines of a file after the other: its name, and where they start and how many bytes they have."""
    if path is None:
        return
    start = 0
    with open_to_read(path) as file:
        while size := sum(map(len, itertools.islice(file, lines))):
            yield str(path), start, size
            start += size


def _read(window: dict[str, Any]) -> dict[str, Any]:
    """The bytes that a window says where to find."""
    return {**window, **{name: _bytes(*(window[name] or ("", 0, 0))) for name in ("lines", "begins")}}


def _bytes(path: str, start: int, size: int) -> bytes:
    if not size:
        return b""
    with open_to_read(Path(path)) as file:
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

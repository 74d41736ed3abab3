"""A bundle, checked before its graphs are used, and its graphs, wherever links say that its files lie."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import onnxruntime

from keras_s2s.bundle import Bundle, read, verify
from keras_s2s.errors import UserError
from keras_s2s.runtime.graph import Graph
from keras_s2s.runtime.providers import CPU, check_providers, choose_precision
from keras_s2s.runtime.safety import check_graphs, has_weights_inside


def open_bundle(
    path: str | os.PathLike[str], precision: str | None, threads: int | None, providers: Sequence[str] = (CPU,)
) -> tuple[Bundle, str]:
    """Reads a bundle and checks that its graphs of a precision can be used.

    Returns:
        The bundle, and the precision: the one that was asked for, or else the one that suits the providers.

    Raises:
        UserError: no bundle, a wrong key or hash, an unknown precision, a provider that this machine does not have, no
            threads, an onnxruntime that is too old, or as `check_graphs`.
    """
    bundle = read(path)
    if threads is not None and threads < 1:
        raise UserError(f"threads: expected at least 1, got {threads}")
    _check_onnxruntime(bundle)
    check_providers(providers)
    precision = choose_precision(precision, providers, bundle.manifest.graphs)
    verify(bundle, _needed(bundle, precision))
    check_graphs(bundle, precision)
    return bundle, precision


def load_graph(
    bundle: Bundle, precision: str, name: str, threads: int | None, providers: Sequence[str] = (CPU,)
) -> Graph:
    """Loads a graph of a bundle that `open_bundle` has checked.

    onnxruntime maps weights into memory that are files of their own. It refuses weights behind a symbolic link from
    1.24 on, and from 1.25 on, if they are those of a loop's body, with a second hard link, too. Of linked weights this
    reads the bytes, checks their SHA-256 once more, and gives them to onnxruntime from memory. If a loop's body has
    weights in a file, as in bundles of older exports, they have to be a file: a copy that is there while it loads.

    Args:
        bundle: as `open_bundle` gives it.
        precision: of the graph.
        name: of the graph, which the bundle has.
        threads: how many threads one operator may use; None leaves it to onnxruntime.
        providers: names of `PROVIDERS`, the preferred one first.

    Raises:
        UserError: a linked file is another one by now, there is no room for the copy, or a provider cannot be used.
    """
    path = bundle.graphs(precision)[name].path
    folder = PurePosixPath(path).parent
    weights = [other for other in bundle.manifest.weights(precision) if PurePosixPath(other).parent == folder]
    linked, hard_linked = (any(map(how, map(bundle.file, weights))) for how in (Path.is_symlink, _is_hard_linked))
    if not linked and not (hard_linked and has_weights_inside(bundle.content(path))):
        return Graph(bundle.file(path), threads, providers=providers)
    contents = {PurePosixPath(file).name: bundle.content(file) for file in (path, *weights)}
    model = PurePosixPath(path).name
    if has_weights_inside(contents[model]) or not _READS_MEMORY:
        return _from_copy(bundle, contents, model, threads, providers)
    return Graph(contents.pop(model), threads, contents, providers)


# Python's part of onnxruntime has this from 1.24 on.
_READS_MEMORY = hasattr(onnxruntime.SessionOptions, "add_external_initializers_from_files_in_memory")


def _is_hard_linked(file: Path) -> bool:
    return file.stat().st_nlink > 1


def _from_copy(
    bundle: Bundle, contents: Mapping[str, bytes], model: str, threads: int | None, providers: Sequence[str]
) -> Graph:
    """Loads a graph from a folder that is there only meanwhile: what is mapped into memory stays when it goes."""
    try:
        with tempfile.TemporaryDirectory(prefix="keras-s2s-", ignore_cleanup_errors=True) as folder:
            for name, content in contents.items():
                Path(folder, name).write_bytes(content)
            return Graph(Path(folder, model), threads, providers=providers)
    except OSError as error:
        raise UserError(
            f"{bundle.path}: its weights are links, which takes a copy in a temporary folder: {error}; set TMPDIR to a "
            "folder that can be written, put copies in the place of the links, or export the bundle again"
        ) from None


def _needed(bundle: Bundle, precision: str) -> list[str]:
    """The tokenizers, the graphs of this precision, and the weights that lie beside them."""
    manifest = bundle.manifest
    graphs = [graph.path for graph in bundle.graphs(precision).values()]
    weights = manifest.weights(precision)
    shortlists = [] if manifest.shortlist is None else [manifest.shortlist.path]
    return [manifest.tokenizers.source.path, manifest.tokenizers.target.path, *shortlists, *graphs, *weights]


def _check_onnxruntime(bundle: Bundle) -> None:
    minimum, installed = bundle.manifest.minimum_onnxruntime, onnxruntime.__version__
    if _release(installed) < _release(minimum):
        raise UserError(f"{bundle.path}: needs onnxruntime {minimum} or newer; {installed} is installed, upgrade it")


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return (*numbers, *[0] * (3 - len(numbers)))

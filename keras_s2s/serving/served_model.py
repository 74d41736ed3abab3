"""A bundle as the server holds it: a private copy, and the plans of its options."""

import contextlib
import math
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from keras_s2s.bundle import MANIFEST, Bundle, Manifest, read
from keras_s2s.errors import UserError
from keras_s2s.runtime import Generator
from keras_s2s.runtime.options import find_graph
from keras_s2s.runtime.providers import choose_precision
from keras_s2s.serving.plan_cache import PlanCache
from keras_s2s.serving.statistics import Statistics


class ServedModel:
    """A bundle whose files nobody changes: what is served is a private copy, removed when nobody uses it any more.

    onnxruntime maps weights into memory, so a file that is written over would change what a running model says. The
    copy's graphs are loaded by workers; this process only reads texts and options, and writes what came out.

    Args:
        path: the bundle's folder.
        precision: which of its graphs; None is the one that suits the provider.
        provider: of the workers.
        number: by which workers know it.

    Attributes:
        name: of the folder.
        number: by which workers know it.
        folder: of the copy.
        generator: of the copy.
        plan: `Generator.plan`, cached.
        default: the graph that requests without options need.
        statistics: of its requests.

    Raises:
        UserError: no bundle, a wrong key or hash, an unknown precision, no graph for its defaults, or no room for a
            copy.
    """

    def __init__(self, path: Path, precision: str | None, provider: str, number: int) -> None:
        self.name, self.number = path.resolve().name, number
        original = read(path)
        self._copy = _private_copy(original)
        self.folder = self._copy.name
        precision = choose_precision(precision, [provider], original.manifest.graphs)
        self.generator = Generator.load(self.folder, precision)  # On the CPU, as it runs no graph.
        self.plan = PlanCache(self.generator)
        self.default = self.plan({}, False).graph
        self.statistics = Statistics()

    @property
    def manifest(self) -> Manifest:
        """Of the bundle."""
        return self.generator.bundle.manifest

    def has_steps(self, graph: str) -> bool:
        """Whether a graph's search can be made a step at a time."""
        return self.generator.bundle.has_steps(graph, self.generator.precision)

    @property
    def takes_prefixes(self) -> bool:
        """Whether outputs of requests without options can be told how to begin."""
        try:
            self.plan({}, True)
        except UserError:
            return False
        return True

    def check_scores(self) -> None:
        """Looks whether outputs can be scored.

        Raises:
            UserError: the bundle has no graph "score".
        """
        find_graph(self.generator.bundle, self.generator.precision, "score")


def _private_copy(bundle: Bundle) -> tempfile.TemporaryDirectory[str]:
    """A copy of what bundle.json names and needs no TensorFlow, in a folder that goes when nobody has it any more."""
    paths = [path for path in bundle.manifest.hashes if PurePosixPath(path).parts[0] != "saved_model"]
    files = {path: bundle.file(path) for path in paths} | {MANIFEST: bundle.path / MANIFEST}
    try:
        with contextlib.ExitStack() as on_failure:
            folder = tempfile.TemporaryDirectory(prefix="keras-s2s-")
            on_failure.callback(folder.cleanup)
            for path, file in files.items():
                copy = Path(folder.name, path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
            on_failure.pop_all()
    except OSError as error:
        megabytes = math.ceil(sum(file.stat().st_size for file in files.values()) / 1e6)
        raise UserError(
            f"{bundle.path}: a server works with a copy, and none can be made: {error.strerror}; "
            f"set TMPDIR to a folder that can be written and has {megabytes} MB free"
        ) from None
    return folder

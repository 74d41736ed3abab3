"""A bundle as a server holds it: a private copy, and what its options mean."""

import shutil
import tempfile
from pathlib import Path, PurePosixPath

from keras_s2s.bundle import MANIFEST, Bundle, Manifest, read
from keras_s2s.errors import UserError
from keras_s2s.runtime import Generator
from keras_s2s.runtime.options import find_graph
from keras_s2s.serving.plans import Plans
from keras_s2s.serving.statistics import Statistics


class Loaded:
    """A bundle whose files nobody changes: what is served is a private copy, removed when nobody uses it any more.

    onnxruntime maps weights into memory, so a file that is written over would change what a running model says. The
    copy's graphs are loaded by workers; this process only reads texts and options, and writes what came out.

    Args:
        path: the bundle's folder.
        precision: which of its graphs.
        number: by which workers know it.

    Attributes:
        name: of the folder.
        number: by which workers know it.
        folder: of the copy.
        generator: of the copy.
        plan: `Generator.plan`, remembered.
        default: the graph that requests without options need.
        statistics: of its requests.

    Raises:
        UserError: no bundle, a wrong key or hash, an unknown precision, or no graph for its defaults.
    """

    def __init__(self, path: Path, precision: str, number: int) -> None:
        self.name, self.number = path.resolve().name, number
        self._copy = tempfile.TemporaryDirectory(prefix="keras-s2s-")
        self.folder = self._copy.name
        _copy(read(path), Path(self.folder))
        self.generator = Generator.load(self.folder, precision)
        self.plan = Plans(self.generator)
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


def _copy(bundle: Bundle, folder: Path) -> None:
    """Copies what bundle.json names, and nothing of it that needs TensorFlow."""
    shutil.copyfile(bundle.path / MANIFEST, folder / MANIFEST)
    for path in bundle.manifest.hashes:
        if PurePosixPath(path).parts[0] == "saved_model":
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.file(path), folder / path)

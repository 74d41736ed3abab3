"""A bundle as a server holds it: a private copy, with its generator and its lanes."""

import functools
import shutil
import tempfile
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from keras_s2s.bundle import MANIFEST, Bundle, Manifest, read, step_graphs
from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.generator import Plan
from keras_s2s.runtime.options import find_graph
from keras_s2s.serving.jobs import Lane
from keras_s2s.serving.lanes import StepLane, WholeLane

_NOT_OF_A_SEARCH = {"alignment": False, "replace_unknown": False}


@dataclass(frozen=True)
class How:
    """How a bundle is loaded.

    Attributes:
        precision: which of its graphs.
        threads: of an operator.
        batch_size: the most texts of a batch.
    """

    precision: str
    threads: int
    batch_size: int


class Loaded:
    """A bundle whose files nobody changes: what is served is a private copy, removed when nobody uses it any more.

    onnxruntime maps weights into memory, so a file that is written over would change what a running model says.

    Args:
        path: the bundle's folder.
        how: it is loaded.

    Attributes:
        name: of the folder.
        generator: of the copy.

    Raises:
        UserError: no bundle, a wrong key or hash, an unknown precision.
    """

    def __init__(self, path: Path, how: How) -> None:
        self.name = path.resolve().name
        self._how = how
        self._folder = tempfile.TemporaryDirectory(prefix="keras-s2s-")
        copy = Path(self._folder.name)
        _copy(read(path), copy)
        self.generator = Generator.load(copy, how.precision, how.threads)
        self._steps: dict[str, Steps] = {}
        self._opening = threading.Lock()
        self.plan = functools.lru_cache(maxsize=256)(self._plan)

    @property
    def manifest(self) -> Manifest:
        """Of the bundle."""
        return self.generator.bundle.manifest

    def has_steps(self, graph: str) -> bool:
        """Whether a graph's search can be made a step at a time."""
        there = self.generator.bundle.graphs(self._how.precision)
        return graph in self.manifest.steps and all(name in there for name in step_graphs(graph).values())

    def check_scores(self) -> None:
        """Looks whether outputs can be scored.

        Raises:
            UserError: the bundle has no graph "score".
        """
        find_graph(self.generator.bundle, self._how.precision, "score")

    def stepwise(self, plan: Plan) -> tuple[Hashable, Callable[[], Lane]]:
        """What the texts of a batch have in common that is decoded a step at a time, and what makes its lane."""
        steps = self._steps_of(plan.graph)
        key = (self, plan.graph, *steps.shared(plan.options, plan.suppressed))
        return key, lambda: StepLane(steps, plan.options, plan.suppressed)

    def whole(self, plan: Plan) -> tuple[Hashable, Callable[[], Lane]]:
        """The same of batches that are decoded from beginning to end."""
        search = lambda batch: self.generator.search(batch, plan)  # noqa: E731
        key = (self, plan.graph, plan.options.model_copy(update=_NOT_OF_A_SEARCH))
        return key, lambda: WholeLane(search, lambda found: len(found[0].tokens) + 1, self._how.batch_size)

    def scored(self) -> tuple[Hashable, Callable[[], Lane]]:
        """The same of batches of pairs."""
        score = self.generator.score_pairs
        return (self, "score"), lambda: WholeLane(score, lambda found: len(found.token_scores), self._how.batch_size)

    def _plan(self, options: tuple[tuple[str, Any], ...], prefixed: bool) -> Plan:
        return self.generator.plan(dict(options), prefixed)

    def _steps_of(self, graph: str) -> Steps:
        with self._opening:
            if graph not in self._steps:
                self._steps[graph] = Steps.of(self.generator.bundle, graph, self._how.precision, self._how.threads)
        return self._steps[graph]


def _copy(bundle: Bundle, folder: Path) -> None:
    """Copies what bundle.json names, and nothing of it that needs TensorFlow."""
    shutil.copyfile(bundle.path / MANIFEST, folder / MANIFEST)
    for path in bundle.manifest.hashes:
        if PurePosixPath(path).parts[0] == "saved_model":
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.file(path), folder / path)

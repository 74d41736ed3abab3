"""A bundle as a server holds it: a private copy, with its generator and its lanes."""

import functools
import shutil
import tempfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from keras_s2s.bundle import MANIFEST, Bundle, Manifest, read, step_graphs
from keras_s2s.runtime import Generator, Steps
from keras_s2s.runtime.generator import Plan
from keras_s2s.runtime.graph import Candidates
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
        plan: `Generator.plan` of pairs of names and values; what was asked before is remembered.
        default: the graph that requests without options need.

    Raises:
        UserError: no bundle, a wrong key or hash, an unknown precision, or no graph for its defaults.
    """

    def __init__(self, path: Path, how: How) -> None:
        self.name = path.resolve().name
        self._how = how
        self._folder = tempfile.TemporaryDirectory(prefix="keras-s2s-")
        copy = Path(self._folder.name)
        _copy(read(path), copy)
        self.generator = Generator.load(copy, how.precision, how.threads)
        # All at once, since a graph takes longer to load than the event loop may wait for.
        self._steps = {
            graph: Steps.of(self.generator.bundle, graph, how.precision, how.threads)
            for graph in self.manifest.steps
            if self.generator.bundle.graphs(how.precision).keys() >= set(step_graphs(graph).values())
        }
        self.plan = functools.lru_cache(maxsize=256)(functools.partial(_plan, self.generator))
        self.default = self.plan((), False).graph

    @property
    def manifest(self) -> Manifest:
        """Of the bundle."""
        return self.generator.bundle.manifest

    def has_steps(self, graph: str) -> bool:
        """Whether a graph's search can be made a step at a time."""
        return graph in self._steps

    def check_scores(self) -> None:
        """Looks whether outputs can be scored.

        Raises:
            UserError: the bundle has no graph "score".
        """
        find_graph(self.generator.bundle, self._how.precision, "score")

    def stepwise(self, plan: Plan) -> tuple[Hashable, Callable[[], Lane]]:
        """What the texts of a batch have in common that is decoded a step at a time, and what makes its lane."""
        steps = self._steps[plan.graph]
        key = (self, plan.graph, *steps.shared(plan.options, plan.suppressed))
        return key, lambda: StepLane(steps, plan.options, plan.suppressed)

    def whole(self, plan: Plan) -> tuple[Hashable, Callable[[], Lane]]:
        """The same of batches that are decoded from beginning to end."""
        search = functools.partial(self.generator.search, plan=plan)
        key = (self, plan.graph, plan.options.model_copy(update=_NOT_OF_A_SEARCH))
        return key, lambda: WholeLane(search, _count, self._how.batch_size)

    def scored(self) -> tuple[Hashable, Callable[[], Lane]]:
        """The same of batches of pairs."""
        score = self.generator.score_pairs
        return (self, "score"), lambda: WholeLane(score, lambda found: len(found.token_scores), self._how.batch_size)


def _plan(generator: Generator, options: tuple[tuple[str, Any], ...], prefixed: bool) -> Plan:
    return generator.plan(dict(options), prefixed)


def _count(found: Candidates) -> int:
    """Tokens of the best, its end counted; there may be none."""
    return sum(len(best.tokens) + 1 for best in found[:1])


def _copy(bundle: Bundle, folder: Path) -> None:
    """Copies what bundle.json names, and nothing of it that needs TensorFlow."""
    shutil.copyfile(bundle.path / MANIFEST, folder / MANIFEST)
    for path in bundle.manifest.hashes:
        if PurePosixPath(path).parts[0] == "saved_model":
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.file(path), folder / path)

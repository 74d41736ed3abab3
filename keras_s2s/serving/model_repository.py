"""The models of a server, each of which may be replaced while it serves."""

import asyncio
import itertools
import logging
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_s2s.bundle import MANIFEST
from keras_s2s.errors import UserError
from keras_s2s.serving.http_problem import HTTPProblem
from keras_s2s.serving.metrics import Metrics
from keras_s2s.serving.pool import Pool
from keras_s2s.serving.served_model import ServedModel

logger = logging.getLogger(__name__)

_SECONDS = 1.0
"""Between two looks at the bundles."""


class ModelRepository:
    """Bundles by the names of their folders.

    Args:
        paths: folders of bundles.
        precision: which of their graphs; None is the one that suits the provider.
        provider: of the workers.
        pool: workers, each of which loads all of them.

    Raises:
        UserError: two folders have the same name.
    """

    def __init__(self, paths: Sequence[Path], precision: str | None, provider: str, pool: Pool) -> None:
        self._precision, self._provider, self._pool = precision, provider, pool
        self._numbers = itertools.count()
        self._paths = {path.resolve().name: path for path in paths}
        if len(self._paths) < len(paths):
            raise UserError("two bundles' folders have the same name, by which clients ask for a model; rename one")
        self._stamps: dict[str, tuple[int, ...] | None] = {}
        self._models: dict[str, ServedModel] = {}

    async def load(self) -> None:
        """Loads all of them.

        Raises:
            UserError: as `ServedModel`, or a graph cannot be loaded.
        """
        for name, path in self._paths.items():
            self._stamps[name] = _stamp(path)
            self._models[name] = await self._load(path)

    def __iter__(self) -> Iterator[ServedModel]:
        """All, as they are now."""
        return iter(list(self._models.values()))

    def find(self, name: str | None) -> ServedModel:
        """A model by its name; the only one needs none.

        Raises:
            HTTPProblem: there is none of that name, or several and no name.
        """
        there = ", ".join(self._models)
        if name is None:
            if len(self._models) > 1:
                raise HTTPProblem(422, f"model: this server has several, say which; it has {there}")
            (name,) = self._models
        if name not in self._models:
            raise HTTPProblem(404, f"model: no '{name[:100]}'; this server has {there}")
        return self._models[name]

    async def watch(self, metrics: Metrics) -> None:
        """Looks again and again whether a bundle was replaced; the old one serves until the new one is verified.

        A bundle that cannot be loaded is tried again, as it may still be on its way; the log says once why.
        """
        complaints: dict[str, str] = {}
        while True:
            await asyncio.sleep(_SECONDS)
            for name, path in self._paths.items():
                stamp = _stamp(path)
                if stamp == self._stamps[name]:
                    continue
                try:
                    model = await self._load(path)
                except Exception as error:
                    if complaints.get(name) != str(error):
                        complaints[name] = str(error)
                        metrics.reloaded(name, "failed")
                        logger.error("reload failed", extra={"facts": {"model": name, "error": str(error)}})
                    continue
                complaints.pop(name, None)
                self._models[name], self._stamps[name] = model, stamp
                metrics.reloaded(name, "replaced")
                logger.info("reloaded", extra={"facts": {"model": name, "created": model.manifest.created}})

    async def _load(self, path: Path) -> ServedModel:
        model = await asyncio.to_thread(ServedModel, path, self._precision, self._provider, next(self._numbers))
        await self._pool.load(model.number, model.folder)
        loop, number = asyncio.get_running_loop(), model.number

        def forget() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._pool.forget, number)

        # That the last request of a bundle is done is told by Python alone, in whichever thread.
        weakref.finalize(model, forget).atexit = False
        return model


def _stamp(path: Path) -> tuple[int, ...] | None:
    """A value that changes when bundle.json becomes another file; None where there is none."""
    try:
        found = (path / MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

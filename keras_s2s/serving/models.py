"""The models of a server, each of which may be replaced while it serves."""

import asyncio
import itertools
import logging
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_s2s.bundle import MANIFEST
from keras_s2s.errors import UserError
from keras_s2s.serving.loaded import Loaded
from keras_s2s.serving.meter import Meter
from keras_s2s.serving.pool import Pool
from keras_s2s.serving.refusal import Refusal

logger = logging.getLogger(__name__)

_SECONDS = 1.0
"""Between two looks at the bundles."""


class Models:
    """Bundles by the names of their folders.

    Args:
        paths: folders of bundles.
        precision: which of their graphs.
        pool: workers, each of which loads all of them.

    Raises:
        UserError: two folders have the same name.
    """

    def __init__(self, paths: Sequence[Path], precision: str, pool: Pool) -> None:
        self._precision, self._pool = precision, pool
        self._numbers = itertools.count()
        self._paths = {path.resolve().name: path for path in paths}
        if len(self._paths) < len(paths):
            raise UserError("two bundles' folders have the same name, by which clients ask for a model; rename one")
        self._stamps: dict[str, tuple[int, ...] | None] = {}
        self._loaded: dict[str, Loaded] = {}

    async def load(self) -> None:
        """Loads all of them.

        Raises:
            UserError: as `Loaded`, or a graph cannot be loaded.
        """
        for name, path in self._paths.items():
            self._stamps[name] = _stamp(path)
            self._loaded[name] = await self._load(path)

    def __iter__(self) -> Iterator[Loaded]:
        """All, as they are now."""
        return iter(list(self._loaded.values()))

    def find(self, name: str | None) -> Loaded:
        """A model by its name; the only one needs none.

        Raises:
            Refusal: there is none of that name, or several and no name.
        """
        there = ", ".join(self._loaded)
        if name is None:
            if len(self._loaded) > 1:
                raise Refusal(422, f"model: this server has several, say which; it has {there}")
            (name,) = self._loaded
        if name not in self._loaded:
            raise Refusal(404, f"model: no '{name[:100]}'; this server has {there}")
        return self._loaded[name]

    async def watch(self, meter: Meter) -> None:
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
                    loaded = await self._load(path)
                except Exception as error:
                    if complaints.get(name) != str(error):
                        complaints[name] = str(error)
                        meter.reloaded(name, "failed")
                        logger.error("reload failed", extra={"facts": {"model": name, "error": str(error)}})
                    continue
                complaints.pop(name, None)
                self._loaded[name], self._stamps[name] = loaded, stamp
                meter.reloaded(name, "replaced")
                logger.info("reloaded", extra={"facts": {"model": name, "created": loaded.manifest.created}})

    async def _load(self, path: Path) -> Loaded:
        loaded = await asyncio.to_thread(Loaded, path, self._precision, next(self._numbers))
        await self._pool.load(loaded.number, loaded.folder)
        loop, number = asyncio.get_running_loop(), loaded.number

        def forget() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._pool.forget, number)

        # That the last request of a bundle is done is told by Python alone, in whichever thread.
        weakref.finalize(loaded, forget).atexit = False
        return loaded


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What is another one when bundle.json is another file; None where there is none."""
    try:
        found = (path / MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

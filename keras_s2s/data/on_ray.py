"""Work on many items on all cores of a Ray cluster, as `workers` does it on those of this machine.

These are tasks of Ray Core. Ray Data needs to know a data set before it begins, and a corpus is known only when it has
been read. An actor for each core would be lost with its node; a task that is lost runs again wherever there is room.
"""

import contextlib
import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_s2s.errors import UserError

_TASKS = 2  # for each core, so that none waits for this process


def on_ray(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """An `OrderedMap` over the cores of the Ray cluster that this process is connected to.

    Items and results that are under way are two for each core. A node needs no files but those that `work` itself
    opens; relative names start where they do here. What a node that fails was doing is done again by another one.

    When nobody asks for results any more, what is under way is left to end. `ray.cancel` of a task that ends just then
    can end this process, too (Ray's pull request 54798).

    Args:
        work: can be pickled by Ray, as can its results.
        items: can be pickled.

    Raises:
        UserError: a task failed more often than Ray tries again, or no node has a core.
        Exception: as `work`.
    """
    import ray

    here, sent = Path.cwd(), [ray.put(work)]  # What is in a list does not become an argument, and is loaded once.
    task = ray.remote(_do)
    under_way: deque[tuple[Any, Any]] = deque()
    for item in items:
        # The item is kept with its result, or a result lost with a node could not be made again.
        kept = ray.put(item)
        under_way.append((kept, task.remote(sent, here, kept)))
        while len(under_way) > _TASKS * _cores():
            yield _result(under_way[0][1])
            under_way.popleft()
    while under_way:
        yield _result(under_way[0][1])
        under_way.popleft()


def _do(work: Sequence[Any], folder: Path, item: Any) -> Any:
    """The task."""
    return _loaded(work[0], folder)(item)


@functools.lru_cache(maxsize=1)
def _loaded(work: Any, folder: Path) -> Callable[[Any], Any]:
    """The work, which is loaded once in each process; what it opens is looked for in a folder."""
    import ray

    with contextlib.suppress(OSError):  # Most work opens nothing.
        os.chdir(folder)
    return ray.get(work)


def _cores() -> int:
    """How many the cluster has now."""
    import ray

    if cores := int(ray.cluster_resources().get("CPU", 0)):
        return cores
    raise UserError("--ray: no node of the cluster has a core to work on; start one that has, with `ray start`")


def _result(reference: Any) -> Any:
    """Waits for a result."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        why = str(error).partition("\n")[0].rstrip(".")
        raise UserError(f"--ray: preparing data: {why}; start again: what is finished is kept") from error

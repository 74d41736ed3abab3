"""Files that are there whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file beside `path`, and renames it when it is complete and on the disk.

    A process that is killed leaves the old file, and `new.NAME` beside it, which the next write replaces.

    Args:
        path: of the file. One process writes it at a time.
        write: makes the file at the path that it is given, which has the same suffix.

    Raises:
        OSError: it cannot be written; nothing is left beside the old file.
    """
    beside = path.with_name(f"new.{path.name}")
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise

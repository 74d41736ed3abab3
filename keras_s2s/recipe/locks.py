"""Locks, so that no two processes make the same stages. A process that ends, however it does, gives its locks back."""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from keras_s2s.errors import UserError

_LOCK, _PROCESS = "run.lock", "run.process"


class _Held(contextlib.ExitStack):
    """The locks of this process."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: set[Path] = set()


_held: ContextVar[_Held | None] = ContextVar("held", default=None)


@contextlib.contextmanager
def keeping_locks() -> Iterator[None]:
    """Gives back at its end what is locked inside the block; of blocks in each other the outermost one does."""
    if _held.get() is not None:
        yield
        return
    with _Held() as held:
        token = _held.set(held)
        try:
            yield
        finally:
            _held.reset(token)


def lock(folder: Path) -> None:
    """Locks the stages in a folder, which is made if need be, until the end of `keeping_locks`.

    Raises:
        UserError: another process has locked it.
    """
    from filelock import FileLock, Timeout

    held = _held.get()
    assert held is not None
    if folder.resolve() in held.folders:
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held.enter_context(FileLock(folder / _LOCK, timeout=0))
    except Timeout:
        raise UserError(
            f"{folder}: another run of this recipe is going on{_process(folder)}; wait for its end, or stop it"
        ) from None
    held.folders.add(folder.resolve())
    # Beside the lock: whoever asks for it may empty its file.
    (folder / _PROCESS).write_text(str(os.getpid()))


def _process(folder: Path) -> str:
    """Which process has the lock, as far as it has said so."""
    try:
        return f" (process {(folder / _PROCESS).read_text()})"
    except OSError:
        return ""

"""How a training process holds its memory, and how much there is."""

import ctypes
import resource
from pathlib import Path

import tensorflow as tf

from keras_s2s.errors import UserError
from keras_s2s.memory import bytes_of, of_process

# The names of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed for the next step, rather than hand it back to the system.

    A step makes and frees about the same gigabytes of tensors as the one before. By default glibc maps every large one
    anew, and the system clears it page by page: on some machines that takes longer than the products. It holds for the
    whole process until its end. Other C libraries have no such switch, and are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def free() -> int:
    """Bytes of main memory that this process may still take, by the system and by its control group.

    Raises:
        UserError: the system does not say, or training would use the memory of a GPU.
    """
    if tf.config.list_physical_devices("GPU"):
        raise UserError(
            "training: accumulation: auto: knows main memory alone, and this machine has a GPU; give a number"
        )
    try:
        available = bytes_of(Path("/proc/meminfo"), "MemAvailable")
    except OSError:
        raise UserError("training: accumulation: auto: this system does not say what is free; give a number") from None
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text())
        return min(available, most - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no group, or "max"
        return available


def limit(more: int) -> None:
    """Lets this process take so many bytes more; an allocation beyond them fails."""
    size = of_process("VmData") + more
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))

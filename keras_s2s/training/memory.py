"""How a training process holds its memory, and how much there is."""

import resource
from pathlib import Path

import tensorflow as tf

from keras_s2s.errors import UserError
from keras_s2s.memory import bytes_of, of_process


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

"""The main memory that this process holds, and whether it keeps freed memory."""

import ctypes
import re
import sys
from pathlib import Path
from typing import Any

# The names of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4

_is_kept = False


def most_held() -> int:
    """The most bytes that this process ever held.

    Raises:
        OSError: the system does not say; Windows does not.
    """
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux's `ru_maxrss` remembers what the process held that started this one, too.
    return of_process("VmHWM")


def of_process(name: str) -> int:
    """Bytes that Linux gives under a name: "VmRSS" is what this process holds, "VmData" what it has asked for.

    Raises:
        OSError: the system is not Linux.
    """
    return bytes_of(Path("/proc/self/status"), name)


def bytes_of(file: Path, name: str) -> int:
    """Bytes in a line of a file of /proc, `NAME: 123 kB`.

    Raises:
        OSError: there is no such file, or no such line.
    """
    found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{file}: no {name}")
    return int(found[1]) * 1024


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed for the next step, rather than hand it back to the system.

    A step of a training or of a server's batch makes and frees about the same tensors as the one before. By default
    glibc maps every large one anew, and the system clears it page by page: on some machines that takes longer than the
    products. It holds for the whole process until its end. Other C libraries have no such switch, and are left as they
    are.
    """
    global _is_kept
    if (mallopt := _of_glibc("mallopt")) is not None:
        _is_kept = bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


def hand_back_freed_memory() -> None:
    """Hands back to the system what glibc keeps at this moment, whether or not it was told to keep it.

    What is kept lies in pieces, and what has many sizes needs ever more of them; this is the end of that. It takes a
    millisecond or two, in which no thread gets memory.
    """
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


def keeps_freed_memory() -> bool:
    """Whether `keep_freed_memory` was called, on a system that has such a switch."""
    return _is_kept


def _of_glibc(function: str) -> Any:
    """A function that glibc has; None where there is none."""
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None

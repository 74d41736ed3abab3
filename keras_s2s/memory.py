"""How much main memory this process holds."""

import re
import sys
from pathlib import Path


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

"""The number of cores that this process may use."""

import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def available_cores() -> int:
    """The number of cores that this process may use, at least 1.

    They are those that the system lets it run on (`taskset`, cpusets), and no more than its quota of processor time is
    worth (`docker --cpus`, a Kubernetes limit, systemd's `CPUQuota`). A quota of 1.5 cores counts as 2: with 1 a third
    of it would never be used. The quota is read once.
    """
    return math.ceil(min(_schedulable_cores(), _quota_of_this_process()))


def is_limited() -> bool:
    """Whether a quota leaves this process fewer cores than it may run on, which other libraries do not notice."""
    return available_cores() < _schedulable_cores()


def quota(groups: str, mount: Path) -> float:
    """The least quota of control groups and of all groups above them.

    Args:
        groups: those of a process, as `/proc/PID/cgroup` has them: lines `NUMBER:CONTROLLERS:PATH`.
        mount: where control groups are mounted, usually `/sys/fs/cgroup`.

    Returns:
        Cores, more than 0; infinity where there is no quota.
    """
    return min((found for folder in _folders(groups, mount) for found in _quotas(folder)), default=math.inf)


def _schedulable_cores() -> int:
    # Python's own count heeds PYTHON_CPU_COUNT, from 3.13 on.
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _quota_of_this_process() -> float:
    try:
        groups = _GROUPS.read_text()
    except OSError:
        return math.inf  # Not Linux, or a kernel without control groups.
    return quota(groups, _MOUNT)


def _folders(groups: str, mount: Path) -> Iterator[Path]:
    """The folders of a process's groups for processor time, and of the groups above them."""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has one tree, whose line names no controller, and beside trees of version 1 a folder of its own.
        # Version 1 has a tree for each controller, or for a few together, to which each of them is a link.
        names = (controllers, "cpu") if controllers else ("unified", "")
        root = next((mount / name for name in names if (mount / name).is_dir()), mount)
        group = _inside(root, path)
        yield from (group, *group.parents[: len(group.relative_to(root).parts)])


def _inside(root: Path, path: str) -> Path:
    """The folder of a group. A container's mount may begin anywhere on the way to it."""
    parts = PurePosixPath(path.lstrip("/")).parts
    if ".." in parts:  # The group is outside of what the container sees.
        return root
    below = (root.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((folder for folder in below if folder.is_dir()), root)


def _quotas(folder: Path) -> Iterator[float]:
    """The quota of a group, in cores, if it has one."""
    texts = (_read(folder / "cpu.max"), f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}")
    for quota, period in (text.split() for text in texts if len(text.split()) == 2):
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""  # A group without a limit of this kind, as is that at the top.

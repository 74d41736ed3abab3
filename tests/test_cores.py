"""How many cores a process may use: what it may run on, and what a quota of processor time is worth."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_s2s import cores, environment
from keras_s2s.cores import available_cores, quota
from keras_s2s.serving.settings import Settings

VERSION_2 = "0::/kubepods/pod1/app\n"
VERSION_1 = "5:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:cpuset:/docker/abc\n0::/\n"


def write(mount: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(f"{text}\n")
    return mount


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        pytest.param(VERSION_2, {"kubepods/pod1/app/cpu.max": "150000 100000"}, 1.5, id="of the group"),
        pytest.param(
            VERSION_2,
            {
                "kubepods/cpu.max": "max 100000",
                "kubepods/pod1/cpu.max": "50000 50000",
                "kubepods/pod1/app/cpu.max": "300000 100000",
            },
            1,
            id="of a group above",
        ),
        pytest.param(VERSION_2, {"kubepods/pod1/app/cpu.max": "max 100000"}, math.inf, id="none"),
        pytest.param(VERSION_2, {"kubepods/pod1/app/cpu.stat": "usage_usec 1"}, math.inf, id="no controller"),
        pytest.param("0::/\n", {"cpu.max": "200000 100000"}, 2, id="a container with a namespace of its own"),
        pytest.param("0::/a/scope\n", {"cpu.max": "25000 100000"}, 0.25, id="a container without one"),
        pytest.param("0::/../../b\n", {"cpu.max": "100000 100000", "b/cpu.max": "1 1000"}, 1, id="moved out of one"),
        pytest.param("0::/a/inner\n", {"inner/cpu.max": "75000 100000"}, 0.75, id="a group inside a container"),
        pytest.param("0::/a:b/c d\n", {"a:b/c d/cpu.max": "100000 100000"}, 1, id="a name with signs"),
        pytest.param(
            VERSION_1,
            {
                "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/docker/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/docker/cpu.cfs_period_us": "100000",
            },
            2.5,
            id="version 1",
        ),
        pytest.param(
            VERSION_1,
            {
                "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/docker/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/docker/cpu.cfs_period_us": "100000",
            },
            0.5,
            id="version 1, of a group above",
        ),
        pytest.param(
            VERSION_1,
            {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "50000", "memory/cpu.cfs_quota_us": "1"},
            2,
            id="version 1, in a container",
        ),
        pytest.param(
            "1:cpu:/\n0::/app\n", {"unified/app/cpu.max": "300000 100000", "cpu/cpu.shares": "1024"}, 3, id="both"
        ),
        pytest.param("1:cpuset:/a\n", {"cpuset/a/cpu.cfs_quota_us": "1"}, math.inf, id="another controller"),
        pytest.param("", {}, math.inf, id="no groups"),
    ],
)
def test_the_least_quota_of_a_group_and_those_above_it(
    tmp_path: Path, groups: str, files: dict[str, str], expected: float
) -> None:
    assert quota(groups, write(tmp_path, files)) == expected


def test_nothing_above_the_mount_counts(tmp_path: Path) -> None:
    write(tmp_path, {"cpu.max": "1000 100000", "mount/a/cpu.max": "max 100000"})
    assert quota("0::/a\n", tmp_path / "mount") == math.inf


def limit(patch: pytest.MonkeyPatch, folder: Path, maximum: str, schedulable: int = 8) -> None:
    """Puts this process into a group with a quota, on a machine with more cores."""
    write(folder, {"group": "0::/app", "mount/app/cpu.max": maximum})
    patch.setattr(cores, "_GROUPS", folder / "group")
    patch.setattr(cores, "_MOUNT", folder / "mount")
    patch.setattr(cores, "_quota_of_this_process", cores._quota_of_this_process.__wrapped__)
    patch.setattr(cores, "_schedulable_cores", lambda: schedulable)


@pytest.mark.parametrize(
    ("maximum", "expected"),
    [
        ("100000 100000", 1),
        ("1000 100000", 1),
        ("150000 100000", 2),
        ("200000 100000", 2),
        ("max 100000", 8),
        ("1600000 100000", 8),
    ],
)
def test_a_quota_counts_as_whole_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, maximum: str, expected: int
) -> None:
    limit(monkeypatch, tmp_path, maximum)
    assert available_cores() == expected
    assert Settings().workers == expected


def test_a_kernel_without_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit(monkeypatch, tmp_path, "100000 100000")
    monkeypatch.setattr(cores, "_GROUPS", tmp_path / "nowhere")
    assert available_cores() == 8


@pytest.mark.parametrize(("maximum", "expected"), [("200000 100000", "2"), ("max 100000", None)])
def test_tensorflow_is_told_of_a_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, maximum: str, expected: str | None
) -> None:
    for name in environment.THREADS:
        monkeypatch.setenv(name, "")  # So that it is as before when the test is over.
        monkeypatch.delenv(name)
    limit(monkeypatch, tmp_path, maximum)
    environment.prepare()
    assert [os.environ.get(name) for name in environment.THREADS] == [expected, expected]


def test_the_number_of_threads_that_a_user_chose_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in environment.THREADS:
        monkeypatch.setenv(name, "5")
    limit(monkeypatch, tmp_path, "200000 100000")
    environment.prepare()
    assert [os.environ[name] for name in environment.THREADS] == ["5", "5"]


def test_only_cores_that_a_process_may_run_on_count() -> None:
    count = "from keras_s2s.cores import available_cores; print(available_cores())"
    core = min(os.sched_getaffinity(0))
    pinned = f"import os; os.sched_setaffinity(0, {{{core}}}); {count}"
    assert subprocess.check_output([sys.executable, "-c", pinned], text=True) == "1\n"

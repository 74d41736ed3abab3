"""What a process holds, and the most that it ever held."""

import subprocess
import sys
from pathlib import Path

import pytest

from keras_s2s import memory

MEGABYTE = 1_000_000
# In a process of its own: the most that this one ever held may be gigabytes.
FREED = """
import mmap
from keras_s2s.memory import most_held, of_process
found = [most_held()]
held = mmap.mmap(-1, 200_000_000)
for _ in range(200):
    held.write(b"x" * 1_000_000)
found += [most_held(), of_process("VmRSS")]
held.close()
print(*found, of_process("VmRSS"), most_held())
"""
QUESTION = "from keras_s2s.memory import most_held; print(most_held())"


def test_what_was_freed_still_counts() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    before, most, now, freed, still = map(int, done.stdout.split())
    size = 200 * MEGABYTE
    assert most - before > 0.9 * size
    assert freed < now - 0.9 * size
    assert still == pytest.approx(most, rel=0.1)


def test_what_another_process_held_does_not_count() -> None:
    ours = bytearray(b"x") * (200 * MEGABYTE)
    done = subprocess.run([sys.executable, "-c", QUESTION], capture_output=True, text=True, check=True)
    assert 5 * MEGABYTE < int(done.stdout) < len(ours) < memory.most_held()


def test_a_system_that_does_not_say(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name: x\nVmRSS:\t  12 kB\nVmHWM:\tmany\n")
    assert memory.bytes_of(tmp_path / "status", "VmRSS") == 12 * 1024
    for path, name in ((tmp_path / "status", "VmHWM"), (tmp_path / "none", "VmRSS")):
        with pytest.raises(OSError, match=f"{path.name}"):
            memory.bytes_of(path, name)


KEPT = """
from keras_s2s.memory import hand_back_freed_memory, keep_freed_memory, keeps_freed_memory, of_process
from keras_s2s.runtime.graph import session_options
found = [keeps_freed_memory(), session_options().enable_cpu_mem_arena]
keep_freed_memory()
b"x" * 100_000_000
found += [keeps_freed_memory(), session_options().enable_cpu_mem_arena, of_process("VmRSS") > 100_000_000]
hand_back_freed_memory()
print(*found, of_process("VmRSS") > 100_000_000)
"""


def test_freed_memory_is_kept_once_and_handed_back() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True", "False", "True", "False"]

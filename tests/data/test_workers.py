"""Work on all cores: the same results in the same order, whoever does it; and nobody is left behind."""

import importlib
import itertools
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from keras_s2s import UserError
from keras_s2s.data import workers
from keras_s2s.data.workers import on_all_cores

PIECEWORK = """
import os, subprocess, sys
from keras_s2s.errors import UserError

def square(number):
    return number**2

def pid(item):
    return os.getpid()

def dies(number):
    if number == 7:
        os._exit(3)
    return number

def fails(number):
    if number == 7:
        raise UserError("file: line 7")
    return number

def stumbles(number):
    return 1 / (number - 7)

def cannot_be_sent(number):
    return (one for one in [number])

def talks(number):
    print("printed")
    os.write(1, b"written")
    subprocess.run(["echo", "of a child"])
    return sys.stdin.read(), subprocess.run(["cat"], capture_output=True).stdout, number

class Item:
    pass
"""


@pytest.fixture(autouse=True)
def piecework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that other processes find where this one does."""
    monkeypatch.setattr(workers, "available_cores", lambda: 2)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "piecework.py").write_text(PIECEWORK)
    before = children()
    yield importlib.import_module("piecework")
    del sys.modules["piecework"]
    assert children() == before


def children() -> set[int]:
    """The processes that this one has started and that have not ended."""
    return {int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 50])
@pytest.mark.parametrize("available", [1, 3])
def test_results_come_in_order(
    monkeypatch: pytest.MonkeyPatch, piecework: ModuleType, count: int, available: int
) -> None:
    monkeypatch.setattr(workers, "available_cores", lambda: available)
    assert list(on_all_cores(piecework.square, iter(range(count)))) == [number**2 for number in range(count)]


def test_many_items_go_to_processes_and_few_do_not(piecework: ModuleType) -> None:
    assert set(on_all_cores(piecework.pid, range(3))) == {os.getpid()}
    done = set(on_all_cores(piecework.pid, range(50)))
    assert os.getpid() not in done
    assert len(done) <= 2


def test_items_are_asked_for_when_they_are_needed(piecework: ModuleType) -> None:
    asked = itertools.count()
    results = on_all_cores(piecework.square, asked)
    assert [next(results), next(results)] == [0, 1]
    assert next(asked) <= 7
    results.close()  # type: ignore[attr-defined]


def test_an_iterator_that_nobody_reads_to_its_end_leaves_no_process(piecework: ModuleType) -> None:
    before = children()
    results = on_all_cores(piecework.square, range(1000))
    assert [next(results), next(results)] == [0, 1]
    assert len(children() - before) == 2
    results.close()  # type: ignore[attr-defined]
    assert children() == before


def test_work_defined_in_the_script_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def pid(item: object) -> int:
        return os.getpid()

    pid.__module__, pid.__qualname__ = "__main__", "pid"
    monkeypatch.setattr(sys.modules["__main__"], "pid", pid, raising=False)
    assert set(on_all_cores(pid, range(50))) == {os.getpid()}


def test_items_of_the_script_are_worked_on_here(piecework: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Block:
        pass

    Block.__module__, Block.__qualname__ = "__main__", "Block"
    monkeypatch.setattr(sys.modules["__main__"], "Block", Block, raising=False)
    assert set(on_all_cores(piecework.pid, [Block() for _ in range(50)])) == {os.getpid()}
    # A text of that name is none.
    assert os.getpid() not in set(on_all_cores(piecework.pid, ["__main__"] * 50))


def test_errors_come_where_the_item_stood(piecework: ModuleType) -> None:
    results = on_all_cores(piecework.fails, range(50))
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(UserError) as error:
        next(results)
    assert str(error.value) == "file: line 7"
    assert list(results) == []
    with pytest.raises(ZeroDivisionError) as other:
        list(on_all_cores(piecework.stumbles, range(50)))
    [note] = other.value.__notes__
    assert 'piecework.py", line' in note
    assert "return 1 / (number - 7)" in note


def test_a_process_that_dies_is_named(piecework: ModuleType) -> None:
    message = (
        "preparing data: a process ended with exit code 3, perhaps for want of memory; free some, and start again: "
        "what is finished is kept"
    )
    with pytest.raises(UserError) as error:
        list(on_all_cores(piecework.dies, range(50)))
    assert str(error.value) == message


def test_what_cannot_be_sent_is_the_error_that_it_is(piecework: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot pickle 'generator' object"):
        list(on_all_cores(piecework.cannot_be_sent, range(50)))
    items = [piecework.Item() for _ in range(50)]
    (tmp_path / "piecework.py").write_text("def square(item): pass")
    with pytest.raises(AttributeError, match="Can't get attribute 'Item'"):
        list(on_all_cores(piecework.square, items))


def test_what_else_is_read_and_written_does_not_come_between(
    piecework: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    assert list(on_all_cores(piecework.talks, range(6))) == [("", b"", number) for number in range(6)]
    out, error = capfd.readouterr()
    assert out == ""
    assert error.count("written") == error.count("of a child") == 6


SCRIPT = """
import os, sys
from keras_s2s.data.workers import on_all_cores
import piecework
print("begins", flush=True)
for number in on_all_cores(piecework.square, iter(range(10**9))):
    if number == 400:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            print(file.read(), flush=True)
"""


@pytest.fixture
def interrupted(tmp_path: Path) -> subprocess.Popen[str]:
    """A script, without `if __name__ == "__main__"`, in the middle of its work."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(pid: int) -> bool:
    """Waits until a process that is no child of this one has ended."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], 60)[0])
    finally:
        os.close(watched)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_script_that_is_ended_leaves_no_process(interrupted: subprocess.Popen[str], number: signal.Signals) -> None:
    with interrupted as script:
        assert script.stdout is not None and script.stderr is not None
        assert script.stdout.readline() == "begins\n"
        pids = list(map(int, script.stdout.readline().split()))
        assert len(pids) >= 1
        script.send_signal(number)
        told = script.stderr.read()
    assert script.returncode == -number
    assert told.count("Traceback") == (number == signal.SIGINT)  # That of the script.
    assert script.stdout.closed
    assert all(map(ended, pids))

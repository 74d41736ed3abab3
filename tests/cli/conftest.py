"""Runs the command line, as a process of its own or, for what needs none, in this one."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keras_s2s.cli import main
from keras_s2s.cli.unfinished import journal_of

COMMAND = [sys.executable, "-m", "keras_s2s.cli"]


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs a command with some standard input to its end."""

    def run(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*COMMAND, *map(str, arguments)], input=given, capture_output=True, timeout=120)

    return run


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process; gives its exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    return run


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended after a minute."""
    with subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE) as running:
        watchdog = threading.Timer(60, running.kill)
        watchdog.start()
        try:
            yield running
        finally:
            watchdog.cancel()
            running.kill()


def kill_when_written(output: Path, size: int, *arguments: object, by: int = 9) -> tuple[int, bytes]:
    """Starts the command, and kills it when the output has so many bytes and a mark says that some are kept.

    Returns:
        Its exit code, and what it said.
    """
    with started(*arguments) as running:
        journal = journal_of(output)
        while running.poll() is None:
            if output.exists() and output.stat().st_size >= size and journal.read_bytes().count(b"\n") > 1:
                running.send_signal(by)
                break
        assert running.wait() != 0, "it came to its end too early"
        assert running.stderr
        return running.returncode, running.stderr.read()


@pytest.fixture
def kill() -> Callable[..., tuple[int, bytes]]:
    """`kill_when_written`."""
    return kill_when_written


@pytest.fixture
def edited_bundle(own_bundle: Path) -> Callable[..., Path]:
    """A bundle with changes in its bundle.json."""

    def edit(**changes: object) -> Path:
        path = own_bundle / "bundle.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        return own_bundle

    return edit

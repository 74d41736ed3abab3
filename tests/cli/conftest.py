"""Runs the command line, as a process of its own or, for what needs none, in this one."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s.cli import main

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


@pytest.fixture
def edited_bundle(own_bundle: Path) -> Callable[..., Path]:
    """A bundle with changes in its bundle.json."""

    def edit(**changes: object) -> Path:
        path = own_bundle / "bundle.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        return own_bundle

    return edit

"""No process of ours leaves a trace of its user, or asks where to send one."""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from keras_s2s.environment import sends_usage_data

SOURCE = Path(__file__).with_name("refuse.c")
SWITCH = "ORT_DISABLE_TELEMETRY"
LOOK_UP = "import socket; socket.getaddrinfo('127.0.0.1', 80); socket.getaddrinfo('collector.test', 80)"
# Imports onnxruntime as it is, and lasts until its standard input ends.
LOUD = "import sys, onnxruntime; sys.stdin.read()"


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that takes the place of the system's resolver."""
    path = tmp_path_factory.mktemp("resolver") / "refuse.so"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", SOURCE, "-o", path, "-ldl"], check=True)
    return path


class Watched:
    """An environment whose processes have a home of their own, in which names are looked up nowhere.

    Attributes:
        environment: of its processes.
    """

    def __init__(self, folder: Path, resolver: Path) -> None:
        self._home, names = folder / "home", folder / "names"
        self._home.mkdir(parents=True)
        os.mkfifo(names)
        self._names = os.open(names, os.O_RDWR | os.O_NONBLOCK)
        self.environment = {"HOME": str(self._home), "LD_PRELOAD": str(resolver), "LOOKUPS": str(names)}

    def start(self, *command: object) -> subprocess.Popen[str]:
        """Starts a process whose standard input stays open."""
        environment = {**os.environ, **self.environment}
        words = [sys.executable, *map(str, command)]
        return subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def files(self) -> set[str]:
        """What lies below the home."""
        return {str(path.relative_to(self._home)) for path in self._home.rglob("*")}

    def names(self, seconds: float = 0) -> list[str]:
        """The names that were asked for; the first of them is waited for, but no longer than this."""
        if not select.select([self._names], [], [], seconds)[0]:
            return []
        return os.read(self._names, 65536).decode().split()

    def close(self) -> None:
        os.close(self._names)


@pytest.fixture
def watched(
    tmp_path: Path, resolver: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[str], Watched]:
    """Makes such an environment, in which the user has set nothing."""
    # Where CI is set, onnxruntime 1.31 looks nothing up of itself.
    for name in (SWITCH, "CI", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def make(name: str) -> Watched:
        made = Watched(tmp_path / name, resolver)
        request.addfinalizer(made.close)
        return made

    return make


@pytest.fixture
def loud(watched: Callable[[str], Watched]) -> Iterator[Watched]:
    """The environment of a process with onnxruntime alone, as it is."""
    other = watched("loud")
    with other.start("-c", LOUD) as process:
        yield other
        process.communicate()


def test_the_resolver_writes_down_names_and_refuses_them(watched: Callable[[str], Watched]) -> None:
    asking = watched("asking")
    with asking.start("-c", LOOK_UP) as process:
        pass
    assert process.returncode != 0
    assert asking.names() == ["collector.test"]


def test_nothing_is_left_at_home_and_nobody_is_looked_up(
    watched: Callable[[str], Watched],
    serving: Callable[..., Any],
    echo_bundle: Path,
    request: pytest.FixtureRequest,
) -> None:
    quiet = watched("quiet")
    command = ["-m", "keras_s2s.cli", "generate", echo_bundle, "--precision", "fp32"]
    options = ["--precision", "fp32", "--workers", "2"]
    with quiet.start(*command) as generate, serving(echo_bundle, *options, **quiet.environment) as server:
        assert generate.stdin is not None and generate.stdout is not None
        print("abc", file=generate.stdin, flush=True)
        assert generate.stdout.readline() == "abc\n"
        assert server.post("/v1/generate", {"text": ["abc", "de"] * 8}).status_code == 200
        # onnxruntime looks its collector up seconds after its import. When a process that began later has done so,
        # these have had their time.
        other = request.getfixturevalue("loud")
        if sends_usage_data(onnxruntime.__version__):
            assert other.names(seconds=60)
            assert other.files
        generate.communicate()
        assert server.stop() == 0
    assert quiet.files == set()
    assert quiet.names() == []

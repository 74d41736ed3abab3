"""The data of the recipe "scan"."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "pipelines" / "scan" / "generate.py"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scan_generate", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as KERAS_S2S_DATA names it."""
    (tmp_path / "data" / "scan").mkdir(parents=True)
    for name, count in (("train", 1200), ("test", 7)):
        lines = [f"IN: {name} walk {i} OUT: I_WALK I_{i}\n" for i in range(count)]
        (tmp_path / "data" / "scan" / f"tasks_{name}_simple.txt").write_text("".join(lines))
    return tmp_path / "data"


def run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
    before = {name: value for name, value in os.environ.items() if name != "KERAS_S2S_DATA"}
    command = [sys.executable, str(SCRIPT), str(folder), *options]
    return subprocess.run(command, env={**before, **environment}, capture_output=True, text=True, check=False)


def lines(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.tsv").read_text().splitlines()


def test_lines_of_commands_and_actions(generate: ModuleType) -> None:
    text = "IN: jump left OUT: I_TURN_LEFT I_JUMP\nIN: walk OUT: I_WALK\n"
    assert generate.parse(text) == [("jump left", "I_TURN_LEFT I_JUMP"), ("walk", "I_WALK")]
    with pytest.raises(ValueError, match=r"^line 2: expected IN: command OUT: actions$"):
        generate.parse("IN: walk OUT: I_WALK\nwalk\tI_WALK\n")


def test_dev_is_a_part_of_train_and_test_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "out", KERAS_S2S_DATA=str(data)).returncode == 0
    train, dev, test = (lines(tmp_path / "out", name) for name in ("train", "dev", "test"))
    assert (len(train), len(dev)) == (200, 1000)
    assert sorted([*train, *dev]) == sorted(f"train walk {i}\tI_WALK I_{i}" for i in range(1200))
    assert test == [f"test walk {i}\tI_WALK I_{i}" for i in range(7)]


def test_the_seed_draws_dev(data: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        run(tmp_path / name, "--seed", seed, KERAS_S2S_DATA=str(data))
    first, second, other = (lines(tmp_path / name, "dev") for name in "abc")
    assert first == second != other
    assert sorted(first) != sorted(other)


def test_data_that_are_not_there(tmp_path: Path) -> None:
    unset = run(tmp_path / "out")
    assert unset.returncode == 2
    assert "the environment variable KERAS_S2S_DATA is not set; set it to the folder that has scan/" in unset.stderr
    empty = run(tmp_path / "out", KERAS_S2S_DATA=str(tmp_path))
    assert empty.returncode == 2
    assert "tasks_train_simple.txt: cannot be read: No such file or directory; README.md says" in empty.stderr

"""A training that is killed at any moment goes on exactly: same losses, same weights, to the bit."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_s2s.training import CHECKPOINT, load

SCRIPT = Path(__file__).with_name("killed.py")


def run(folder: Path, losses: Path, *last: int, epochs: int = 4) -> int:
    arguments = [sys.executable, str(SCRIPT), str(folder), str(losses), str(epochs), *map(str, last)]
    return subprocess.run(arguments, check=False, capture_output=True).returncode


def read(losses: Path) -> dict[int, str]:
    """The loss of each step, the last one that was written of it."""
    return dict(line.split() for line in losses.read_text().splitlines())


def test_minutes_are_measured_once_and_then_a_killed_training_goes_on_exactly(tmp_path: Path) -> None:
    assert run(tmp_path / "whole", tmp_path / "whole.txt", epochs=0) == 0
    # Nothing but the number is there yet; then in the middle of an interval and of an epoch.
    for step in (3, 17):
        assert run(tmp_path / "parts", tmp_path / "parts.txt", step, epochs=0) == -signal.SIGKILL
    assert run(tmp_path / "parts", tmp_path / "parts.txt", epochs=0) == 0
    assert (tmp_path / "parts.txt").read_text().splitlines().count("measured 1") == 1
    whole = read(tmp_path / "whole.txt")
    # 5 intervals of 7 steps, and in the 4.5 s that are left a step and an evaluation, become 6 intervals of 6 steps.
    assert len(whole) == 1 + 36
    assert read(tmp_path / "parts.txt") == whole
    same_models(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_goes_on_exactly(tmp_path: Path) -> None:
    assert run(tmp_path / "whole", tmp_path / "whole.txt") == 0
    # In the first interval, in the middle of one and of an epoch, and in the last step of one.
    for step in (3, 17, 21):
        assert run(tmp_path / "parts", tmp_path / "parts.txt", step) == -signal.SIGKILL
    assert run(tmp_path / "parts", tmp_path / "parts.txt") == 0
    whole, parts = read(tmp_path / "whole.txt"), read(tmp_path / "parts.txt")
    assert len(whole) > 40
    assert parts == whole
    same_models(tmp_path / "whole", tmp_path / "parts")


def same_models(one: Path, other: Path) -> None:
    models = (load(folder / CHECKPOINT) for folder in (one, other))
    for weight, again in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(weight, again)


@pytest.mark.slow
def test_more_epochs_go_on_exactly(tmp_path: Path) -> None:
    for epochs, step in ((2, ()), (6, (30,)), (6, ())):
        run(tmp_path / "parts", tmp_path / "parts.txt", *step, epochs=epochs)
        ended = read(tmp_path / "parts.txt")
    assert run(tmp_path / "whole", tmp_path / "whole.txt", epochs=6) == 0
    assert ended == read(tmp_path / "whole.txt")
    same_models(tmp_path / "whole", tmp_path / "parts")

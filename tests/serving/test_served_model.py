"""A server's private copy of a bundle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_s2s import UserError
from keras_s2s.serving.served_model import ServedModel

# Loads a bundle where no file may be longer than 100 bytes.
SMALL = """
import resource, sys, pathlib
from keras_s2s.serving.served_model import ServedModel
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
ServedModel(pathlib.Path(sys.argv[1]), "fp32", "cpu", 1)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_the_copy_is_there_while_somebody_has_it(temporary: Path, echo_bundle: Path) -> None:
    model = ServedModel(echo_bundle, "fp32", "cpu", 1)
    (copy,) = temporary.iterdir()
    assert Path(model.folder) == copy
    names = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    assert names == {path.relative_to(echo_bundle) for path in echo_bundle.rglob("*") if path.is_file()}
    del model
    assert list(temporary.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(temporary: Path, echo_bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL, str(echo_bundle)],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1] == (
        f"keras_s2s.errors.UserError: {echo_bundle}: a server works with a copy, and none can be made: File too large; "
        "set TMPDIR to a folder that can be written and has 1 MB free"
    )
    assert list(temporary.iterdir()) == []


def test_a_file_that_is_missing_is_named(temporary: Path, own_bundle: Path) -> None:
    (own_bundle / "onnx/fp32/weights.bin").unlink()
    with pytest.raises(UserError, match=r"onnx/fp32/weights\.bin: missing from the bundle"):
        ServedModel(own_bundle, "fp32", "cpu", 1)
    assert list(temporary.iterdir()) == []

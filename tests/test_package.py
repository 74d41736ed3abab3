"""What importing the package does."""

import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from keras_s2s.environment import sends_usage_data

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
TELEMETRY = "ORT_DISABLE_TELEMETRY"


@pytest.mark.parametrize(
    ("switch", "value", "other"),
    [
        (SWITCH, "1", "0"),
        (TELEMETRY, "1", "0"),
        ("RAY_USAGE_STATS_ENABLED", "0", "1"),
        ("HF_HUB_DISABLE_TELEMETRY", "1", "0"),
        ("HF_UPDATE_DOWNLOAD_COUNTS", "0", "1"),
    ],
)
@pytest.mark.parametrize("is_chosen", [False, True])
def test_switches_of_other_libraries_stand_as_we_want_unless_the_user_has_chosen(
    switch: str, value: str, other: str, is_chosen: bool
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != switch}
    expected = other if is_chosen else value
    if is_chosen:
        environment[switch] = other
    show = f"import os, keras_s2s; print(os.environ['{switch}'])"
    done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_a_user_is_told_when_tensorflow_came_first_and_goes_without_onednn() -> None:
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    show = (
        "import keras, keras_s2s\n"
        "from tensorflow.python.util import _pywrap_util_port as port\n"
        "print(port.IsMklEnabled())"
    )
    done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
    told = "import keras_s2s first" in done.stderr
    assert told == (done.stdout.strip() == "False")


def python(program: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program where the user has chosen nothing but this."""
    inherited = {name: value for name, value in os.environ.items() if name != TELEMETRY}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_a_user_is_told_when_onnxruntime_came_first_and_sends_usage_data(tmp_path: Path) -> None:
    told = python("import onnxruntime, keras_s2s", tmp_path).stderr
    version = onnxruntime.__version__
    line = (
        f"<string>:1: RuntimeWarning: onnxruntime {version} was imported before keras_s2s and sends usage data; "
        f"import keras_s2s first, or set {TELEMETRY}=1\n"
    )
    assert told == (line if sends_usage_data(version) else "")


@pytest.mark.parametrize("chosen", ["0", "1", ""])
def test_a_user_who_has_chosen_is_told_nothing(tmp_path: Path, chosen: str) -> None:
    assert python("import onnxruntime, keras_s2s", tmp_path, **{TELEMETRY: chosen}).stderr == ""


@pytest.mark.parametrize("program", ["import keras_s2s, onnxruntime", "from keras_s2s.runtime import Generator"])
def test_nobody_is_told_who_imports_this_package_first(tmp_path: Path, program: str) -> None:
    assert python(program, tmp_path).stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.9.0", False),
        ("1.21.1", False),
        ("1.28.0", False),
        ("1.29.0", True),
        ("1.31.1", True),
        ("2.0", True),
        ("1.29.0.dev20260101", True),
    ],
)
def test_the_first_onnxruntime_that_sends_usage_data(version: str, expected: bool) -> None:
    assert sends_usage_data(version) == expected

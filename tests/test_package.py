"""What importing the package does."""

import os
import subprocess
import sys

import pytest

SWITCH = "TF_ENABLE_ONEDNN_OPTS"


@pytest.mark.parametrize(("chosen", "expected"), [(None, "1"), ("0", "0")])
def test_tensorflow_uses_onednn_unless_the_user_says_no(chosen: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    if chosen is not None:
        environment[SWITCH] = chosen
    show = f"import os, keras_s2s; print(os.environ['{SWITCH}'])"
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

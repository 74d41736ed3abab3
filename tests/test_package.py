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

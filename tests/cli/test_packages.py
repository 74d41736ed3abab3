import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from keras_s2s import UserError
from keras_s2s.cli.packages import training_packages


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("tensorflow", ["run", "recipe"]),
        ("sacrebleu", ["evaluate", "b", "--source", "s", "--reference", "r"]),
        ("sacrebleu", ["generate", "b", "--n-best", "2", "--mbr", "chrf"]),
        ("matplotlib", ["align", "b", "a text", "--output", "a.png"]),
    ],
)
def test_a_missing_package_is_one_line(package: str, arguments: list[str]) -> None:
    who = f"{arguments[0]} --mbr" if "--mbr" in arguments else arguments[0]
    program = (
        f"import os, sys; sys.modules[{package!r}] = None; os.environ.pop('TF_CPP_MIN_LOG_LEVEL', None)\n"
        f"from keras_s2s.cli import main; sys.exit(main({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f'keras-s2s: {who} needs the training packages, and {package} is missing; pip install "keras_s2s[train]"\n'
    )


def test_a_module_of_ours_that_is_missing_is_no_mistake_of_the_user_s() -> None:
    with pytest.raises(ModuleNotFoundError), training_packages("run"):
        importlib.import_module("keras_s2s.nothing")
    with pytest.raises(UserError), training_packages("run"):
        importlib.import_module("no_such_package.part")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow")
def test_tensorflow_is_quiet(tmp_path: Path) -> None:
    program = (
        "import os, sys; os.environ.pop('TF_CPP_MIN_LOG_LEVEL', None)\n"
        "from keras_s2s.cli.packages import import_tensorflow; import_tensorflow()\n"
        "import tensorflow as tf; print(int(tf.constant(1) + 1)); print('heard', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("2\n", "heard\n")


def test_what_was_held_back_is_shown_when_the_import_fails(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'a reason\\n'); raise OSError('no luck')\n")
    program = (
        f"import os, sys; os.environ.pop('TF_CPP_MIN_LOG_LEVEL', None); sys.path.insert(0, {str(tmp_path)!r})\n"
        "from keras_s2s.cli import main; sys.exit(main(['run', 'recipe']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "a reason",
        "keras-s2s: unexpected OSError: no luck; --debug shows where it comes from",
    ]

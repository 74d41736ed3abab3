"""Keras with another backend than TensorFlow is told of in one line, before anything is trained."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ADVICE = "but models are built, trained and exported with TensorFlow; set KERAS_BACKEND=tensorflow before Python starts"
WAYS = [
    ["-m", "keras_s2s.cli", "run", "recipe"],
    ["-m", "keras_s2s.cli", "tune", "recipe"],
    ["-c", "import keras_s2s; keras_s2s.build"],
    ["-c", "from keras_s2s import training"],
    ["-c", "from keras_s2s.layers import Linear"],
    ["-c", "from keras_s2s.dynamic import ctc"],
]


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "KERAS_HOME")}
    return subprocess.run(
        [sys.executable, *words], env={**inherited, **environment}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_backend_that_the_environment_names(way: list[str]) -> None:
    done = python(*way, KERAS_BACKEND="jax")
    line = f"KERAS_BACKEND names the backend jax, {ADVICE}"
    if "keras_s2s.cli" in way:
        assert (done.returncode, done.stderr) == (2, f"keras-s2s: {line}\n")
    else:
        assert done.stderr.splitlines()[-1] == f"keras_s2s.errors.UserError: {line}"


@pytest.mark.parametrize("backend", ["torch", "numpy", "openvino", "nonsense"])
def test_every_other_backend(backend: str) -> None:
    told = python("-c", "import keras_s2s.layers", KERAS_BACKEND=backend).stderr
    assert told.splitlines()[-1].endswith(f"KERAS_BACKEND names the backend {backend}, {ADVICE}")


def with_keras_json(folder: Path, text: str) -> dict[str, str]:
    (folder / "keras.json").write_text(text)
    return {"KERAS_HOME": str(folder)}


def test_a_backend_that_the_configuration_names(tmp_path: Path) -> None:
    home = with_keras_json(tmp_path, json.dumps({"backend": "torch"}))
    done = python("-m", "keras_s2s.cli", "train", "recipe", **home)
    line = f"keras-s2s: {tmp_path / 'keras.json'} names the backend torch, {ADVICE}\n"
    assert (done.returncode, done.stderr) == (2, line)


@pytest.mark.parametrize("text", ["{}", "no JSON", json.dumps({"backend": "tensorflow"})])
def test_a_configuration_that_names_no_other(tmp_path: Path, text: str) -> None:
    home = with_keras_json(tmp_path, text)
    assert python("-c", "import keras_s2s.backend", **home).returncode == 0


def test_the_environment_goes_before_the_configuration(tmp_path: Path) -> None:
    home = with_keras_json(tmp_path, json.dumps({"backend": "torch"}))
    assert python("-c", "import keras_s2s.backend", KERAS_BACKEND="tensorflow", **home).returncode == 0


def test_keras_that_was_imported_before() -> None:
    program = (
        "import sys, types; keras = sys.modules['keras'] = types.ModuleType('keras')\n"
        "keras.config = types.SimpleNamespace(backend=lambda: 'jax'); import keras_s2s.layers"
    )
    told = python("-c", program).stderr
    assert told.splitlines()[-1].endswith(f"Keras, which was imported before, names the backend jax, {ADVICE}")


def test_a_bundle_is_used_whatever_the_backend(echo_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("abc\n")
    command = ["-m", "keras_s2s.cli", "generate", str(echo_bundle), "--precision", "fp32"]
    done = python(*command, "--input", str(tmp_path / "texts"), KERAS_BACKEND="jax")
    assert (done.returncode, done.stdout, done.stderr) == (0, "abc\n", "")

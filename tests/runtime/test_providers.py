"""Execution providers: the one that was asked for, or an error; never another one in its place."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from keras_s2s import UserError
from keras_s2s.runtime import PROVIDERS, Generator, Provider, check_providers
from keras_s2s.runtime.providers import choose_precision, make_session

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class Session:
    """Stands for a session where there is a GPU, as onnxruntime makes one: without those that it cannot use."""

    usable = (CUDA, CPU)
    asked: dict[str, Any]

    def __init__(self, model: bytes, options: onnxruntime.SessionOptions, **asked: Any) -> None:
        Session.asked = asked

    def get_providers(self) -> list[str]:
        found = [name for name in Session.asked["providers"] if name in self.usable]
        return [*found, *([] if CPU in found else [CPU])]


class SessionWithoutLibraries(Session):
    usable = (CPU,)


class SessionThatFails(Session):
    def __init__(self, model: bytes, options: onnxruntime.SessionOptions, **asked: Any) -> None:
        raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected\nsecond line")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime whose package has CUDA, and a machine that has a GPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)


def test_the_session_is_asked_for_the_provider_and_gets_it(gpu: None) -> None:
    session = make_session(b"", onnxruntime.SessionOptions(), ["cuda"])
    assert session.get_providers() == [CUDA, CPU]
    assert Session.asked == {"providers": [CUDA], "provider_options": [{}], "enable_fallback": 0}


def test_the_cpu_is_the_default(gpu: None) -> None:
    make_session(b"", onnxruntime.SessionOptions())
    assert Session.asked == {"providers": [CPU]}


@pytest.mark.parametrize(
    ("session", "why"),
    [
        (SessionWithoutLibraries, "onnxruntime sees no such device, or cannot load its libraries"),
        (SessionThatFails, "onnxruntime says 'CUDA failure 100: no CUDA-capable device is detected'"),
    ],
)
def test_a_provider_that_cannot_be_used_is_an_error(
    gpu: None, monkeypatch: pytest.MonkeyPatch, session: type, why: str
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with pytest.raises(UserError) as error:
        check_providers(["cuda"])
    assert str(error.value).startswith(f"provider 'cuda': {why}; it needs the package onnxruntime-gpu, an NVIDIA GPU")
    assert "\n" not in str(error.value)


def test_a_package_without_the_provider_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(UserError, match="provider 'cuda': the installed onnxruntime has no CUDAExecutionProvider; it"):
        check_providers(["cuda"])


def test_names_are_checked(echo_bundle: Path) -> None:
    with pytest.raises(UserError, match=r"^provider: no 'gpu'; there are cpu, cuda$"):
        Generator.load(echo_bundle, providers=["gpu"])
    with pytest.raises(UserError, match=r"^providers: expected a list of names, such as \['cpu'\], got 'cpu'$"):
        Generator.load(echo_bundle, providers="cpu")


@pytest.mark.parametrize(
    ("asked", "provider", "there", "chosen"),
    [
        (None, "cpu", ["fp32", "int8", "fp16"], "int8"),
        (None, "cpu", ["fp32"], "int8"),
        (None, "cuda", ["fp32", "int8", "fp16"], "fp16"),
        (None, "cuda", ["fp32", "int8"], "fp32"),
        ("weight8", "cuda", ["fp32", "weight8", "fp16"], "weight8"),
    ],
)
def test_the_precision_suits_the_provider(
    gpu: None, asked: str | None, provider: str, there: list[str], chosen: str
) -> None:
    assert choose_precision(asked, [provider], there) == chosen


def test_fp16_is_not_made_of_other_graphs(gpu: None, echo_bundle: Path) -> None:
    with pytest.raises(UserError, match="no graphs of precision 'fp16'; it has fp32"):
        Generator.load(echo_bundle, "fp16", providers=["cuda"])


def test_an_entry_of_the_users_own_is_one_more_name(monkeypatch: pytest.MonkeyPatch, echo_bundle: Path) -> None:
    monkeypatch.setitem(PROVIDERS, "own", Provider(CPU, ["fp32"], "nothing"))
    generator = Generator.load(echo_bundle, providers=["own"])
    assert generator.precision == "fp32"
    assert generator(["abc"])[0][0].text == "abc"


@pytest.mark.parametrize("verb", [["generate"], ["serve"], ["bench", "--source", __file__]])
def test_without_a_gpu_a_command_ends_with_one_line(echo_bundle: Path, verb: list[str]) -> None:
    command = [sys.executable, "-m", "keras_s2s.cli", *verb, str(echo_bundle), "--provider", "cuda"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, input="abc\n", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"keras-s2s: provider 'cuda': .* or choose 'cpu'\n", done.stderr)


def test_ray_has_no_providers(echo_bundle: Path) -> None:
    command = [sys.executable, "-m", "keras_s2s.cli", "generate", str(echo_bundle), "--ray", "--provider", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True)
    expected = "keras-s2s: generate: --ray computes on the cores of a cluster; leave out --provider cuda or --ray\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_the_example_of_the_page_runs(extending: Mapping[str, str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", extending["Execution providers"], re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert re.fullmatch("openvino can be used\n|provider 'openvino': .* it needs the package .*\n", done.stdout)

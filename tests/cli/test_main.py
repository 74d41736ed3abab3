import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import keras_s2s
from keras_s2s import bundle

VERBS = (
    "new",
    "data",
    "run",
    "train",
    "tune",
    "export",
    "trim",
    "quantize",
    "evaluate",
    "compare",
    "bench",
    "generate",
    "score",
    "align",
)
VERBS += ("inspect", "triton", "text-graph", "distill", "shortlist")
HEAVY = ("tensorflow", "keras", "tf_keras", "tensorflow_text", "tf2onnx", "onnx")


def test_the_module_is_the_command(process: Callable) -> None:
    done = process("--version")
    assert (done.returncode, done.stdout.decode().split()) == (0, ["keras-s2s", keras_s2s.__version__])


def test_help_names_every_verb(command: Callable) -> None:
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    assert all(f" {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_s_help_has_an_example(command: Callable, verb: str) -> None:
    for flag in ("--help", "-h"):
        code, out, err = command(verb, flag)
        assert (code, err) == (0, "")
        assert any(line.strip().startswith(f"keras-s2s {verb} ") for line in out.splitlines())


def test_no_verb_shows_the_help_and_fails(command: Callable) -> None:
    code, out, _ = command()
    assert code == 2
    assert out == command("--help")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translate"], "No such command 'translate'; see keras-s2s --help"),
        (["generate"], "Missing argument 'BUNDLE'; see keras-s2s generate --help"),
        (
            ["generate", "b", "--beam", "4"],
            "No such option: --beam (Possible options: --beam-size); see keras-s2s generate --help",
        ),
        (["inspect", "nowhere"], "nowhere: no such folder; expected a bundle, a folder with a bundle.json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command: Callable, arguments: list[str], message: str) -> None:
    assert command(*arguments) == (2, "", f"keras-s2s: {message}\n")


@pytest.mark.parametrize("arguments", [["--debug", "inspect", "nowhere"], ["inspect", "nowhere", "--debug"]])
def test_debug_shows_the_traceback_too(command: Callable, arguments: list[str]) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("Traceback (most recent call last):")
    assert "in read" in err
    assert err.splitlines()[-1].startswith("keras-s2s: nowhere: no such folder")


def fail(error: BaseException) -> Callable:
    def read(path: Path) -> None:
        raise error

    return read


def test_an_unexpected_error_is_one_line_that_names_it(command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_s2s.cli.inspect, "read", fail(KeyError("first\nsecond")))
    code, out, err = command("inspect", "somewhere")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "KeyError" in err
    assert "--debug" in err
    code, out, err = command("inspect", "somewhere", "--debug")
    assert code == 1
    assert err.startswith("Traceback")


def test_an_interrupt_is_said(command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_s2s.cli.inspect, "read", fail(KeyboardInterrupt()))
    assert command("--debug", "inspect", "somewhere") == (130, "", "keras-s2s: interrupted\n")


def test_using_a_bundle_imports_no_training_stack(many_graphs_bundle: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.write_text("abc\n")
    common = [str(many_graphs_bundle), "--precision", "fp32"]
    commands = [
        ["--help"],
        ["generate", "--help"],
        ["generate", *common, "--input", str(texts), "--output", str(tmp_path / "out")],
        ["evaluate", *common, "--source", str(texts), "--reference", str(texts)],
        ["score", *common, "--source", str(texts), "--reference", str(texts)],
        ["align", *common, "abc", "--output", str(tmp_path / "picture.png")],
        ["inspect", common[0]],
    ]
    program = (
        "import sys; from keras_s2s.cli import main\n"
        f"codes = [main(arguments) for arguments in {commands!r}]\n"
        f"print(codes, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == f"{[0] * len(commands)} []"


def test_a_newer_schema_revision(command: Callable, edited_bundle: Callable) -> None:
    path = edited_bundle(schema_revision=bundle.SCHEMA_REVISION + 1)
    for verb in ("inspect", "generate"):
        code, _, err = command(verb, path)
        assert code == 2
        assert "schema revision 2 is newer" in err
        assert err.endswith("upgrade keras_s2s\n")


def test_a_wrong_hash(command: Callable, own_bundle: Path) -> None:
    graph = own_bundle / "onnx/fp32/beam.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    for arguments in (["inspect", own_bundle], ["generate", own_bundle, "--precision", "fp32"]):
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert "beam.onnx: its SHA-256 is not the one in bundle.json" in err

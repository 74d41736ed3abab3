"""A graph run without Python: a C program on the library that onnxruntime's wheel brings."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from keras_s2s.bundle import read
from keras_s2s.export.forms import onnx_form
from keras_s2s.runtime.feeds import Sentence

SOURCE = Path(__file__).with_name("greedy.c")
Tokens = list[tuple[int, ...]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program; beside it lies the library, by the name under which it is looked for."""
    folder = tmp_path_factory.mktemp("c")
    (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
    (folder / "libonnxruntime.so.1").symlink_to(library)
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]
    linked = [f"-L{folder}", "-l:libonnxruntime.so.1", f"-Wl,-rpath,{folder}:{library.parent}"]
    subprocess.run(["cc", *strict, SOURCE, "-o", folder / "greedy", *linked], check=True)
    return folder / "greedy"


def in_c(program: Path, graph: Path, rows: Sequence[Sequence[int]], *limit: object) -> Tokens:
    given = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    done = subprocess.run(
        [program, graph, *map(str, limit)], input=given, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stderr == ""
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def rows(toy: Any) -> list[list[int]]:
    return [[*ids, 2] for ids in toy.tokenizer.encode([*toy.test.sources, ""])]


@pytest.fixture(scope="module")
def tokens(toy: Any, standard: Path, rows: list[list[int]]) -> Callable[[str], Tokens]:
    """What Python's forms say of the same batch."""
    decoding, vocabulary = read(standard).manifest.decoding, toy.tokenizer.vocabulary_size

    def of(name: str) -> Tokens:
        if name == "keras":
            form = toy.in_keras("greedy")
        else:
            form = onnx_form(standard / "onnx" / name, ["greedy"], vocabulary)
        return [best.tokens for best, *_ in form.search("greedy", [Sentence(row) for row in rows], decoding)]

    return of


def test_c_says_what_keras_says(program: Path, standard: Path, rows: list[list[int]], tokens: Any) -> None:
    decoding = read(standard).manifest.decoding
    limit = decoding.max_length_factor, decoding.max_length_extra
    expected = tokens("keras")
    assert len(set(expected)) > 10
    assert in_c(program, standard / "onnx/fp32/greedy.onnx", rows, *limit) == expected
    assert in_c(program, standard / "onnx/int8/greedy.onnx", rows, *limit) == tokens("int8")


def test_the_maximum_length_is_an_input(program: Path, standard: Path, rows: list[list[int]]) -> None:
    found = in_c(program, standard / "onnx/fp32/greedy.onnx", rows, 0, 1)
    assert {len(tokens) for tokens in found} == {1}


def test_a_graph_that_is_not_there(program: Path, tmp_path: Path) -> None:
    done = subprocess.run([program, tmp_path / "no.onnx", "1", "1"], input="2\n", capture_output=True, text=True)
    assert done.returncode == 1
    assert "no.onnx" in done.stderr

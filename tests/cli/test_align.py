from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_s2s import evaluation


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What is drawn, instead of drawing."""
    calls: list[tuple] = []
    monkeypatch.setattr(evaluation, "attention_picture", lambda *arguments: calls.append(arguments), raising=False)
    return calls


def test_a_picture_of_its_own_output(process: Callable, many_graphs_bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    done = process("align", many_graphs_bundle, "ab cd", "--output", picture, "--precision", "fp32")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ab cd\n", b"")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_rows_are_the_target_s_and_columns_the_source_s(
    command: Callable, many_graphs_bundle: Path, tmp_path: Path, drawn: list[tuple]
) -> None:
    options = ["--target", "ba", "--output", tmp_path / "a.png", "--precision", "fp32"]
    assert command("align", many_graphs_bundle, "abc", *options) == (0, "ba\n", "")
    [(path, weights, source, target, _)] = drawn
    assert path == tmp_path / "a.png"
    assert (source, target) == (["a", "b", "c", "</s>"], ["b", "a", "</s>"])
    # The graph of this bundle looks where the same token is.
    np.testing.assert_array_equal(weights, [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def test_a_text_that_is_cut_keeps_its_end(
    command: Callable, many_graphs_bundle: Path, tmp_path: Path, drawn: list[tuple]
) -> None:
    options = ["--target", "a", "--output", tmp_path / "a.png", "--precision", "fp32"]
    assert command("align", many_graphs_bundle, "b" * 100, *options)[0] == 0
    [(_, weights, source, _, _)] = drawn
    assert source == ["b"] * 59 + ["</s>"]
    assert weights.shape == (2, 60)


@pytest.mark.parametrize(
    ("text", "output", "message"),
    [
        (" ", "a.png", "TEXT: is blank; give a text to look at"),
        ("a", "a.jpg", "a.jpg: the picture is a PNG; give a name that ends in .png"),
        ("a", "nowhere/a.png", "nowhere/a.png: cannot be written: No such file or directory; check the name"),
    ],
)
def test_mistakes(command: Callable, many_graphs_bundle: Path, text: str, output: str, message: str) -> None:
    done = command("align", many_graphs_bundle, text, "--output", output, "--precision", "fp32")
    assert done == (2, "", f"keras-s2s: {message}\n")


def test_a_bundle_that_cannot_align(command: Callable, echo_bundle: Path, tmp_path: Path) -> None:
    code, out, err = command("align", echo_bundle, "a", "--output", tmp_path / "a.png", "--precision", "fp32")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no graph 'align' in fp32" in err
    assert not (tmp_path / "a.png").exists()

from collections.abc import Callable
from pathlib import Path


def test_the_folder_of_the_model_is_printed(command: Callable, echo_bundle: Path, tmp_path: Path) -> None:
    code, out, err = command("triton", echo_bundle, tmp_path / "models", "--graph", "greedy", "--precision", "fp32")
    assert (code, out, err) == (0, f"{tmp_path}/models/echo-greedy\n", "")
    assert (tmp_path / "models/echo-greedy/config.pbtxt").read_text().startswith('name: "echo-greedy"\n')


def test_a_graph_that_is_not_there(command: Callable, echo_bundle: Path, tmp_path: Path) -> None:
    code, out, err = command("triton", echo_bundle, tmp_path, "--graph", "viterbi", "--precision", "fp32")
    assert (code, out) == (2, "")
    assert "no graph 'viterbi'" in err

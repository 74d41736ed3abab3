"""`run`, `train` and `export` hand a recipe to `keras_s2s.recipe`, which has tests of its own."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import keras_s2s
from keras_s2s import UserError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is asked of the recipes; TensorFlow is not imported."""
    calls: list[object] = []

    def load(path: Path) -> str:
        if not path.exists():
            raise UserError(f"{path}: no such file")
        return f"recipe of {path.name}"

    def does(verb: str) -> Callable[..., Path]:
        def work(recipe: str, **options: object) -> Path:
            calls.append((verb, recipe, options))
            return Path("saved_models") / verb

        return work

    fake = SimpleNamespace(load=load, run=does("run"), train=does("train"), export=does("export"))
    monkeypatch.setattr(keras_s2s, "recipe", fake, raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    return calls


def test_run(command: Callable, calls: list[object], tmp_path: Path) -> None:
    assert command("run", tmp_path) == (0, "", "")
    assert command("run", tmp_path, "--fresh") == (0, "", "")
    recipe = f"recipe of {tmp_path.name}"
    assert calls == [("run", recipe, {"fresh": False}), ("run", recipe, {"fresh": True})]


@pytest.mark.parametrize(
    ("verb", "given", "options"),
    [
        ("train", [], {}),
        ("export", [], {"checkpoint": None}),
        ("export", ["--checkpoint", "small"], {"checkpoint": Path("small")}),
    ],
)
def test_the_path_of_the_result_is_printed(
    command: Callable, calls: list[object], tmp_path: Path, verb: str, given: list[str], options: dict[str, object]
) -> None:
    assert command(verb, tmp_path, *given) == (0, f"{Path('saved_models') / verb}\n", "")
    assert calls == [(verb, f"recipe of {tmp_path.name}", options)]


@pytest.mark.parametrize("verb", ["run", "train", "export"])
def test_a_mistake_in_a_recipe(command: Callable, calls: list[object], verb: str) -> None:
    assert command(verb, "nowhere") == (2, "", "keras-s2s: nowhere: no such file\n")
    assert calls == []

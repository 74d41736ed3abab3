"""`keras-s2s prune` hands a recipe to `keras_s2s.recipe`, which has tests of its own, and shows what comes back."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import keras_s2s
from keras_s2s.recipe.prune import Pruned, Pruning

BEFORE = {"blocks": 8, "heads": 48, "units": 2_048, "parameters": 2_615_568, "bleu_tokenized": 36.104}
AFTER = {"blocks": 8, "heads": 24, "units": 1_024, "parameters": 1_956_880, "bleu_tokenized": 26.339}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is asked of the recipes."""
    calls: list[object] = []

    def prune(recipe: str, folder: Path, pruning: Pruning, checkpoint: Path | None) -> Pruned:
        print("model: done before")
        calls.append((recipe, folder, pruning, checkpoint))
        return Pruned(folder, {"width": 128}, BEFORE, AFTER)

    def prune_file(path: Path, to: Path, pruning: Pruning) -> Pruned:
        calls.append((path, to, pruning))
        sizes = ({name: of[name] for name in ("heads", "units")} for of in (BEFORE, AFTER))
        return Pruned(to, {"width": 128}, *sizes)

    fake = SimpleNamespace(load=lambda path: f"recipe of {path}", prune=prune, prune_file=prune_file, Pruning=Pruning)
    monkeypatch.setattr(keras_s2s, "recipe", fake, raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    return calls


def test_a_table_of_what_is_left(command: Callable, calls: list[object]) -> None:
    code, out, err = command("prune", "toy", "small", "--keep", "0.5")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "model: done before",
        "                  before     after ",
        "blocks                 8         8 ",
        "heads                 48        24 ",
        "units              2,048     1,024 ",
        "parameters     2,615,568 1,956,880 ",
        "bleu tokenized     36.10     26.34 ",
        "",
        "small: report.json says which sizes each layer has",
    ]
    assert calls == [("recipe of toy", Path("small"), Pruning(0.5), None)]


def test_json_of_it(command: Callable, calls: list[object]) -> None:
    options = [
        "--keep",
        0.4,
        "--blocks",
        2,
        "--importance",
        "norm",
        "--steps",
        3,
        "--epochs",
        0.5,
        "--checkpoint",
        "other",
        "--json",
    ]
    code, out, err = command("prune", "toy", "small", *options)
    assert (code, err) == (0, "model: done before\n")
    said = {"keep": 0.4, "parameters": None, "blocks": 2, "importance": "norm", "steps": 3, "epochs": 0.5}
    assert json.loads(out) == {**said, "folder": "small", "model": {"width": 128}, "before": BEFORE, "after": AFTER}
    assert calls == [("recipe of toy", Path("small"), Pruning(0.4, None, 2, "norm", 3, 0.5), Path("other"))]


def test_a_bare_model_file(command: Callable, calls: list[object]) -> None:
    code, out, err = command("prune", "model.keras", "small.keras", "--keep", "0.5")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["heads     48    24 ", "units  2,048 1,024 ", "", "small.keras: the smaller model"]
    assert calls == [(Path("model.keras"), Path("small.keras"), Pruning(0.5, importance="norm"))]

"""`new`: what is shown of a recipe that `keras_s2s.recipe.new` makes, which has tests of its own."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keras_s2s import training
from keras_s2s.training import Costs


@pytest.fixture(autouse=True)
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of pairs in the current folder, and a machine on which a step takes half a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "measure", lambda *given: Costs(step=0.5, interval=1.0))
    words = ["".join(letters) for letters in itertools.product("abcdefgh", repeat=3)]
    Path("pairs.csv").write_text(
        "".join(f"{number},{word},{word[::-1].upper()}\n" for number, word in enumerate(words))
    )


COLUMNS = ("--source", 2, "--target", "3")


def test_what_was_seen_and_chosen_and_what_comes_next(command: Callable) -> None:
    code, out, err = command("new", "mine", "--train", "pairs.csv", *COLUMNS, "--minutes", 7)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Seen in the pairs"
    assert lines[1].split()[:2] == ["pairs", "410"]
    shown = " ".join(out.split())  # Long cells are folded.
    assert " tokenizer characters, up to 100: texts are short: 99 % have up to 3 characters on one side" in shown
    assert " model LSTM, width 128, 1+1 layers: " in shown
    assert lines[-2:] == ["mine/recipe.yaml: written; next:", "  keras-s2s run mine/recipe.yaml"]
    assert Path("mine/recipe.yaml").is_file()


def test_json(command: Callable) -> None:
    code, out, err = command("new", "mine", "--train", "pairs.csv", *COLUMNS, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    assert found["recipe"] == "mine/recipe.yaml"
    assert found["seen"]["source"]["characters"] == {"median": 3, "most": 3, "longest": 3}
    assert found["seen"]["source"]["scripts"] == {"Latin": 1.0}
    assert found["chosen"]["tokenizer"]["kind"] == "char"
    assert found["why"].keys() == {"split", "tokenizer", "model", "training", "search", "metrics"}
    assert found["warnings"] == []


def test_mistakes_are_one_line(command: Callable) -> None:
    assert command("new", "mine", "--train", "pairs.csv") == (
        2,
        "",
        "keras-s2s: pairs.csv: line 1: 3 columns ('0', 'aaa', 'AAA'); say which two with --source and --target, "
        "by name or number\n",
    )
    code, _, err = command("new", "m" * 300, "--train", "pairs.csv", *COLUMNS)
    assert (code, err) == (2, f"keras-s2s: {'m' * 300}: File name too long; choose a shorter name\n")
    code, _, err = command("new", "mine", "--train", "pairs.csv", *COLUMNS, "--minutes", 0)
    assert (code, err.count("\n")) == (2, 1)
    assert not Path("mine").exists()

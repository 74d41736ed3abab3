"""`tune` shows what `keras_s2s.recipe.tune` found, which has tests of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import keras_s2s
from keras_s2s.recipe import Tried, Tuned
from keras_s2s.recipe.tuning_schema import Parameter, TuningConfig
from keras_s2s.training.criteria import Criterion


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bool]:
    """Whether each call was to be fresh; a search of four trials is found."""
    calls: list[bool] = []
    tried = [
        Tried(0, "pruned", 19.0, {"model.width": 8, "a.rate": 0.123456}, tmp_path / "trial-0000"),
        Tried(1, "complete", 20.0, {"model.width": 8, "a.rate": 0.01}, tmp_path / "trial-0001"),
        Tried(2, "failed", None, {"model.width": 16, "a.rate": 0.02}, tmp_path / "trial-0002", "[no] such width"),
        Tried(3, "complete", 30.5, {"model.width": 24, "a.rate": 0.001}, tmp_path / "trial-0003"),
    ]

    def tune(recipe: object, fresh: bool) -> Tuned:
        calls.append(fresh)
        print("Epoch 1/1")
        return Tuned((Criterion("chrf", True, 0.0),), tmp_path, tried)

    space = {"model.width": Parameter(low=8, high=24), "a.rate": Parameter(low=0.001, high=1, log=True)}
    loaded = SimpleNamespace(config=SimpleNamespace(tuning=TuningConfig(space=space)))
    fake = SimpleNamespace(load=lambda path: loaded, tune=tune)
    monkeypatch.setattr(keras_s2s, "recipe", fake, raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    return calls


def test_a_table_and_a_picture(command: Callable, calls: list[bool], tmp_path: Path) -> None:
    code, out, err = command("tune", "recipe", "--fresh")
    assert (code, err, calls) == (0, "", [True])
    rows = [line.split() for line in out.splitlines()]
    assert ["trial", "dev", "chrf", "state", "model.width", "a.rate"] in rows
    first = rows.index(["3", "30.50", "complete", "24", "0.001"])
    assert rows[first + 1 : first + 4] == [
        ["1", "20.00", "complete", "8", "0.01"],
        ["0", "19.00", "pruned", "8", "0.1235"],
        ["2", "failed", "16", "0.02"],
    ]
    assert "trial 2 failed: [no] such width" in out
    assert out.endswith(f"{tmp_path}: tuning.json, tuning.png and the checkpoints of each trial\n")
    assert (tmp_path / "tuning.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("columns", ["20", "40", "80"])
def test_no_name_and_no_value_is_cut_in_a_narrow_terminal(
    command: Callable, calls: list[bool], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    rows = [line.split() for line in command("tune", "recipe")[1].splitlines()]
    assert ["trial", "dev", "chrf", "state", "model.width", "a.rate"] in rows
    assert ["0", "19.00", "pruned", "8", "0.1235"] in rows


def test_json_alone_is_on_the_standard_output(command: Callable, calls: list[bool], tmp_path: Path) -> None:
    code, out, err = command("tune", "recipe", "--json")
    assert (code, err, calls) == (0, "Epoch 1/1\n", [False])
    found = json.loads(out)
    assert (found["metric"], found["higher_is_better"], found["folder"]) == ("chrf", True, str(tmp_path))
    assert [trial["number"] for trial in found["trials"]] == [3, 1, 0, 2]
    assert found["trials"][3]["reason"] == "[no] such width"
    assert found["trials"][0]["values"] == {"model.width": 24, "a.rate": 0.001}
    assert json.loads((tmp_path / "tuning.json").read_text()) == found

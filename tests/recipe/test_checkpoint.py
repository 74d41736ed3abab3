"""Checkpoints in folders: what recipes take of them, and what becomes of them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from keras_s2s import UserError, bundle, recipe
from keras_s2s.models import ModelConfig, build
from keras_s2s.recipe.checkpoint import Checkpoint, write_checkpoint
from keras_s2s.text import Tokenizer, train_joint
from keras_s2s.training import load

LINES = [f"{first} {second}" for first in ("ab", "cd", "dca", "b") for second in ("a", "dd", "bca", "acb")]
RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "copy",
    "data": {split: {"tsv": "pairs.tsv"} for split in ("train", "dev", "test")},
    "tokenizer": {"same_as": "start"},
    "model": {"width": 8, "encoder": {"kind": "gru"}, "decoder": {"kind": "gru"}, "dropout": 0.0},
    "training": {"epochs": 1, "tokens": 128, "start_from": "start"},
    "decoding": {
        "strategy": "greedy",
        "beam_size": 1,
        "length_penalty": 1.0,
        "length_penalty_base": 0.0,
        "n_best": 1,
        "max_length_factor": 1.0,
        "max_length_extra": 3,
    },
    "metrics": ["chrf"],
    "export": {"graphs": ["greedy"]},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a recipe, and a checkpoint `start` that it names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\t{line}\n" for line in LINES))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    source, target = train_joint(LINES, LINES, vocabulary_size=20, kind="char")
    write(tmp_path / "start", source, target)
    return tmp_path


def write(path: Path, source: Tokenizer, target: Tokenizer, width: int = 8) -> Checkpoint:
    sizes = {"source_vocabulary": source.vocabulary_size, "target_vocabulary": target.vocabulary_size}
    model = build(ModelConfig(width=width, encoder={"kind": "gru"}, decoder={"kind": "gru"}, **sizes))
    return write_checkpoint(path, source, target, lambda new: model.save(new / "model.keras"))


def test_a_recipe_starts_from_one_and_takes_its_tokenizers(folder: Path) -> None:
    content = yaml.safe_load((folder / "recipe.yaml").read_text())
    content["training"]["freeze"] = ["encoder*"]
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    trained = load(recipe.train(recipe.load(folder)))
    before = {weight.path: weight for weight in load(folder / "start" / "model.keras").weights}
    frozen = [weight for weight in trained.weights if weight.path.startswith("encoder")]
    assert frozen
    for weight in frozen:
        np.testing.assert_array_equal(weight, before[weight.path], err_msg=weight.path)
    start = Checkpoint.read(folder / "start").tokenizers()
    assert [side and side.model for side in start] == [
        (folder / "saved_models/.runs/toy/tokenizer" / f"{side}.model").read_bytes() for side in ("source", "target")
    ]


def test_another_one_of_the_same_name_is_another_start(folder: Path, capsys: pytest.CaptureFixture) -> None:
    first = Checkpoint.read(folder / "start")
    before = first.fingerprint()
    assert before == Checkpoint.read(folder / "start").fingerprint()
    source, target = first.tokenizers()
    assert source is not None
    keras.utils.set_random_seed(7)
    assert write(folder / "start", source, target).fingerprint() != before
    assert sorted(path.name for path in folder.iterdir()) == ["pairs.tsv", "recipe.yaml", "start"]


def test_one_is_exported_in_the_place_of_the_recipe_s_model(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    smaller = train_joint(LINES, LINES, vocabulary_size=20, kind="char", symbols=("<a>",))
    write(folder / "elsewhere" / "wider", *smaller, width=12)
    path = recipe.export(recipe.load(folder), folder / "elsewhere" / "wider")
    assert path == Path("saved_models/wider")
    found = bundle.read(path)
    assert found.manifest.tokenizers.target.vocabulary_size == smaller[1].vocabulary_size
    assert not (folder / "saved_models" / "toy").exists(), "nothing is trained for it"


def test_what_is_refused(folder: Path) -> None:
    loaded = recipe.load(folder)
    with pytest.raises(UserError, match=r"none: no checkpoint; expected a folder with model.keras"):
        recipe.export(loaded, Path("none"))
    checkpoint = Checkpoint.read(folder / "start")
    source, target = checkpoint.tokenizers()
    assert source is not None
    with pytest.raises(UserError, match=r"exists and is no checkpoint"):
        write(folder, source, target)
    write(folder / "saved_models" / "start", source, target)
    with pytest.raises(UserError, match=r"is where its bundle would be; move the checkpoint out of saved_models"):
        recipe.export(loaded, Path("saved_models/start"))


def test_recipes_that_need_each_other(folder: Path) -> None:
    for name, other in (("recipe", "other"), ("other", "recipe")):
        content = {**RECIPE, "name": name, "training": {**RECIPE["training"], "start_from": f"{other}.yaml"}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(
        UserError, match=r"recipe.yaml: recipes need each other's models in a circle: .*recipe.yaml needs"
    ):
        recipe.train(recipe.load(folder))

"""A recipe's model is trimmed, trained on and exported."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from keras_s2s import UserError, bundle, recipe
from keras_s2s.compression import BeforeAndAfter
from keras_s2s.recipe.checkpoint import Checkpoint
from keras_s2s.training import load

LINES = [f"{first} {second}" for first in ("ab", "cd", "dca", "b") for second in ("a", "dd", "bca", "acb")]
RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "copy",
    "data": {"train": {"tsv": "some.tsv"}, "dev": {"tsv": "all.tsv"}, "test": {"tsv": "all.tsv"}},
    "tokenizer": {"kind": "char", "vocabulary_size": 20, "joint": True, "symbols": ["<a>"]},
    "model": {"width": 8, "encoder": {"kind": "gru"}, "decoder": {"kind": "gru"}, "dropout": 0.0},
    "training": {"epochs": 1, "tokens": 128},
    "decoding": {"strategy": "greedy", "beam_size": 1},
    "metrics": ["chrf"],
    "export": {"graphs": ["greedy"]},
}


def write(path: Path, **changes: Any) -> recipe.Recipe:
    """The recipe with other keys; None takes one away."""
    content = {key: value for key, value in {**RECIPE, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    return recipe.load(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data of which the texts of some have no e, the targets no d."""
    monkeypatch.chdir(tmp_path)
    some = [f"{line}\t{line.replace('d', 'b')}\n" for line in LINES]
    (tmp_path / "some.tsv").write_text("".join(some))
    (tmp_path / "all.tsv").write_text("".join([*some, "ad e\tad e\n"]))
    return tmp_path


def test_the_trimmed_model_is_trained_on_and_exported(folder: Path) -> None:
    whole = write(folder / "whole.yaml", data={**RECIPE["data"], "train": {"tsv": "all.tsv"}})
    recipe.train(whole)
    (folder / "start").mkdir()
    for file in (folder / "saved_models/.runs/toy").glob("*/*.model"):
        (folder / "start" / file.name).write_bytes(file.read_bytes())
    (folder / "start" / "model.keras").write_bytes((folder / "saved_models/.runs/toy/model/best.keras").read_bytes())

    some = write(
        folder / "some.yaml", name="some", tokenizer={"same_as": "start"}, training={"epochs": 1, "start_from": "start"}
    )
    report = recipe.trim(some, folder / "small", folder / "start")
    # Of ▁ a b c d e and <a>: e is used on neither side, d in no target.
    assert report.pieces == {"source": BeforeAndAfter(11, 10), "target": BeforeAndAfter(11, 9)}
    assert [(side.texts, side.recut) for side in report.held_out["dev"].values()] == [(17, 1), (17, 1)]
    assert report.held_out["test"]["target"].examples[0].text == "ad e"
    small = Checkpoint.read(folder / "small")
    assert json.loads((small.folder / "report.json").read_text()) == dataclasses.asdict(report)
    assert not (folder / "saved_models/.runs/some/model").exists(), "nothing is trained for it"

    goes_on = write(
        folder / "on.yaml",
        name="on",
        tokenizer={"same_as": "small"},
        training={"epochs": 1, "start_from": "small", "freeze": ["encoder*"]},
    )
    before, after = load(small.model), load(recipe.train(goes_on))
    np.testing.assert_array_equal(after.encoder.source.embedding.table, before.encoder.source.embedding.table)
    assert after.config == before.config
    assert any((one != other).any() for one, other in zip(after.get_weights(), before.get_weights(), strict=True))

    manifest = bundle.read(recipe.export(some, small.folder)).manifest
    sizes = manifest.tokenizers.source.vocabulary_size, manifest.tokenizers.target.vocabulary_size
    assert sizes == (10, 9)


def test_a_recipe_s_own_model_with_nothing_to_trim(folder: Path) -> None:
    report = recipe.trim(write(folder / "toy.yaml", tokenizer={**RECIPE["tokenizer"], "joint": False}), Path("same"))
    assert all(side.before == side.after for side in report.pieces.values())
    assert report.parameters.before == report.parameters.after
    own, written = load(folder / "saved_models/.runs/toy/model/best.keras"), load(Checkpoint.read(Path("same")).model)
    for before, after in zip(own.get_weights(), written.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_language_model_has_targets_alone(folder: Path) -> None:
    (folder / "texts").write_text("".join(f"{line}\n" for line in LINES))
    (folder / "fewer").write_text("ab a\nb\n")
    changes = {"model": {"width": 8, "decoder": {"kind": "gru"}}, "decoding": None, "metrics": None, "export": None}
    texts = {split: {"target": "texts"} for split in ("train", "dev")}
    whole = write(folder / "lm.yaml", **changes, data=texts)
    assert recipe.trim(whole, Path("all")).held_out.keys() == {"dev"}
    fewer = write(folder / "fewer.yaml", **changes, data={**texts, "train": {"target": "fewer"}})
    report = recipe.trim(fewer, Path("fewer-pieces"), Path("all"))
    assert report.pieces == {"target": BeforeAndAfter(10, 8)}
    assert sorted(path.name for path in Path("fewer-pieces").iterdir()) == [
        "model.keras",
        "report.json",
        "target.model",
    ]


def test_what_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"none: no checkpoint; expected a folder with model\.keras"):
        recipe.trim(write(folder / "toy.yaml"), Path("new"), Path("none"))
    combined = {
        "combine": {"models": ["toy.yaml", "toy.yaml"]},
        "data": None,
        "tokenizer": None,
        "model": None,
        "training": None,
    }
    with pytest.raises(UserError, match=r"both\.yaml: combines models of other recipes; trim one of those$"):
        recipe.trim(write(folder / "both.yaml", **combined), Path("new"))
    assert not Path("new").exists()
    Path("taken").mkdir()
    Path("taken", "notes").touch()
    with pytest.raises(UserError, match=r"^taken: exists and is no checkpoint; choose another folder or remove it$"):
        recipe.trim(write(folder / "toy.yaml"), Path("taken"))
    assert not Path("saved_models").exists(), "nothing is trained for it"

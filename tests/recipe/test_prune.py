"""Pruning with a recipe: what is pruned, in which steps, and what is written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from keras_s2s import UserError, bundle, compression, recipe
from keras_s2s.config import parse
from keras_s2s.models import Architecture, ModelConfig, build
from keras_s2s.recipe import Pruning
from keras_s2s.recipe.checkpoint import Checkpoint, write_checkpoint
from keras_s2s.text import Tokenizer, train_joint
from keras_s2s.training import load

LINES = [f"{first} {second}" for first in ("ab", "cd", "dca", "b") for second in ("a", "dd", "bca", "acb")]
BLOCKS: dict[str, Any] = {"kind": "transformer", "layers": 1, "heads": 4, "feed_forward": 8}
RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "copy",
    "data": {split: {"tsv": "pairs.tsv"} for split in ("train", "dev", "test")},
    "tokenizer": {"kind": "char", "vocabulary_size": 20, "joint": True},
    "model": {"width": 8, "encoder": BLOCKS, "decoder": BLOCKS, "dropout": 0.0},
    "training": {"epochs": 1, "tokens": 128},
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
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> recipe.Recipe:
    """A recipe in the folder where it is run."""
    monkeypatch.chdir(tmp_path)
    Path("pairs.tsv").write_text("".join(f"{line}\t{line}\n" for line in LINES))
    return written(RECIPE)


def written(content: dict[str, Any]) -> recipe.Recipe:
    Path("recipe.yaml").write_text(yaml.safe_dump(content))
    return recipe.load(Path("recipe.yaml"))


def sizes(model: Any) -> tuple[int, int, int]:
    kept = compression.Kept.all_of(model)
    return kept.count("heads"), kept.count("memory_heads"), kept.count("units")


def test_in_steps_with_training_between(toy: recipe.Recipe, capsys: pytest.CaptureFixture) -> None:
    pruning = Pruning(0.25, steps=2, epochs=1)
    found = recipe.prune(toy, Path("small"), pruning)
    said = capsys.readouterr().out
    assert "pruning of small, step 1: started" in said
    assert "pruning of small, step 2: started" in said
    of_steps = [load(path) for path in sorted(Path("saved_models/.runs/toy").glob("pruning of small*/best.keras"))]
    assert [sum(sizes(model)[:2]) for model in of_steps] == [6, 3]
    assert [sizes(model)[2] for model in of_steps] == [8, 4]
    for step, model in enumerate(of_steps, 1):
        before = load(Path(f"saved_models/.runs/toy/pruning of small, step {step}/model.keras"))
        assert before.config == model.config
        changed = [not np.array_equal(*both) for both in zip(before.weights, model.weights, strict=True)]
        assert sum(changed) > len(changed) / 2

    checkpoint = Checkpoint.read(Path("small"))
    small = load(checkpoint.model)
    assert small.config == of_steps[1].config
    assert [side and side.vocabulary_size for side in checkpoint.tokenizers()] == [small.config.target_vocabulary] * 2
    whole = load(Path("saved_models/.runs/toy/model/best.keras"))
    for model, described, (heads, units) in ((whole, found.before, (12, 16)), (small, found.after, (3, 4))):
        counted = {"blocks": 2, "heads": heads, "units": units, "parameters": model.count_params()}
        assert described == {**counted, "chrf": described["chrf"]}
    report = json.loads(Path("small/report.json").read_text())
    assert (report["keep"], report["steps"], report["before"], report["after"]) == (
        0.25,
        2,
        found.before,
        found.after,
    )
    own = parse(ModelConfig, {**report["model"], **vocabularies(small)}, "report.json")
    assert own == small.config
    assert parse(Architecture, report["model"], "report.json").encoder == small.config.encoder

    again = recipe.prune(toy, Path("small"), pruning)
    assert again == found
    assert "pruning of small, step 2: done before" in capsys.readouterr().out
    path = recipe.export(toy, Path("small"))
    assert bundle.read(path).manifest.name == "small"


def vocabularies(model: Any) -> dict[str, int]:
    return {name: getattr(model.config, name) for name in ("source_vocabulary", "target_vocabulary")}


@pytest.mark.parametrize("importance", ["norm", "gradient"])
def test_a_checkpoint_is_pruned_once_without_training(toy: recipe.Recipe, importance: str) -> None:
    model = write(Path("start"))
    before = {file.name: bundle.sha256(file) for file in Path("start").iterdir()}
    found = recipe.prune(toy, Path("small"), Pruning(0.5, importance=importance), Path("start"))
    assert {file.name: bundle.sha256(file) for file in Path("start").iterdir()} == before
    assert not Path("saved_models/.runs/toy/model").exists(), "nothing is trained for it"
    small = load(Path("small/model.keras"))
    assert (found.after["heads"], found.after["units"]) == (6, 8)
    if importance == "norm":
        kept = compression.most_important(model, compression.by_norm(model), compression.budget_of(model, 0.5))
        expected = compression.prune(model, kept)
        assert small.config == expected.config
        for ours, theirs in zip(small.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    of_start, of_small = (Checkpoint.read(Path(name)).tokenizers()[1].model for name in ("start", "small"))
    assert of_small == of_start


def write(path: Path, kind: str = "transformer", blocks: dict[str, Any] = BLOCKS) -> Any:
    """A checkpoint with tokenizers of its own."""
    tokenizers: tuple[Tokenizer, Tokenizer] = train_joint(LINES, LINES, vocabulary_size=16, kind="char")
    ids = {f"{side}_vocabulary": of.vocabulary_size for side, of in zip(("source", "target"), tokenizers, strict=True)}
    part = blocks if kind == "transformer" else {"kind": kind}
    parts: Any = {"encoder": part, "decoder": part}
    model = build(ModelConfig(width=8, **parts, **ids))
    write_checkpoint(path, *tokenizers, lambda new: model.save(new / "model.keras"))
    return model


def test_blocks_go_first_then_heads_and_units_to_a_number_of_parameters(toy: recipe.Recipe) -> None:
    model = write(Path("start"), blocks={**BLOCKS, "layers": 2})
    shallow = compression.prune(model, compression.Kept.all_of(model).without_block("encoder", 0))
    pruning = Pruning(parameters=shallow.count_params() - 200, blocks=1)
    found = recipe.prune(toy, Path("small"), pruning, Path("start"))
    assert (found.before["blocks"], found.after["blocks"]) == (4, 3)
    assert found.after["parameters"] <= shallow.count_params() - 200
    assert load(Path("small/model.keras")).count_params() == found.after["parameters"]
    alone = recipe.prune(toy, Path("alone"), Pruning(blocks=1), Path("start"))
    assert (alone.after["blocks"], alone.after["units"]) == (3, 24)


def test_a_budget_is_refused_before_anything_is_trained(toy: recipe.Recipe) -> None:
    with pytest.raises(UserError, match=r"share of 0\.1: each part of a block keeps one, so at least 3 of 12 heads; "):
        recipe.prune(toy, Path("small"), Pruning(0.1))
    with pytest.raises(UserError, match=r"cannot get to 100 parameters: "):
        recipe.prune(toy, Path("small"), Pruning(parameters=100))
    with pytest.raises(UserError, match=r"2 of 2 blocks cannot go"):
        recipe.prune(toy, Path("small"), Pruning(0.5, blocks=2))
    assert not Path("saved_models/.runs/toy/model").exists()


def test_what_is_refused(toy: recipe.Recipe) -> None:
    with pytest.raises(UserError, match="prune: no importance 'size'; there are gradient, norm"):
        recipe.prune(toy, Path("small"), Pruning(0.5, importance="size"))
    with pytest.raises(UserError, match="two budgets; give one"):
        recipe.prune(toy, Path("small"), Pruning(0.5, 1000))
    with pytest.raises(UserError, match="nothing is to go; give a share"):
        recipe.prune(toy, Path("small"), Pruning())
    with pytest.raises(UserError, match=r"none: no checkpoint; expected a folder with model.keras"):
        recipe.prune(toy, Path("small"), Pruning(0.5), Path("none"))
    Path("full").mkdir()
    Path("full/thesis.txt").touch()
    with pytest.raises(UserError, match=r"full: exists and is no checkpoint; choose another folder or remove it"):
        recipe.prune(toy, Path("full"), Pruning(0.5))
    write(Path("start"), "gru")
    with pytest.raises(UserError, match="prune: the model has no Transformer blocks"):
        recipe.prune(toy, Path("small"), Pruning(0.5), Path("start"))
    shared = {name: RECIPE[name] for name in ("name", "task", "decoding", "metrics")}
    combined = written({**shared, "combine": {"models": ["one.yaml", "two.yaml"]}})
    with pytest.raises(UserError, match="combines models of other recipes; prune those"):
        recipe.prune(combined, Path("small"), Pruning(0.5))


def test_a_bare_model_file_is_pruned_once_by_norm(tmp_path: Path) -> None:
    model = write(tmp_path / "start")
    bare, small = tmp_path / "start" / "model.keras", tmp_path / "new" / "small.keras"
    found = recipe.prune_file(bare, small, Pruning(0.5, importance="norm"))
    kept = compression.most_important(model, compression.by_norm(model), compression.budget_of(model, 0.5))
    expected, loaded = compression.prune(model, kept), load(small)
    assert loaded.config == expected.config
    for ours, theirs in zip(loaded.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert found.before == {"blocks": 2, "heads": 12, "units": 16, "parameters": model.count_params()}
    assert found.after == {"blocks": 2, "heads": 6, "units": 8, "parameters": loaded.count_params()}
    assert [path.name for path in small.parent.iterdir()] == ["small.keras"]
    for more in ({"epochs": 1}, {"steps": 2}, {"blocks": 1}, {"importance": "gradient"}):
        with pytest.raises(UserError, match="is a bare model file, and has no data"):
            recipe.prune_file(bare, small, Pruning(0.5, **{"importance": "norm", **more}))
    with pytest.raises(UserError, match=r"small: expected a name that ends in \.keras"):
        recipe.prune_file(bare, tmp_path / "small", Pruning(0.5, importance="norm"))
    with pytest.raises(UserError, match=r"none\.keras: no such file"):
        recipe.prune_file(tmp_path / "none.keras", small, Pruning(0.5, importance="norm"))

"""What a recipe may say, and what is said to somebody who said something else."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_s2s import UserError
from keras_s2s.models import LSTMEncoderConfig, TransformerDecoderConfig, TransformerEncoderConfig
from keras_s2s.recipe import CombinedConfig, RecipeConfig, load
from keras_s2s.recipe.read import resolve

PIPELINES = Path(__file__).parents[2] / "pipelines"
# Those of Snakemake are no recipes.
RECIPES = sorted(path for path in PIPELINES.rglob("*.yaml") if "profiles" not in path.parts)
RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "copy",
    "data": {split: {"tsv": f"{split}.tsv"} for split in ("train", "dev", "test")},
    "tokenizer": {"kind": "char", "vocabulary_size": 20},
    "model": {
        "width": 16,
        "encoder": {"kind": "transformer", "layers": 3, "heads": 2},
        "decoder": {"kind": "transformer", "layers": 2, "heads": 2},
    },
    "training": {"epochs": 1},
    "decoding": {
        "strategy": "greedy",
        "beam_size": 1,
        "length_penalty": 1.0,
        "length_penalty_base": 0.0,
        "n_best": 1,
        "max_length_factor": 1.0,
        "max_length_extra": 3,
    },
    "metrics": ["exact_match"],
}


def write(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def changed(key: str, value: Any) -> dict[str, Any]:
    """The recipe with one key, named by its path, that says something else."""
    recipe = copy.deepcopy(RECIPE)
    part, *path = recipe, *key.split(".")
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return recipe


def complaint(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_our_recipes_are_right(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders = {"KERAS_S2S_DATA": str(tmp_path), "DISTILLED": str(tmp_path / "distilled")}
    for name, value in {**folders, "SOURCE_LANGUAGE": "en", "TARGET_LANGUAGE": "de"}.items():
        monkeypatch.setenv(name, value)
    recipe = load(path)
    assert recipe.path == path
    if isinstance(recipe.config, CombinedConfig):
        others = [*recipe.config.combine.models, recipe.config.combine.language_model]
        assert all(isinstance(load(path.parent / other).config, RecipeConfig) for other in others if other)
        return
    data, same_as = recipe.config.data, recipe.config.tokenizer.same_as
    assert same_as is None or isinstance(load(path.parent / same_as).config, RecipeConfig)
    assert data.generate is None or (path.parent / data.generate).is_file()
    for files in (*data.split("train"), *data.split("dev"), *data.split("test")):
        given = files.reader.model_dump(include={"tsv", "source", "target"})
        for name in given.values():
            assert name is None or resolve(name, tmp_path, path).is_relative_to(tmp_path)


def test_our_recipes_have_names_of_their_own() -> None:
    names = [load(path).config.name for path in RECIPES]
    assert len(names) >= 5
    assert len(set(names)) == len(names)


def test_a_file_or_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "recipe.yaml", RECIPE)
    assert load(tmp_path) == load(path) == load(str(path))
    config = load(path).config
    assert (config.name, config.training.epochs, config.max_source_tokens) == ("toy", 1, 256)


def test_a_folder_without_its_recipe_names_the_others(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml"):
        write(tmp_path / name, RECIPE)
    others = f"{tmp_path / 'a.yaml'}, {tmp_path / 'b.yaml'}"
    assert complaint(tmp_path) == f"{tmp_path}: no recipe.yaml in this folder; name one of its recipes: {others}"


def test_a_folder_without_recipes(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"{tmp_path}: no recipe.yaml in this folder; and no other recipe"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    message = "no such file; expected a recipe, a YAML file or a folder with one"
    assert complaint(tmp_path / "absent.yaml") == f"{tmp_path / 'absent.yaml'}: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1, 2", "expected YAML in UTF-8: "),
        (b"a: b: c", "expected YAML in UTF-8: "),
        (b"a: \xff", "expected YAML in UTF-8: "),
        (b"a: !!python/object:os.system {}", "expected YAML in UTF-8: "),
        (b"", "expected keys and values, got NoneType"),
        (b"- a\n- b\n", "expected keys and values, got list"),
        (b"just text", "expected keys and values, got str"),
    ],
)
def test_files_that_are_no_recipe(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    assert complaint(path).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("trainning", {}, "trainning: unknown key; did you mean 'training'?"),
        ("training.label_smoothin", 1, "training.label_smoothin: unknown key; did you mean 'label_smoothing'?"),
        ("model.encoder.layer", 1, "model.encoder.layer: unknown key; did you mean 'layers'?"),
        ("data.train.tvs", "x", "data.train.tvs: unknown key; did you mean 'tsv'?"),
        ("model.encoder", {"kind": "rnn"}, "model.encoder.kind: no such encoder; there are lstm, gru, "),
        ("model.width", 15, "model: width 15 must be even"),
        ("model.decoder.heads", 3, "model: width 16 is not a multiple of 3 heads"),
        ("tokenizer.kind", "words", "tokenizer.kind: "),
        ("training.epochs", 0, "training.epochs: "),
        ("decoding.beam_size", 4, "decoding.beam_size: "),
        ("metrics", [], "RecipeConfig: metrics: this key is required"),
        ("metrics", ["blue"], "metrics: metrics: blue: unknown metric; did you mean 'bleu'?"),
        ("data.dev", {"source": "x"}, "data.dev: expected one of "),
        ("data.dev", {}, "data.dev: expected one of "),
        ("data.dev", {"tsv": "x", "source": "x"}, "data.dev: 'source' goes with 'target', not 'tsv'"),
        ("data.dev", {"tsv": "x", "target": "x"}, "data.dev: expected one of "),
        ("name", "a/b", "name: "),
        ("name", "..", "name: "),
        ("name", ".runs", "name: "),
        ("task", "two words", "task: "),
        ("max_source_tokens", 0, "max_source_tokens: "),
        ("model.share_embeddings", True, "RecipeConfig: model.share_embeddings needs one vocabulary for both sides; "),
    ],
)
def test_wrong_keys_and_values(tmp_path: Path, key: str, value: Any, message: str) -> None:
    path = write(tmp_path / "recipe.yaml", changed(key, value))
    assert complaint(path).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("key", "where"),
    [
        *((key, "") for key in ("name", "data", "model", "training")),
        # What only a language model may leave out.
        *((key, "RecipeConfig: ") for key in ("decoding", "metrics")),
    ],
)
def test_what_must_be_said(tmp_path: Path, key: str, where: str) -> None:
    path = write(tmp_path / "recipe.yaml", {name: value for name, value in RECIPE.items() if name != key})
    assert complaint(path) == f"{path}: {where}{key}: this key is required"


def test_shared_embeddings_of_a_joint_tokenizer(tmp_path: Path) -> None:
    recipe = changed("model.share_embeddings", True)
    recipe["tokenizer"]["joint"] = True
    assert load(write(tmp_path / "recipe.yaml", recipe)).config.model.share_embeddings


def test_a_recipe_extends_another_key_by_key(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", RECIPE)
    changes = {"name": "other", "training": {"tokens": 99}, "model": {"encoder": {"layers": 5}}, "metrics": ["chrf"]}
    recipe = load(write(tmp_path / "recipe.yaml", {"extends": "base.yaml", **changes}))
    config = recipe.config
    assert isinstance(config, RecipeConfig)
    assert recipe.path == tmp_path / "recipe.yaml"
    assert (config.name, config.task, config.metrics) == ("other", "copy", ("chrf",))
    assert (config.training.epochs, config.training.tokens) == (1, 99)
    # The kind is the same, so the other keys stay.
    assert config.model.encoder == TransformerEncoderConfig(layers=5, heads=2)


def test_a_part_of_another_kind_is_another_part(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", RECIPE)
    changes = {"model": {"encoder": {"kind": "lstm"}, "decoder": {"kind": "transformer", "layers": 9}}}
    model = load(write(tmp_path / "recipe.yaml", {"extends": "base.yaml", **changes})).config.model
    assert model.encoder == LSTMEncoderConfig(layers=1)
    assert model.decoder == TransformerDecoderConfig(layers=9, heads=2)
    assert model.width == 16


def test_extending_what_extends(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "base.yaml", RECIPE)
    write(tmp_path / "below" / "middle.yaml", {"extends": "../base.yaml", "training": {"tokens": 7, "epochs": 2}})
    path = write(tmp_path / "recipe.yaml", {"extends": "below/middle.yaml", "training": {"epochs": 3}})
    training = load(path).config.training
    assert (training.tokens, training.epochs) == (7, 3)


def test_recipes_that_extend_each_other(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    write(one, {"extends": "other.yaml"})
    write(other, {"extends": "./one.yaml"})
    chain = f"{one} -> {other} -> {one}"
    assert complaint(one) == f"{one}: extends: in a circle, {chain}; take one 'extends' away"
    itself = write(tmp_path / "itself.yaml", {"extends": "itself.yaml"})
    assert "in a circle" in complaint(itself)


def test_extending_what_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "recipe.yaml", {"extends": "absent.yaml"})
    assert complaint(path).startswith(f"{tmp_path / 'absent.yaml'}: no such file")


def test_extending_a_folder_or_no_name(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    path = write(tmp_path / "recipe.yaml", {"extends": "below"})
    assert complaint(path).startswith(f"{tmp_path / 'below'}: cannot be read: ")
    path = write(tmp_path / "recipe.yaml", {"extends": ["a.yaml", "b.yaml"]})
    assert complaint(path).startswith(f"{path}: extends: expected the name of a YAML file")


def test_a_wrong_key_that_was_extended_is_the_recipe_s(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", changed("training.epoch", 1))
    path = write(tmp_path / "recipe.yaml", {"extends": "base.yaml"})
    assert complaint(path) == f"{path}: training.epoch: unknown key; did you mean 'epochs'?"


LANGUAGE_MODEL: dict[str, Any] = {
    "name": "toy",
    "task": "text",
    "data": {split: {"target": f"{split}.txt"} for split in ("train", "dev")},
    "tokenizer": {"same_as": "other.yaml"},
    "model": {"width": 16, "decoder": {"kind": "lstm"}},
    "training": {"epochs": 1},
}


def test_a_language_model(tmp_path: Path) -> None:
    config = load(write(tmp_path / "recipe.yaml", LANGUAGE_MODEL)).config
    assert isinstance(config, RecipeConfig)
    assert config.is_language_model
    assert config.data.test is None
    assert config.tokenizer.same_as == "other.yaml"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["chrf"]}, "a language model is chosen by its perplexity; leave out 'metrics' and 'decoding'"),
        ({"decoding": RECIPE["decoding"]}, "a language model is chosen by its perplexity; leave out"),
        ({**RECIPE, "data": {**RECIPE["data"], "dev": {"target": "x"}}}, "data.dev: has targets alone, as for a"),
        ({**RECIPE, "data": {key: RECIPE["data"][key] for key in ("train", "dev")}}, "data.test: this key is required"),
    ],
)
def test_language_models_and_others(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "recipe.yaml", {**LANGUAGE_MODEL, **changes})
    assert complaint(path).startswith(f"{path}: RecipeConfig: {message}")


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (
            {"same_as": "a.yaml", "joint": True},
            "same_as takes the tokenizers of another as they are; leave the other",
        ),
        ({"joint": True, "target": {"kind": "word"}}, "joint is one vocabulary for both sides; leave out either"),
        ({"target": {"kind": "word", "joint": True}}, "target.joint: unknown key; "),
    ],
)
def test_tokenizers_in_two_ways(tmp_path: Path, tokenizer: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "recipe.yaml", {**RECIPE, "tokenizer": tokenizer})
    assert complaint(path).removeprefix(f"{path}: tokenizer").lstrip(".: ").startswith(message)


@pytest.mark.parametrize(
    "graphs", [["greedy"], ["beam-constrained-coverage", "ctc_beam", "greedy", "greedy.steps"], []]
)
def test_graphs_of_a_bundle(tmp_path: Path, graphs: list[str]) -> None:
    path = write(tmp_path / "recipe.yaml", {**RECIPE, "export": {"graphs": graphs, "shortlist": True}})
    expected = {"graphs": tuple(graphs), "shortlist": True, "operators": "onnxruntime", "examples": 5}
    assert load(path).config.export.model_dump() == expected


def test_operators_of_a_bundle(tmp_path: Path) -> None:
    path = write(tmp_path / "recipe.yaml", {**RECIPE, "export": {"operators": "standard"}})
    assert load(path).config.export.operators == "standard"
    path = write(tmp_path / "recipe.yaml", {**RECIPE, "export": {"operators": "tensorrt"}})
    assert complaint(path).startswith(f"{path}: export.operators: ")


def test_the_graph_of_the_defaults_must_be_there(tmp_path: Path) -> None:
    path = write(tmp_path / "recipe.yaml", {**RECIPE, "export": {"graphs": ["beam", "score"]}})
    assert (
        complaint(path)
        == f"{path}: RecipeConfig: export.graphs: decoding needs 'greedy', which is not among beam, score"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("baem", "graphs: baem: unknown strategy 'baem'; did you mean 'beam'?"),
        ("beam-constraned", "graphs: beam-constraned: unknown feature 'constraned'; did you mean 'constrained'?"),
        ("beam_constrained", "graphs: beam_constrained: unknown strategy 'beam_constrained'; "),
        ("greedy-", "graphs: greedy-: unknown feature ''; known are "),
        ("", "graphs: : unknown strategy ''; known are "),
        ("greedy.stops", "graphs: greedy.stops: unknown strategy 'greedy.stops'; did you mean 'greedy'?"),
        ("baem.steps", "graphs: baem: unknown strategy 'baem'; did you mean 'beam'?"),
        ("beam.steps", "graphs: beam.steps: needs the graph 'beam' beside it; name it, too"),
        ("diverse.steps", "graphs: diverse.steps: 'diverse' has no steps; greedy and beam have; needs the graph "),
    ],
)
def test_graphs_that_nobody_knows(tmp_path: Path, name: str, message: str) -> None:
    path = write(tmp_path / "recipe.yaml", {**RECIPE, "export": {"graphs": ["greedy", name]}})
    assert complaint(path).startswith(f"{path}: export.graphs: {message}")


COMBINED: dict[str, Any] = {
    "name": "both",
    "task": "copy",
    "combine": {"models": ["a.yaml", "b.yaml"], "weights": [2, 1], "language_model": "lm.yaml"},
    "decoding": RECIPE["decoding"],
    "metrics": ["exact_match"],
}


def test_a_recipe_that_combines_others(tmp_path: Path) -> None:
    config = load(write(tmp_path / "recipe.yaml", COMBINED)).config
    assert isinstance(config, CombinedConfig)
    assert (config.combine.models, config.combine.weights) == (("a.yaml", "b.yaml"), (2, 1))
    assert (config.combine.method, config.combine.language_model) == ("log-linear", "lm.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"combine": {"models": ["a.yaml"]}}, "combine: one model and no language_model: there is nothing to combine"),
        ({"combine": {"models": []}}, "combine.models: "),
        ({"combine": {"models": ["a.yaml", "b.yaml"], "weights": [1]}}, "combine: 2 models and 1 weights; give each"),
        ({"combine": {"models": ["a.yaml", "b.yaml"], "weights": [1, 0]}}, "combine.weights.1: "),
        ({"combine": {"models": ["a.yaml", "b.yaml"], "methd": "linear"}}, "combine.methd: unknown key; did you mean"),
        ({"metrics": []}, "CombinedConfig: metrics: this key is required"),
        ({"training": {"epochs": 1}}, "training: unknown key; "),
    ],
)
def test_combinations_that_are_none(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "recipe.yaml", {**COMBINED, **changes})
    assert complaint(path).startswith(f"{path}: {message}")


def test_places_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tmp_path / "recipe.yaml"
    monkeypatch.setenv("FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("LANGUAGE_OF_TEST", "de")
    assert resolve("train.tsv", tmp_path, recipe) == tmp_path / "train.tsv"
    assert resolve("/abs/train.tsv", tmp_path, recipe) == Path("/abs/train.tsv")
    assert resolve("${FOLDER}/train.${LANGUAGE_OF_TEST}", Path("elsewhere"), recipe) == tmp_path / "data" / "train.de"
    assert resolve("in-${LANGUAGE_OF_TEST}/x", tmp_path, recipe) == tmp_path / "in-de" / "x"
    # Who sets a variable to a relative folder means the current one.
    monkeypatch.setenv("FOLDER", "data")
    assert resolve("${FOLDER}/train", Path("elsewhere"), recipe) == Path("data/train")


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("KERAS_S2S_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("KERAS_S2S_DATA", value)
    with pytest.raises(UserError) as error:
        resolve("${KERAS_S2S_DATA}/train.en", tmp_path, tmp_path / "recipe.yaml")
    place = f"{tmp_path / 'recipe.yaml'}: ${{KERAS_S2S_DATA}}/train.en"
    message = "the environment variable KERAS_S2S_DATA is not set; set it as the page of the recipe says"
    assert str(error.value) == f"{place}: {message}"

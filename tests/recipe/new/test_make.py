"""From a file of pairs to a recipe, with steps that are measured in a process of their own."""

import importlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_s2s import UserError, data, recipe
from keras_s2s.recipe.new import New, make
from keras_s2s.training import Costs

module = importlib.import_module("keras_s2s.recipe.new.make")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The widths that were measured; a step takes a second for each 64 of the width."""
    widths: list[int] = []

    def measure(config: Any, *given: Any) -> Costs:
        widths.append(config.width)
        return Costs(step=config.width / 64, interval=1.0)

    monkeypatch.setattr(module.training, "measure", measure)
    return widths


def words(count: int = 300) -> list[str]:
    draw = random.Random(1)
    return sorted({"".join(draw.choices("abcdefgh", k=draw.randint(3, 8))) for _ in range(2 * count)})[:count]


def write(rows: Sequence[tuple[str, str]]) -> Path:
    Path("pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in rows))
    return Path("pairs.tsv")


def reversals() -> Path:
    return write([(word, word[::-1]) for word in words()])


def made(files: dict[str, Path] | None = None, **options: Any) -> New:
    return make("mine", files or {"train": reversals()}, **options)  # type: ignore[arg-type]


def test_a_recipe_with_its_data(measured: list[int]) -> None:
    new = made(minutes=10)
    config = recipe.load("mine").config
    assert isinstance(config, recipe.RecipeConfig)
    assert new.recipe == Path("mine/recipe.yaml")
    assert (config.name, config.tokenizer.kind, config.metrics) == ("mine", "char", ("exact_match", "cer"))
    assert config.training.minutes is not None and config.training.epochs is None
    assert yaml.safe_load(new.recipe.read_text())["data"] == {
        name: {"tsv": f"{name}.tsv"} for name in ("train", "dev", "test")
    }
    splits = [data.read_tsv(Path("mine") / f"{name}.tsv") for name in ("train", "dev", "test")]
    rows = [row for pairs in splits for row in zip(pairs.sources, pairs.targets, strict=True)]
    assert sorted(rows) == sorted((word, word[::-1]) for word in words())
    assert [len(pairs) for pairs in splits[1:]] == [30, 30]


def test_every_choice_has_a_comment(measured: list[int]) -> None:
    lines = made().recipe.read_text().splitlines()
    assert lines[0].startswith("# Made by `keras-s2s new` from pairs.tsv.")
    for key in ("data:", "tokenizer:", "model:", "training:", "  minutes:", "decoding:", "metrics:"):
        (at,) = [number for number, line in enumerate(lines) if line.startswith(key)]
        assert lines[at - 1].strip().startswith("# ")
    assert max(map(len, lines)) <= 120


def test_the_largest_model_that_has_enough_epochs(measured: list[int]) -> None:
    # 100 epochs of some 10 batches are wanted. Of 128 units a step takes 2 s, of 64 one.
    assert made(minutes=60).content["model"]["width"] == 128
    assert measured == [128]
    measured.clear()
    Path("mine").rename("first")
    slow = made(minutes=20)
    assert slow.content["model"]["width"] == 64
    assert measured == [128, 64]
    assert "a larger one would have less than 100 epochs in 20 minutes" in slow.chose["model"][1]
    Path("mine").rename("second")
    assert "give it more minutes" in made(minutes=2).chose["model"][1]


def test_no_more_minutes_than_help(measured: list[int]) -> None:
    new = made(minutes=600)
    assert 0 < new.content["training"]["minutes"] < 600
    assert "600 minutes would be more epochs than help" in new.chose["training"][1]


def test_the_same_again(measured: list[int]) -> None:
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(made().recipe.parent.iterdir())}

    first = content()
    Path("mine").rename("first")
    assert content() == first


def test_texts_of_several_lines_are_kept(measured: list[int]) -> None:
    path = Path("pairs.jsonl")
    rows = [{"input": f"{word}\n{number}", "output": f"\t{word}"} for number, word in enumerate(words())]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made({"train": path})
    assert yaml.safe_load(Path("mine/recipe.yaml").read_text())["data"]["train"] == {"jsonl": "train.jsonl"}
    found = data.read_jsonl("mine/train.jsonl")
    assert {(source, target) for source, target in zip(found.sources, found.targets, strict=True)} <= {
        (row["input"], row["output"]) for row in rows
    }


def test_what_is_worth_a_look_is_said(measured: list[int]) -> None:
    rows = [(word, word[::-1]) for word in dict.fromkeys(words())]
    train = write([*rows, ("", "x"), ("y", "  "), rows[0], rows[0], (rows[1][0], "other")])
    dev = Path("dev.tsv")
    dev.write_text(f"{rows[0][0]}\tx\nnew\twen\n")
    said = "\n".join(made({"train": train, "dev": dev, "test": dev}).warnings)
    assert "train: 2 pairs with an empty side are left out" in said
    assert "dev: 1 of its sources is in train, too" in said
    assert "train: 2 pairs are in it more than once" in said
    assert f"train: sources with several targets: 1; a model gives only one: '{rows[1][0]}' is" in said


def test_a_folder_that_is_there_is_left_alone(here: Path) -> None:
    Path("mine").mkdir()
    Path("mine/recipe.yaml").write_text("mine")
    with pytest.raises(UserError, match="mine: is there already, and not empty; choose another name"):
        made()
    assert Path("mine/recipe.yaml").read_text() == "mine"
    Path("mine/recipe.yaml").unlink()
    Path("saved_models/mine").mkdir(parents=True)
    with pytest.raises(UserError, match="saved_models/mine: a run would replace this bundle; choose another name"):
        made()


@pytest.mark.parametrize("name", ["", "a/b", "../mine", ".hidden", "two words"])
def test_names(name: str) -> None:
    with pytest.raises(UserError, match="expected a name of letters, digits"):
        make(name, {"train": reversals()})


@pytest.mark.parametrize("minutes", [float("inf"), float("nan")])
def test_minutes_without_an_end(minutes: float) -> None:
    with pytest.raises(UserError, match=r"^minutes: expected a finite number, got "):
        made(minutes=minutes)


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_measured() -> None:
    with pytest.raises(OSError, match="File name too long"):
        make("m" * 300, {"train": Path("not read.tsv")})


def test_few_pieces_make_a_smaller_vocabulary(measured: list[int]) -> None:
    draw = random.Random(1)
    signs = [chr(0x4E00 + number) for number in range(200)]
    write([("".join(draw.choices(signs, k=20)), "".join(draw.choices(signs, k=25))) for _ in range(500)])
    tokenizer = made({"train": Path("pairs.tsv")}).content["tokenizer"]
    assert tokenizer["kind"] == "unigram"
    assert 200 < tokenizer["vocabulary_size"] < 500


def test_lone_surrogates_are_replaced(measured: list[int]) -> None:
    path = Path("pairs.jsonl")
    path.write_text("".join(json.dumps({"source": f"{word}\ud800", "target": word}) + "\n" for word in words()))
    made({"train": path})
    assert all(source.endswith("\ufffd") for source in data.read_tsv("mine/train.tsv").sources)


def test_one_epoch_is_no_epochs(measured: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.training, "epochs_in", lambda *given: 1.0)
    what, why = made(minutes=1).chose["training"]
    assert (what, why.partition(";")[0]) == ("1 minute", "about 1 epoch")


def test_the_wrong_columns() -> None:
    with pytest.raises(UserError, match=r"pairs\.tsv: every pair has an empty side; are these the right columns\?"):
        made({"train": write([("", "a"), ("", "b")])})
    assert not Path("mine").exists()


def test_steps_are_measured_in_a_process_of_their_own() -> None:
    new = made(minutes=600)
    assert 0 < new.content["training"]["minutes"] < 600
    # Fewer evaluations than steps, and more than one.
    config = recipe.load("mine").config
    assert isinstance(config, recipe.RecipeConfig)
    assert (config.training.evaluate_every or 0) > 1

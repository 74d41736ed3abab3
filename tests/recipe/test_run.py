"""Runs of a small recipe: which stages are done, and what comes out."""

import importlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_s2s import UserError, bundle, recipe
from keras_s2s.data import Task
from keras_s2s.models import ModelConfig, build
from keras_s2s.runtime import Generator
from keras_s2s.text import Tokenizer

module = importlib.import_module("keras_s2s.recipe.run")
combining = importlib.import_module("keras_s2s.recipe.combine")

PIPELINES = Path(__file__).parents[2] / "pipelines"
STAGES = ["data", "tokenizer", "model", "bundle"]
ANEW = "started anew beside the finished one, which stays until this one is"
GENERATE = """
import argparse, pathlib, random
parser = argparse.ArgumentParser()
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--seed", type=int)
options = parser.parse_args()
draw = random.Random(options.seed)
words = sorted({"".join(draw.choices("abcd", k=draw.randint(1, 4))) for _ in range(2000)})
draw.shuffle(words)
for name, some in (("train", words[40:]), ("dev", words[:20]), ("test", words[20:40])):
    lines = [f"{word}\\t{word[::-1]}\\n" for word in some]
    (options.folder / f"{name}.tsv").write_text("".join(lines))
"""
RECIPE: dict[str, Any] = {
    "name": "toy",
    "task": "reversal",
    "data": {
        "generate": "generate.py",
        "seed": 3,
        **{split: {"tsv": f"{split}.tsv"} for split in ("train", "dev", "test")},
    },
    "tokenizer": {"kind": "char", "vocabulary_size": 20, "joint": True},
    "model": {"width": 16, "encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}, "dropout": 0.0},
    "training": {"epochs": 2, "tokens": 128, "optimizer": {"schedule": {"kind": "cosine", "learning_rate": 0.01}}},
    "decoding": {
        "strategy": "greedy",
        "beam_size": 1,
        "length_penalty": 1.0,
        "length_penalty_base": 0.0,
        "n_best": 1,
        "max_length_factor": 1.0,
        "max_length_extra": 3,
    },
    "metrics": ["chrf", "exact_match"],
    "max_source_tokens": 30,
}


def shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def change(recipe: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        recipe = recipe[name]
    recipe[last] = value


class Kitchen:
    """A recipe in a folder of its own, run from another one."""

    def __init__(self, folder: Path, printed: Callable[[], str]) -> None:
        self.folder, self.printed = folder, printed
        folder.mkdir()
        self.content: dict[str, Any] = yaml.safe_load(yaml.safe_dump(RECIPE))
        (folder / "generate.py").write_text(GENERATE)

    def load(self) -> recipe.Recipe:
        (self.folder / "recipe.yaml").write_text(yaml.safe_dump(self.content))
        return recipe.load(self.folder)

    def run(self, verb: Callable = recipe.export) -> dict[str, str]:
        """Stage -> what was said of it."""
        self.printed()
        verb(self.load())
        return self.said()

    def said(self) -> dict[str, str]:
        return dict(re.findall(rf"^({'|'.join(STAGES)}): (.*)$", self.printed(), re.MULTILINE))


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Kitchen:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Kitchen(tmp_path / "recipe", lambda: capsys.readouterr().out)


def hashes(folder: Path) -> dict[str, tuple[str, int]]:
    """Content and time of writing of every file, but for the one that says who runs the recipe."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.process")
    return {str(path): (bundle.sha256(path), path.stat().st_mtime_ns) for path in files}


def test_a_whole_run_and_the_same_again(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    kitchen.content["export"] = {"graphs": ["greedy"]}
    first = kitchen.run(recipe.run)
    assert first == dict.fromkeys(STAGES, "started")
    path = Path("saved_models") / "toy"
    found = bundle.read(path)
    bundle.verify(found, found.manifest.hashes)
    assert (found.manifest.name, found.manifest.task) == ("toy", "reversal")
    assert found.manifest.limits.max_source_tokens == 30
    assert found.manifest.decoding.strategy == "greedy"
    assert list(found.manifest.metrics["Keras"]) == ["chrf", "exact_match"]
    source, target = (
        Tokenizer.load(path / file.path)
        for file in (found.manifest.tokenizers.source, found.manifest.tokenizers.target)
    )
    assert source.pieces(range(source.vocabulary_size)) == target.pieces(range(target.vocabulary_size))
    generator = Generator.load(path)
    outputs = [hypotheses[0].text for hypotheses in generator(["abc", "dd", "", "cab"])]
    assert outputs[2] == ""
    assert len(set(outputs)) > 2

    before = hashes(Path("saved_models"))
    assert kitchen.run(recipe.run) == dict.fromkeys(STAGES, "done before")
    assert hashes(Path("saved_models")) == before
    # What is shown at the end is the report, of a run that did nothing, too.
    recipe.run(kitchen.load())
    shown = kitchen.printed()
    assert (path / "report.md").read_text(encoding="utf-8") in shown
    assert f"{path}: verified bundle, " in shown
    assert recipe.train(kitchen.load()) == Path("saved_models/.runs/toy/model/best.keras")


_MODELS: dict[str, Any] = {}


def _built(config: ModelConfig) -> Any:
    """A model that is only asked by what it can be decoded: one of each config for all tests."""
    key = config.model_dump_json()
    if key not in _MODELS:
        _MODELS[key] = build(config)
    return _MODELS[key]


class Work:
    """Training and export that only write a file each, and may be interrupted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.interrupted: str | None = None
        self.tasks: list[Task] = []
        monkeypatch.setattr(module.training, "train", self.train)
        monkeypatch.setattr(module.training, "load", lambda path: path.read_text())
        monkeypatch.setattr(module, "build", _built)
        monkeypatch.setattr(module.exporting, "export_bundle", self.export)

    def train(
        self, model: Any, task: Task, training: Any, folder: Path, callbacks: Any = (), start: Any = None
    ) -> Path:
        self.tasks.append(task)
        with open(folder / "epochs", "a") as file:
            file.write("epoch\n")
        if self.interrupted == "model":
            raise KeyboardInterrupt
        (folder / "best.keras").write_text("weights")
        return folder / "best.keras"

    def export(self, model: str, path: Path, *given: Any, **options: Any) -> None:
        assert model == "weights"
        if self.interrupted == "bundle":
            raise KeyboardInterrupt
        path.mkdir(parents=True, exist_ok=True)
        (path / "bundle.json").write_text("{}")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


@pytest.mark.parametrize(
    ("key", "value", "first"),
    [
        ("data.seed", 4, "data"),
        ("tokenizer.vocabulary_size", 8, "tokenizer"),
        ("tokenizer.joint", False, "tokenizer"),
        ("model.width", 18, "model"),
        ("training.epochs", 3, "model"),
        ("metrics", ["exact_match", "chrf"], "model"),
        ("decoding.max_length_extra", 4, "bundle"),
        ("task", "backwards", "bundle"),
        ("max_source_tokens", 31, "bundle"),
    ],
)
def test_a_change_redoes_what_comes_after_it(kitchen: Kitchen, work: Work, key: str, value: Any, first: str) -> None:
    assert kitchen.run() == dict.fromkeys(STAGES, "started")
    *parts, last = key.split(".")
    before = kitchen.content
    for part in parts:
        before = before[part]
    old = before[last]
    change(kitchen.content, key, value)
    number = STAGES.index(first)
    said = kitchen.run()
    assert [said[name] for name in STAGES[:number]] == ["done before"] * number
    assert said[first] == f"{key} changed from {shown(old)} to {shown(value)}; {ANEW}"
    for name in STAGES[number + 1 :]:
        assert said[name].endswith(f" changed; {ANEW}") or key == "metrics"
    assert kitchen.run() == dict.fromkeys(STAGES, "done before")


def test_a_change_of_the_script_redoes_everything(kitchen: Kitchen, work: Work) -> None:
    kitchen.run()
    (kitchen.folder / "generate.py").write_text(GENERATE.replace("abcd", "abcde"))
    said = kitchen.run()
    assert said["data"] == f"the script data.generate changed; {ANEW}"
    assert said["tokenizer"] == f"the train data changed; {ANEW}"
    assert said["model"] == f"the data or the tokenizers changed; {ANEW}"
    assert said["bundle"] == f"the model or its data changed, the test data changed; {ANEW}"


def test_data_that_change_beside_a_recipe_redo_what_is_made_of_them(kitchen: Kitchen, work: Work) -> None:
    del kitchen.content["data"]["generate"]
    for name in ("train", "dev", "test"):
        (kitchen.folder / f"{name}.tsv").write_text("ab\tba\nabc\tcba\n")
    assert kitchen.run() == dict.fromkeys(STAGES[1:], "started")
    assert kitchen.run() == dict.fromkeys(STAGES[1:], "done before")
    (kitchen.folder / "dev.tsv").write_text("ab\tba\nac\tca\n")
    said = kitchen.run()
    assert said["tokenizer"] == "done before"
    assert said["model"] == f"the data or the tokenizers changed; {ANEW}"
    assert said["bundle"] == f"the model or its data changed; {ANEW}"


def test_test_data_that_change_redo_the_bundle_alone(kitchen: Kitchen, work: Work) -> None:
    del kitchen.content["data"]["generate"]
    for name in ("train", "dev", "test"):
        (kitchen.folder / f"{name}.tsv").write_text("ab\tba\nabc\tcba\n")
    assert kitchen.run() == dict.fromkeys(STAGES[1:], "started")
    (kitchen.folder / "test.tsv").write_text("ac\tca\n")
    changed = {"tokenizer": "done before", "model": "done before", "bundle": f"the test data changed; {ANEW}"}
    assert kitchen.run() == changed
    assert kitchen.run() == dict.fromkeys(STAGES[1:], "done before")


def test_an_interrupted_training_goes_on(kitchen: Kitchen, work: Work) -> None:
    work.interrupted = "model"
    with pytest.raises(KeyboardInterrupt):
        kitchen.run()
    assert kitchen.said() == dict.fromkeys(STAGES[:3], "started")
    work.interrupted = None
    assert kitchen.run() == dict(zip(STAGES, ["done before", "done before", "going on", "started"], strict=True))
    # In the folder as it was left.
    assert Path("saved_models/.runs/toy/model/epochs").read_text() == "epoch\n" * 2


def test_an_interrupted_export_is_done_again(kitchen: Kitchen, work: Work) -> None:
    kitchen.run()
    change(kitchen.content, "decoding.max_length_extra", 4)
    work.interrupted = "bundle"
    for said in (f"decoding.max_length_extra changed from 3 to 4; {ANEW}", "going on"):
        with pytest.raises(KeyboardInterrupt):
            kitchen.run()
        assert kitchen.said() == {**dict.fromkeys(STAGES, "done before"), "bundle": said}
    work.interrupted = None
    assert kitchen.run() == {**dict.fromkeys(STAGES, "done before"), "bundle": "going on"}
    assert kitchen.run() == dict.fromkeys(STAGES, "done before")


def test_a_script_that_fails_is_run_again(kitchen: Kitchen, work: Work) -> None:
    (kitchen.folder / "generate.py").write_text("import sys; sys.exit(3)")
    script = kitchen.folder / "generate.py"
    with pytest.raises(UserError, match=f"^{re.escape(str(script))}: ended with exit code 3$"):
        kitchen.run()
    (kitchen.folder / "generate.py").write_text(GENERATE)
    assert kitchen.run() == dict.fromkeys(STAGES, "started")


def finished_model() -> dict[str, tuple[str, int]]:
    return hashes(Path("saved_models/.runs/toy/model"))


def without_generating(kitchen: Kitchen) -> list[str]:
    """Makes a recipe of data that are there, for the sake of speed; returns its stages."""
    del kitchen.content["data"]["generate"]
    for name in ("train", "dev", "test"):
        (kitchen.folder / f"{name}.tsv").write_text("ab\tba\nabc\tcba\n")
    return STAGES[1:]


def test_an_interrupted_change_leaves_the_finished_model_and_the_bundle(kitchen: Kitchen, work: Work) -> None:
    stages = without_generating(kitchen)
    kitchen.run()
    before, exported = finished_model(), hashes(Path("saved_models/toy"))
    change(kitchen.content, "model.width", 18)
    work.interrupted = "model"
    with pytest.raises(KeyboardInterrupt):
        kitchen.run()
    assert kitchen.said()["model"] == f"model.width changed from 16 to 18; {ANEW}"
    assert (finished_model(), hashes(Path("saved_models/toy"))) == (before, exported)
    work.interrupted = None
    assert kitchen.run()["model"] == "going on"
    assert kitchen.run() == dict.fromkeys(stages, "done before")


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"keep_last": 2, "keep_best": 3}, False),
        ({"patience": 3}, False),
        ({"tensorboard": True}, False),
        ({"seed": 1, "average": None, "r_drop": 0.0}, False),  # They are the defaults.
        ({"optimizer": {"schedule": {"kind": "cosine", "learning_rate": 0.01, "warm_up": 0.05}}}, False),
        ({"tokens": 4096}, True),  # This is a default, too, but it was said to be 128.
        ({"keep_last": 2, "average": "last"}, True),
        ({"seed": 2}, True),
        ({"evaluate_every": 7}, True),
        ({"optimizer": {"schedule": {"kind": "linear", "learning_rate": 0.01}}}, True),
        ({"optimizer": {}}, True),
    ],
)
def test_only_what_changes_a_finished_model_counts(
    kitchen: Kitchen, work: Work, changes: dict[str, Any], counts: bool
) -> None:
    without_generating(kitchen)
    kitchen.run()
    before = finished_model()
    kitchen.content["training"].update(changes)
    said = kitchen.run()
    assert said["model"].startswith("done before") != counts
    assert (finished_model() == before) != counts
    assert (said["bundle"] == "done before") != counts
    assert (len(work.tasks) == 2) == counts


@pytest.mark.parametrize(("average", "key"), [("last", "keep_last"), ("best", "keep_best")])
def test_how_many_are_averaged_counts(kitchen: Kitchen, work: Work, average: str, key: str) -> None:
    without_generating(kitchen)
    kitchen.content["training"].update({"average": average, key: 2})
    kitchen.run()
    kitchen.content["training"][key] = 3
    assert kitchen.run()["model"] == f"training.{key} changed from 2 to 3; {ANEW}"


def test_an_upgrade_trains_nothing_anew(kitchen: Kitchen, work: Work) -> None:
    """Records of a version with another default, without a key, and with one that is no more."""
    stages = without_generating(kitchen)
    kitchen.run()
    before = finished_model()
    for stage in stages:
        record = Path(f"saved_models/.runs/toy/{stage}/stage.json")
        content = json.loads(record.read_text())
        keys = content["made_from"]["keys"]
        for key in [key for key in keys if key.endswith(("maximum_length", "normalization", "export.operators"))]:
            keys[key]["value"] = "what it was once"
        for key in [key for key in keys if key.endswith(("r_drop", "symbols", "shortlist", "minutes", "examples"))]:
            del keys[key]
        keys[f"{stage}.gone"] = {"value": 3, "said": False}
        record.write_text(json.dumps(content))
    # What is said now, and is the default, is no change either.
    kitchen.content["training"]["r_drop"] = 0.0
    assert kitchen.run() == dict.fromkeys(stages, "done before")
    del before["saved_models/.runs/toy/model/stage.json"]
    assert before.items() <= finished_model().items()
    kitchen.content["training"]["r_drop"] = 1.0
    assert kitchen.run()["model"] == f"training.r_drop changed from null to 1; {ANEW}"


def test_what_the_first_version_finished_is_kept(kitchen: Kitchen, work: Work) -> None:
    stages = without_generating(kitchen)
    kitchen.run()
    for stage in stages:
        record = Path(f"saved_models/.runs/toy/{stage}/stage.json")
        record.write_text(json.dumps({"fingerprint": f"hash of {stage}", "finished": True}))
    Path("saved_models/.runs/toy/bundle/exported.json").unlink()
    said = kitchen.run()
    assert said.keys() == set(stages)
    assert all(one.startswith("done before, by a version that did not note from what") for one in said.values())
    assert len(work.tasks) == 1
    assert kitchen.run() == dict.fromkeys(stages, "done before")
    change(kitchen.content, "model.width", 18)
    assert kitchen.run()["model"] == f"model.width changed from 16 to 18; {ANEW}"


def test_another_bundle_in_its_place_is_not_taken_for_it(kitchen: Kitchen, work: Work) -> None:
    """As when an export came to its end, but the process was killed before it could note that."""
    stages = without_generating(kitchen)
    kitchen.run()
    Path("saved_models/toy/bundle.json").write_text('{"created": "2026-01-01T00:00:00"}')
    assert kitchen.run() == {**dict.fromkeys(stages, "done before"), "bundle": "started"}


def test_a_fresh_run_that_is_interrupted_leaves_what_was_finished(kitchen: Kitchen, work: Work) -> None:
    stages = without_generating(kitchen)
    kitchen.run()
    Path("saved_models/toy/report.md").write_text("# toy")
    before, exported = finished_model(), hashes(Path("saved_models/toy"))
    work.interrupted = "model"
    with pytest.raises(KeyboardInterrupt):
        kitchen.run(lambda loaded: recipe.run(loaded, fresh=True))
    del before["saved_models/.runs/toy/model/stage.json"]
    assert before.items() <= finished_model().items()
    assert hashes(Path("saved_models/toy")) == exported
    work.interrupted = None
    # It is the new one that a later run goes on with.
    said = kitchen.run()
    assert (said["tokenizer"], said["model"]) == ("done before", "going on")
    assert said["bundle"] == "started anew; the finished one stays until this one is"
    assert kitchen.run() == dict.fromkeys(stages, "done before")


def test_a_bundle_that_is_gone_is_made_again(kitchen: Kitchen, work: Work) -> None:
    kitchen.run()
    Path("saved_models/toy/bundle.json").unlink()
    assert kitchen.run() == {**dict.fromkeys(STAGES, "done before"), "bundle": "started"}


def test_training_stops_before_the_bundle(kitchen: Kitchen, work: Work) -> None:
    assert kitchen.run(recipe.train) == dict.fromkeys(STAGES[:3], "started")
    assert os.listdir("saved_models") == [".runs"]
    assert kitchen.run() == {**dict.fromkeys(STAGES, "done before"), "bundle": "started"}


def test_a_fresh_run_forgets(kitchen: Kitchen, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    kitchen.run()
    Path("saved_models/.runs/other").mkdir()
    monkeypatch.setattr(Work, "export", lambda self, model, path, *given, **options: None)
    Path("saved_models/toy/report.md").write_text("# toy")
    said = kitchen.run(lambda loaded: recipe.run(loaded, fresh=True))
    assert said == dict.fromkeys(STAGES, "started anew; the finished one stays until this one is")
    assert Path("saved_models/.runs/other").exists()


class Kitchens:
    """Recipes in one folder, which name each other."""

    def __init__(self, folder: Path, work: Work, printed: Callable[[], str]) -> None:
        self.folder, self.work, self.printed = folder, work, printed
        for name in ("train", "dev", "test"):
            (folder / f"{name}.tsv").write_text("ab\tba\nabc\tcba\n")

    def write(self, name: str, **changes: Any) -> Path:
        content = yaml.safe_load(yaml.safe_dump(RECIPE))
        del content["data"]["generate"]
        content = {key: value for key, value in {**content, "name": name, **changes}.items() if value is not None}
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        return self.folder / f"{name}.yaml"

    def language_model(self, **changes: Any) -> Path:
        model = {"width": 16, "decoder": {"kind": "lstm"}}
        tokenizer = {"same_as": "first.yaml"}
        data = {split: {"tsv": f"{split}.tsv"} for split in ("train", "dev")}
        none = {"decoding": None, "metrics": None}
        return self.write("lm", **{"model": model, "tokenizer": tokenizer, "data": data, **none, **changes})

    def combine(self, **combine: Any) -> Path:
        recipe = {key: RECIPE[key] for key in ("task", "decoding", "metrics")}
        path = self.folder / "both.yaml"
        path.write_text(yaml.safe_dump({**recipe, "name": "both", "combine": combine}))
        return path


@pytest.fixture
def kitchens(tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Kitchens:
    for name in ("work", "recipes"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Kitchens(tmp_path / "recipes", work, lambda: capsys.readouterr().out)


def test_a_language_model_takes_another_recipe_s_tokenizer(kitchens: Kitchens) -> None:
    kitchens.write("first")
    path = recipe.train(recipe.load(kitchens.language_model()))
    assert path == Path("saved_models/.runs/lm/model/best.keras")
    (task,) = kitchens.work.tasks
    assert task.source_tokenizer is None
    assert (list(task.train.sources), task.train.targets, task.metrics) == (["", ""], ["ba", "cba"], ())
    taken = Path("saved_models/.runs/first/tokenizer/target.model").read_bytes()
    assert task.target_tokenizer.model == taken
    with pytest.raises(UserError, match=r"lm\.yaml: a language model has no bundle of its own; train it, and"):
        recipe.export(recipe.load(kitchens.folder / "lm.yaml"))


def test_a_model_that_reads_features_has_no_bundle_yet(kitchens: Kitchens) -> None:
    kitchens.write("first")
    file = kitchens.folder / "speech.yaml"
    lines = ["extends: first.yaml", "name: speech", "data:"]
    lines += [
        f"  {split}: {{features: a.tsv, source: null, target: null, tsv: null}}" for split in ("train", "dev", "test")
    ]
    file.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"speech\.yaml: a model that reads features has no bundle yet; train it, and"):
        recipe.export(recipe.load(file))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoding": {**RECIPE["decoding"], "strategy": "viterbi"}}, "graph 'viterbi': this model has no 'viterbi'"),
        ({"export": {"graphs": ["greedy", "greedy-joint"]}}, "graph 'greedy-joint': 'joint' needs a model with"),
    ],
)
def test_what_the_model_cannot_decode_shows_before_it_is_trained(
    kitchens: Kitchens, changes: dict[str, Any], message: str
) -> None:
    path = kitchens.write("first", **changes)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {message}')}"):
        recipe.export(recipe.load(path))
    assert not kitchens.work.tasks


def test_a_tokenizer_that_changes_is_taken_again(kitchens: Kitchens) -> None:
    kitchens.write("first")
    language_model = kitchens.language_model()
    recipe.train(recipe.load(language_model))
    kitchens.write("first", tokenizer={"kind": "char", "vocabulary_size": 6, "joint": True})
    kitchens.printed()
    recipe.train(recipe.load(language_model))
    said = [line for line in kitchens.printed().split("\n") if line.startswith(("tokenizer: ", "model: "))]
    assert said[0].startswith("tokenizer: tokenizer.vocabulary_size changed from 20 to 6; ")
    assert said[1] == f"tokenizer: the tokenizer of tokenizer.same_as changed; {ANEW}"
    assert said[2] == (
        "tokenizer: 1 of 2 dev targets cannot be written as they stand, so no model gets them right; the first is "
        "number 2: 'cba' would be ' ⁇ ba' (U+0063 c)"
    )
    assert said[3] == f"model: the data or the tokenizers changed; {ANEW}"
    assert len({task.target_tokenizer.model for task in kitchens.work.tasks}) == 2


def test_a_tokenizer_is_not_taken_from_who_took_it(kitchens: Kitchens) -> None:
    kitchens.write("first")
    kitchens.write("second", tokenizer={"same_as": "first.yaml"})
    path = kitchens.language_model(tokenizer={"same_as": "second.yaml"})
    with pytest.raises(
        UserError, match=r"lm\.yaml: tokenizer\.same_as: second\.yaml takes those of first\.yaml; name "
    ):
        recipe.train(recipe.load(path))


def test_a_target_s_tokenizer_of_another_kind(kitchens: Kitchens) -> None:
    for name in ("train", "dev", "test"):
        (kitchens.folder / f"{name}.tsv").write_text("ab\tb a\nabc\tc b a\n")
    how = {"kind": "char", "vocabulary_size": 20, "target": {"kind": "word", "vocabulary_size": 30}}
    recipe.train(recipe.load(kitchens.write("first", tokenizer=how)))
    (task,) = kitchens.work.tasks
    assert task.source_tokenizer is not None
    assert [len(task.source_tokenizer.encode([text])[0]) for text in ("abc", "a b")] == [3, 3]
    assert [len(task.target_tokenizer.encode([text])[0]) for text in ("c b a", "cba")] == [3, 1]


def test_limits_of_decoding_are_known_in_training(kitchens: Kitchens) -> None:
    recipe.train(recipe.load(kitchens.write("first")))
    (task,) = kitchens.work.tasks
    assert (task.max_length_factor, task.max_length_extra) == (1.0, 3)


def test_models_are_trained_and_combined(kitchens: Kitchens, monkeypatch: pytest.MonkeyPatch) -> None:
    kitchens.write("first")
    kitchens.write("second", tokenizer={"same_as": "first.yaml"}, training={"epochs": 2, "seed": 2})
    kitchens.language_model()
    made: list[Any] = []
    monkeypatch.setattr(combining, "Ensemble", lambda models, weights, method: ("ensemble", models, weights, method))
    monkeypatch.setattr(
        combining, "Fusion", lambda model, other, weight: made.append((model, other, weight)) or "weights"
    )
    path = kitchens.combine(models=["first.yaml", "second.yaml"], weights=[2, 1], language_model="lm.yaml")
    assert recipe.export(recipe.load(path)) == Path("saved_models/both")
    assert made == [(("ensemble", ["weights"] * 2, (2, 1), "log-linear"), "weights", 0.1)]
    assert [task.source_tokenizer is None for task in kitchens.work.tasks] == [False, False, True]

    kitchens.printed()
    recipe.export(recipe.load(path))
    assert "started" not in kitchens.printed()
    recipe.export(recipe.load(kitchens.combine(models=["first.yaml"], language_model="lm.yaml")))
    assert made[1:] == [("weights", "weights", 0.1)]
    said = kitchens.printed()
    assert said.count("started") == said.count("bundle: combine.models changed from") == 1
    with pytest.raises(UserError, match=r"both\.yaml: combines models of other recipes; train those, or run this one$"):
        recipe.train(recipe.load(path))


@pytest.mark.parametrize(
    ("combine", "message"),
    [
        ({"models": ["lm.yaml"], "language_model": "lm.yaml"}, r"combine\.models: .*lm\.yaml has not both an encoder"),
        ({"models": ["first.yaml", "tagger.yaml"]}, r"combine\.models: .*tagger\.yaml has not both an encoder and"),
        ({"models": ["first.yaml"], "language_model": "first.yaml"}, r"combine\.language_model: .* has an encoder; "),
        ({"models": ["first.yaml", "both.yaml"]}, r"combine\.models: both\.yaml combines other recipes; name one that"),
        (
            {"models": ["first.yaml", "other.yaml"]},
            r"combine: .*first.* and .*other.* have different source tokenizers",
        ),
        (
            {"models": ["other.yaml"], "language_model": "lm.yaml"},
            r"combine: .* have different target tokenizers; let ",
        ),
    ],
)
def test_models_that_do_not_go_together(kitchens: Kitchens, combine: dict[str, Any], message: str) -> None:
    kitchens.write("first")
    kitchens.write("other", tokenizer={"kind": "char", "vocabulary_size": 6})
    kitchens.write("tagger", model={"width": 16, "encoder": {"kind": "lstm"}, "crf": {}})
    kitchens.language_model()
    with pytest.raises(UserError, match=message):
        recipe.export(recipe.load(kitchens.combine(**combine)))
    assert not kitchens.work.tasks


def test_what_a_recipe_asks_of_its_bundle(kitchens: Kitchens, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    export = kitchens.work.export

    def record(*given: Any, **options: Any) -> None:
        asked.append(options)
        export(*given, **options)

    monkeypatch.setattr(module.exporting, "export_bundle", record)
    recipe.export(recipe.load(kitchens.write("first")))
    graphs = ["greedy", "greedy-shortlist"]
    recipe.export(recipe.load(kitchens.write("first", export={"graphs": graphs, "shortlist": True})))
    assert asked[0].keys() == asked[1].keys() - {"graphs", "shortlist"}
    assert asked[1]["graphs"] == tuple(graphs)
    (tokenizer,) = {task.target_tokenizer for task in kitchens.work.tasks}
    assert asked[1]["shortlist"].candidates.shape[0] == tokenizer.vocabulary_size


@pytest.mark.parametrize("joint", [True, False])
def test_tokenizers_see_the_training_data_alone(kitchen: Kitchen, work: Work, joint: bool) -> None:
    del kitchen.content["data"]["generate"]
    kitchen.content["tokenizer"]["joint"] = joint
    for name, line in (("train", "ab\tcd"), ("dev", "xa\tya"), ("test", "za\tza")):
        (kitchen.folder / f"{name}.tsv").write_text(f"{line}\n")
    kitchen.run()
    (task,) = work.tasks
    known = [
        {letter for letter in "abcdxyz" if tokenizer.encode([letter])[0][0] != 3}
        for tokenizer in (task.source_tokenizer, task.target_tokenizer)
    ]
    assert known == ([set("abcd")] * 2 if joint else [set("ab"), set("cd")])
    both = [
        tokenizer.pieces(range(tokenizer.vocabulary_size))
        for tokenizer in (task.source_tokenizer, task.target_tokenizer)
    ]
    assert (both[0] == both[1]) is joint
    assert task.test is not None
    assert (task.train.sources, task.dev.targets, task.test.sources) == (["ab"], ["ya"], ["za"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.tsv", None, "train.tsv: cannot be read: No such file or directory; check the name"),
        ("dev.tsv", b"", "dev.tsv: no lines; give at least one"),
        ("test.tsv", b"a\tb\na b\n", "test.tsv: line 2: 0 TABs; expected source TAB target"),
        ("dev.tsv", b"a\tb\n\xff\tb\n", "dev.tsv: line 2: not UTF-8; convert the file to UTF-8"),
    ],
)
def test_wrong_data_are_named(kitchen: Kitchen, work: Work, name: str, content: bytes | None, message: str) -> None:
    del kitchen.content["data"]["generate"]
    for split in ("train", "dev", "test"):
        (kitchen.folder / f"{split}.tsv").write_text("ab\tba\n")
    if content is None:
        (kitchen.folder / name).unlink()
    else:
        (kitchen.folder / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        kitchen.run()
    assert str(error.value) == f"{kitchen.folder}/{message}"
    assert not Path("saved_models").exists()


@pytest.mark.parametrize("script", ["absent.py", "."])
def test_a_script_that_is_not_there(kitchen: Kitchen, script: str) -> None:
    kitchen.content["data"]["generate"] = script
    with pytest.raises(UserError, match=r"recipe\.yaml: data\.generate: .*: no such file; expected a Python script$"):
        kitchen.run()


def test_a_vocabulary_that_the_data_cannot_give(kitchen: Kitchen, work: Work) -> None:
    kitchen.content["tokenizer"] = {"kind": "bpe", "vocabulary_size": 5000}
    with pytest.raises(UserError, match=r"^tokenizer: vocabulary_size 5000: too large for this corpus; \d+ at most$"):
        kitchen.run()


def test_our_recipe_without_its_data_folder(
    kitchen: Kitchen, work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = PIPELINES / "multi30k" / "transformer.yaml"
    monkeypatch.delenv("KERAS_S2S_DATA", raising=False)
    with pytest.raises(UserError) as error:
        recipe.train(recipe.load(path))
    assert str(error.value).startswith(f"{path}: ${{KERAS_S2S_DATA}}/")
    assert str(error.value).endswith(
        "the environment variable KERAS_S2S_DATA is not set; set it as the page of the recipe says"
    )
    monkeypatch.setenv("KERAS_S2S_DATA", str(tmp_path))
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path))}.*: cannot be read: No such file"):
        recipe.train(recipe.load(path))
    assert not Path("saved_models").exists()

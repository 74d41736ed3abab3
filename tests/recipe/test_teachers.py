"""Recipes whose students learn from teachers: what is kept on disk, when it is made again, and who cannot teach."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from keras_s2s import UserError, recipe, training
from keras_s2s.data import Examples, TeacherLabels
from keras_s2s.data.corpus_map import CorpusMap, MapWriter, open_map
from keras_s2s.models import ModelConfig, build
from keras_s2s.recipe import training_examples
from keras_s2s.recipe.checkpoint import Checkpoint, write_checkpoint
from keras_s2s.text import Tokenizer, train_joint

LINES = [f"{first} {second}" for first in ("ab", "cd", "dca", "b") for second in ("a", "dd", "bca", "acb")]
PART = {"kind": "transformer", "layers": 1, "heads": 2}
RECIPE: dict[str, Any] = {
    "task": "copy",
    "data": {split: {"tsv": "pairs.tsv"} for split in ("train", "dev", "test")},
    "model": {"width": 8, "encoder": PART, "decoder": PART, "dropout": 0.0},
    "training": {"epochs": 1, "tokens": 256},
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
MAP = Path("saved_models/.runs/student/teacher/train")


class Kitchen:
    """Recipes in one folder, beside the checkpoints of teachers; training is only noted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.asked, self.last, self.trained = folder, list[int](), -1, list[Any]()
        (folder / "pairs.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in LINES))
        self.tokenizers = train_joint(LINES, LINES, vocabulary_size=20, kind="char")
        self.checkpoint("one", self.tokenizers)
        self.checkpoint("two", self.tokenizers)
        self.content = {**RECIPE, "name": "student", "tokenizer": {"same_as": "one"}}
        self.loss: dict[str, Any] = {"kind": "token_distillation", "teachers": ["one"], "k": 4}
        asked = training.Teaching.__call__

        def noted(teaching: training.Teaching, examples: Examples) -> TeacherLabels:
            if len(self.asked) == self.last:
                raise KeyboardInterrupt
            self.asked.append(len(examples.labels))
            return asked(teaching, examples)

        def train(model: Any, task: Any, how: Any, folder: Path, **options: Any) -> Path:
            self.trained.append(task)
            (folder / training.CHECKPOINT).write_text("weights")
            return folder / training.CHECKPOINT

        monkeypatch.setattr(training.Teaching, "__call__", noted)
        monkeypatch.setattr(training, "train", train)
        monkeypatch.setattr(training_examples, "_TAUGHT", 5)

    def checkpoint(self, name: str, tokenizers: tuple[Tokenizer, Tokenizer]) -> Checkpoint:
        sizes = dict(
            zip(("source_vocabulary", "target_vocabulary"), (each.vocabulary_size for each in tokenizers), strict=True)
        )
        model = build(ModelConfig(width=8, encoder=PART, decoder=PART, **sizes))
        return write_checkpoint(self.folder / name, *tokenizers, lambda new: model.save(new / "model.keras"))

    def load(self, **keys: Any) -> recipe.Recipe:
        how = {**RECIPE["training"], "losses": [self.loss], **keys.pop("training", {})}
        (self.folder / "student.yaml").write_text(yaml.safe_dump({**self.content, "training": how, **keys}))
        return recipe.load(self.folder / "student.yaml")

    def run(self, **keys: Any) -> TeacherLabels:
        recipe.train(self.load(**keys))
        (task, *_) = self.trained[-1:]
        return task.examples.teacher

    def refusal(self, **keys: Any) -> str:
        with pytest.raises(UserError) as error:
            recipe.train(self.load(**keys))
        assert not self.trained and not self.asked
        return str(error.value).replace(f"{self.folder}/", "")


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    for name in ("work", "recipes"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Kitchen(tmp_path / "recipes", monkeypatch)


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in MAP.iterdir()}


def rows(labels: TeacherLabels) -> Iterator[tuple[Any, Any]]:
    return zip(labels.ids, labels.log_probabilities, strict=True)


def expected_of(kitchen: Kitchen, teachers: list[str], k: int, method: Any = "log-linear") -> TeacherLabels:
    """The labels by one call in Python."""
    models = [training.load(kitchen.folder / name / "model.keras") for name in teachers]
    examples = kitchen.trained[-1].encoded()
    taught = training.teach(examples, training.as_teacher(models, None, method), k).teacher
    assert taught is not None
    return taught


@pytest.mark.parametrize(
    "options", [{}, {"teachers": ["one", "two"]}, {"teachers": ["one", "two"], "method": "linear", "k": 7}], ids=str
)
def test_a_stage_keeps_what_the_teachers_expect(kitchen: Kitchen, options: dict[str, Any]) -> None:
    kitchen.loss |= options
    found = kitchen.run()
    assert kitchen.asked == [5, 5, 5, 1]
    expected = expected_of(
        kitchen, kitchen.loss["teachers"], kitchen.loss["k"], kitchen.loss.get("method", "log-linear")
    )
    assert [len(row) for row in found.ids] == [len(row) for row in kitchen.trained[-1].examples.labels]
    for (ids, log_probabilities), (of_ids, of_log_probabilities) in zip(rows(found), rows(expected), strict=True):
        np.testing.assert_allclose(log_probabilities, of_log_probabilities, atol=2e-3)
        assert (ids.dtype, log_probabilities.dtype) == (np.uint16, np.float16)
        assert (ids == of_ids).mean() > 0.9  # Sums of other batches have other last bits, which decide between equals.


def test_numbers_lie_in_maps_of_few_bytes(kitchen: Kitchen) -> None:
    kitchen.run()
    corpus: CorpusMap = open_map(MAP)
    places = sum(len(line) + 1 for line in LINES)
    assert (MAP / "teacher_ids.values").stat().st_size == places * 4 * 2
    assert (MAP / "teacher_log_probabilities.values").stat().st_size == places * 4 * 2
    assert [rows for rows, _ in corpus.parts] == [5, 5, 5, 1]


class Killed(BaseException):
    """In the place of a signal."""


def test_whenever_it_is_stopped_it_goes_on_and_comes_to_the_same_bytes(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the line that makes a part whole, when the part's bytes are written."""
    kitchen.run()
    expected, note = files(), MapWriter._note
    whole: list[Any] = []

    def noted(writer: MapWriter, content: Any) -> None:
        if "rows" in content and writer._folder.parent.name.startswith("teacher"):
            if len(whole) == last:
                raise Killed
            whole.append(content)
        note(writer, content)

    monkeypatch.setattr(MapWriter, "_note", noted)
    for last in range(4):
        shutil.rmtree(MAP.parent)
        shutil.rmtree(MAP.parents[1] / "model")
        whole.clear()
        kitchen.asked.clear()
        with pytest.raises(Killed):
            kitchen.run()
        last = -1
        kitchen.run()
        assert files() == expected
        assert sum(part["rows"] for part in whole) == len(LINES)
        assert len(kitchen.asked) == 5  # The one that was lost was asked for again, and no other.


def test_it_is_made_once(kitchen: Kitchen, capsys: pytest.CaptureFixture[str]) -> None:
    kitchen.run()
    kitchen.run()
    kitchen.loss |= {"temperature": 2.0, "alpha": 0.9, "smoothing": 0.1}  # What is kept depends on none of them.
    kitchen.run()
    assert kitchen.asked == [5, 5, 5, 1] and len(kitchen.trained) == 2
    assert capsys.readouterr().out.count("teacher: done before") == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"loss": {"k": 5}}, "k changed"),
        ({"loss": {"teachers": ["one"]}}, "the teachers changed"),
        ({"checkpoint": "two"}, "the teachers changed"),
        ({"loss": {"teachers": ["one", "two"]}}, "the teachers changed"),
        ({"lines": LINES[::-1]}, "the training examples changed"),
        ({"training": {"maximum_length": 5}}, "training.maximum_length changed"),
    ],
    ids=str,
)
def test_a_change_makes_it_again_and_the_student_too(
    kitchen: Kitchen, capsys: pytest.CaptureFixture[str], change: dict[str, Any], reason: str
) -> None:
    kitchen.loss["teachers"] = ["two"]
    before = kitchen.run()
    kitchen.loss |= change.get("loss", {})
    if "checkpoint" in change:
        kitchen.checkpoint("two", kitchen.tokenizers)
    if "lines" in change:
        (kitchen.folder / "pairs.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in change["lines"]))
    capsys.readouterr()
    after = kitchen.run(training=change.get("training", {}))
    assert f"teacher: {reason}" in capsys.readouterr().out.replace("\n", " ")
    assert len(kitchen.asked) == 8 and len(kitchen.trained) == 2
    assert before.fingerprint != after.fingerprint


def test_weights_of_teachers_count(kitchen: Kitchen) -> None:
    kitchen.loss |= {"teachers": ["one", "two"]}
    kitchen.run()
    kitchen.loss |= {"teacher_weights": [1, 9]}
    kitchen.run()
    assert len(kitchen.asked) == 8


def test_pairs_that_are_too_long_are_left_out(kitchen: Kitchen) -> None:
    found = kitchen.run(training={"maximum_length": 5})
    lengths = kitchen.trained[-1].examples.label_lengths
    assert set(lengths[lengths <= 5]) == {4, 5}
    assert [len(row) for row in found.ids] == np.where(lengths <= 5, lengths, 0).tolist()


def test_a_recipe_teaches_when_it_is_trained(kitchen: Kitchen) -> None:
    """Its model is trained first, before any label is asked for."""
    teacher = {**kitchen.content, "name": "teacher", "training": RECIPE["training"]}
    (kitchen.folder / "teacher.yaml").write_text(yaml.safe_dump(teacher))
    kitchen.loss["teachers"] = ["teacher.yaml"]
    kitchen.last = 0
    with pytest.raises(Exception, match=r"best\.keras"):  # No more was written than that it is there.
        kitchen.run()
    assert [task.name for task in kitchen.trained] == ["copy"]
    assert Path("saved_models/.runs/teacher/model/best.keras").exists()


def test_other_vocabularies_are_refused_before_anything_is_trained(kitchen: Kitchen) -> None:
    other = train_joint([*LINES, "xyz"], [*LINES, "xyz"], vocabulary_size=20, kind="char")
    for side, tokenizers in (
        ("source", (other[0], kitchen.tokenizers[1])),
        ("target", (kitchen.tokenizers[0], other[1])),
    ):
        kitchen.checkpoint(side, tokenizers)
        kitchen.loss["teachers"] = ["one", side]
        assert kitchen.refusal() == (
            f"student.yaml: training.losses: token_distillation: teachers: {side}: has another {side} vocabulary; say "
            f"tokenizer: {{same_as: {side}}}, or learn from its texts, which keras-s2s distill writes: distillation at "
            "sequence level"
        )


def test_who_cannot_teach(kitchen: Kitchen) -> None:
    where = "student.yaml: training.losses: token_distillation: teachers: "
    kitchen.loss["teachers"] = []
    assert kitchen.refusal() == f"{where}this key is required; name a recipe or the folder of a checkpoint"
    (kitchen.folder / "bundle").mkdir()
    (kitchen.folder / "bundle" / "bundle.json").write_text(json.dumps({}))
    kitchen.loss["teachers"] = ["bundle"]
    assert kitchen.refusal() == (
        f"{where}bundle: is a bundle, which has no model of Keras; name its recipe or a checkpoint"
    )
    kitchen.loss["teachers"] = ["student.yaml"]
    assert kitchen.refusal().endswith("teachers: student.yaml is this recipe itself; name another one")
    kitchen.loss["teachers"] = ["one"]
    message = kitchen.refusal(training={"subword_sampling": 0.1})
    assert message.startswith("training: subword_sampling: a teacher's labels are of ids as they were read; leave out")
    kitchen.loss["k"] = 64
    message = kitchen.refusal()
    assert message == "token_distillation: k 64: the teacher's vocabulary has 9 ids; give at most so many"

"""A teacher is asked for its distributions, and a student learns from them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import UserError, text
from keras_s2s.data import Batches, Examples, Pairs, Task
from keras_s2s.decoding import Ensemble
from keras_s2s.labels import TEACHER_IDS, TEACHER_LOG_PROBABILITIES
from keras_s2s.models import ModelConfig, build
from keras_s2s.training import OptimizerConfig, TrainingConfig, as_teacher, load, teach, train
from keras_s2s.training.objective import check, losses_of
from keras_s2s.training.schedules import ConstantConfig

LINES = [f"{first}{second}" for first in ("ab", "cd", "dca", "b", "") for second in ("a", "dd", "bca", "acb", "")]


@pytest.fixture(scope="module")
def tokenizer() -> text.Tokenizer:
    return text.train(LINES, 8, kind="char")


@pytest.fixture(scope="module")
def task(tokenizer: text.Tokenizer) -> Task:
    pairs = Pairs(LINES, [line[::-1] for line in LINES])
    return Task("reverse", pairs, pairs, None, tokenizer, tokenizer, ("chrf",))


def config(tokenizer: text.Tokenizer, **changes: Any) -> ModelConfig:
    size = tokenizer.vocabulary_size
    part = {"kind": "transformer", "layers": 1, "heads": 2}
    parts: dict[str, Any] = {"width": 8, "encoder": part, "decoder": part, "dropout": 0.2}
    return ModelConfig(**{"source_vocabulary": size, "target_vocabulary": size, **parts, **changes})


@pytest.fixture(scope="module")
def teachers(tokenizer: text.Tokenizer) -> list[Any]:
    """With weights so large that they are sure of something."""
    made = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        model = build(config(tokenizer))
        model.set_weights([3 * weight for weight in model.get_weights()])
        made.append(model)
    return made


@pytest.fixture(scope="module")
def examples(task: Task) -> Examples:
    return task.encoded()


def log_probabilities(model: Any, examples: Examples) -> list[np.ndarray]:
    """(T, V) of each pair, by the model's forward pass over all of them."""
    labels = examples.labels.padded()
    inputs = {"target_ids": np.pad(labels, ((0, 0), (1, 0)), constant_values=1)[:, :-1]}
    if examples.sources is not None:
        inputs["source_ids"] = examples.sources.padded()
    logits = np.asarray(model(inputs, training=False), "float64")
    found = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return [row[:length] for row, length in zip(found, examples.label_lengths, strict=True)]


def check_labels(taught: Examples, expected: list[np.ndarray], k: int) -> None:
    assert taught.teacher is not None
    for ids, found, all_of_them in zip(taught.teacher.ids, taught.teacher.log_probabilities, expected, strict=True):
        assert ids.shape == found.shape == (len(all_of_them), k)
        assert (ids.dtype, found.dtype) == (np.uint16, np.float16)
        np.testing.assert_allclose(found, -np.sort(-all_of_them, axis=-1)[:, :k], rtol=2e-3, atol=1e-5)
        of_ids = np.take_along_axis(all_of_them, ids.astype(int), axis=-1)
        np.testing.assert_allclose(found, of_ids, rtol=2e-3, atol=1e-5)
        assert all(len(set(row)) == k for row in ids.tolist())


@pytest.mark.parametrize("k", [3, 8])
def test_labels_are_the_likeliest_ids_of_a_forward_pass(teachers: list[Any], examples: Examples, k: int) -> None:
    expected = log_probabilities(teachers[0], examples)
    check_labels(teach(examples, teachers[0], k), expected, k)


@pytest.mark.parametrize("method", ["log-linear", "linear"])
def test_several_teachers_are_an_ensemble(teachers: list[Any], examples: Examples, method: Any) -> None:
    expected = []
    for one, other in zip(*(log_probabilities(model, examples) for model in teachers), strict=True):
        if method == "linear":
            expected.append(np.log(0.25 * np.exp(one) + 0.75 * np.exp(other)))
        else:
            mean = 0.25 * one + 0.75 * other
            expected.append(mean - np.log(np.exp(mean).sum(axis=-1, keepdims=True)))
    together = as_teacher(teachers, [1, 3], method)
    assert isinstance(together, Ensemble)
    check_labels(teach(examples, together, 4), expected, 4)


def test_a_teacher_of_half_precision_is_asked_in_float32(teachers: list[Any], examples: Examples) -> None:
    half = type(teachers[0]).from_config(teachers[0].get_config())
    for layer in half._flatten_layers():
        layer.dtype_policy = "mixed_bfloat16"
    half.set_weights(teachers[0].get_weights())
    expected = log_probabilities(teachers[0], examples)
    check_labels(teach(examples, as_teacher([half], None, "linear"), 4), expected, 4)


def test_a_language_model_teaches(tokenizer: text.Tokenizer, examples: Examples) -> None:
    model = build(config(tokenizer, encoder=None, source_vocabulary=None))
    targets = Examples(None, examples.labels)
    check_labels(teach(targets, model, 3), log_probabilities(model, targets), 3)


def test_pairs_that_are_too_long_are_not_asked_for(teachers: list[Any], examples: Examples) -> None:
    found = teach(examples, teachers[0], 2, maximum_length=4).teacher
    assert found is not None
    expected = [len(row) if cost <= 4 else 0 for row, cost in zip(examples.labels, examples.costs, strict=True)]
    assert [len(row) for row in found.ids] == [len(row) for row in found.log_probabilities] == expected
    assert 0 in expected


def test_more_ids_than_there_are(teachers: list[Any], examples: Examples) -> None:
    with pytest.raises(UserError) as error:
        teach(examples, teachers[0], 9)
    assert str(error.value) == "token_distillation: k 9: the teacher's vocabulary has 8 ids; give at most so many"


def training(**changes: Any) -> TrainingConfig:
    loss = {"kind": "token_distillation", "k": 8, "alpha": 0.7, "temperature": 2.0, "smoothing": 0.1}
    optimizer = OptimizerConfig(schedule=ConstantConfig(learning_rate=0.02))
    return TrainingConfig(**{"epochs": 4, "tokens": 64, "optimizer": optimizer, "losses": [loss], **changes})


class Diary(keras.callbacks.Callback):
    """Notes the weights before the first step, and each loss of a batch; stops after some."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps, self.losses = steps, list[float]()

    def on_train_begin(self, logs: Any = None) -> None:
        self.first = self.model.get_weights()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(float(logs["loss"]))
        if len(self.losses) == self.steps:
            raise KeyboardInterrupt


@pytest.mark.parametrize("devices", ["one", "mirrored"])
def test_a_student_learns_from_stored_labels(
    task: Task, tokenizer: text.Tokenizer, teachers: list[Any], examples: Examples, tmp_path: Path, devices: str
) -> None:
    taught, how, diary = teach(examples, teachers[0], 8), training(devices=devices), Diary(1)
    student = config(tokenizer, dropout=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(student, replace(task, examples=taught), how, tmp_path, [diary])
    model = build(student)
    model.set_weights(diary.first)
    inputs, labels, weights = Batches(taught, tokens=64).at(0)
    logits = np.asarray(model(inputs), "float64")

    def log_softmax(x: np.ndarray) -> np.ndarray:
        return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))

    q = np.zeros_like(logits)
    np.put_along_axis(q, labels[TEACHER_IDS], np.exp(log_softmax(labels[TEACHER_LOG_PROBABILITIES] / 2)), axis=-1)
    hard = np.full_like(logits, 0.1 / 8) + 0.9 * np.eye(8)[labels["logits"]]
    losses = -(0.3 * hard * log_softmax(logits) + 0.7 * 4 * q * log_softmax(logits / 2)).sum(axis=-1)
    assert diary.losses[0] == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-5)


def test_a_student_comes_near_its_teacher_and_goes_on_where_it_stopped(
    task: Task, tokenizer: text.Tokenizer, teachers: list[Any], examples: Examples, tmp_path: Path
) -> None:
    """The targets say nothing of the teacher: all that the student knows of it comes from the labels."""
    taught = replace(task, examples=teach(examples, teachers[0], 8))
    loss = {"kind": "token_distillation", "alpha": 1.0, "k": 8}
    how, student = training(losses=[loss], epochs=20, evaluate_every=20), config(tokenizer, width=24, dropout=0.0)
    path = train(student, taught, how, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(student, taught, how, tmp_path / "parts", [Diary(30)])
    again = load(train(student, taught, how, tmp_path / "parts"))
    for one, other in zip(load(path).get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    def divergence(model: Any) -> float:
        both = zip(*(log_probabilities(each, examples) for each in (teachers[0], model)), strict=True)
        return float(np.mean([(np.exp(q) * (q - p)).sum(axis=-1).mean() for q, p in both]))

    assert divergence(again) < 0.4 * divergence(build(student))


def test_what_a_training_does_not_read_is_left_out(
    task: Task, tokenizer: text.Tokenizer, teachers: list[Any], examples: Examples, tmp_path: Path
) -> None:
    found = []
    for name, read in (("without", examples), ("with", teach(examples, teachers[0], 3))):
        diary = Diary(2)
        with pytest.raises(KeyboardInterrupt):
            train(config(tokenizer), replace(task, examples=read), training(losses=[]), tmp_path / name, [diary])
        found.append(diary.losses)
    assert found[0] == found[1]


def test_labels_that_nobody_made(task: Task, tokenizer: text.Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        train(config(tokenizer), task, training(), tmp_path)
    assert str(error.value) == (
        "training: losses: token_distillation: the examples have no labels of a teacher; name 'teachers' in a recipe, "
        "or add them by training.teach"
    )


@pytest.mark.parametrize("changes", [{"subword_sampling": 0.1}, {"augmentations": [{"kind": "subword_sampling"}]}])
def test_changes_of_ids_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError) as error:
        check(training(**changes), ["logits"])
    assert str(error.value) == (
        f"training: {next(iter(changes))}: a teacher's labels are of ids as they were read; leave out "
        "token_distillation, or it"
    )


def test_a_second_one_is_refused() -> None:
    loss = {"kind": "token_distillation"}
    with pytest.raises(UserError, match=r"^training: losses: token_distillation: stands there twice; name all "):
        check(training(losses=[loss, {**loss, "k": 3}]), ["logits"])


def test_together_with_r_drop_both_passes_learn_from_the_teacher(
    task: Task, tokenizer: text.Tokenizer, teachers: list[Any], examples: Examples
) -> None:
    """Each pair stands in its batch twice, and so do the teacher's labels."""
    soft = {"kind": "token_distillation", "alpha": 1.0, "k": 3}
    how = training(losses=[{"kind": "r_drop", "alpha": 2.0}, soft])
    inputs, labels, weights = Batches(teach(examples, teachers[0], 3), tokens=64, twice=True).at(0)
    np.testing.assert_array_equal(labels[TEACHER_IDS][::2], labels[TEACHER_IDS][1::2])
    model = build(config(tokenizer))
    model.compile(**losses_of(how, ["logits"]))
    together = model.compute_loss(inputs, labels, model(inputs), weights)
    alone = []
    for loss in how.losses:
        model.compile(**losses_of(training(losses=[loss]), ["logits"]))
        read = labels if loss.kind == "token_distillation" else labels["logits"]
        alone.append(float(model.compute_loss(inputs, read, model(inputs), weights)))
    assert float(together) == pytest.approx(sum(alone), rel=1e-5)

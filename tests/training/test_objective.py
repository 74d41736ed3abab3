"""The objective of a training: losses by their keys and by name, a teacher, and the order of augmentations."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_s2s import UserError, text
from keras_s2s.config import parse
from keras_s2s.data import AUGMENTATIONS, Batches, Pairs, SubwordSampling, Task, TextAugmentation, encode
from keras_s2s.data.heads import Head
from keras_s2s.labels import Labels, LabelSource
from keras_s2s.losses import (
    CRF,
    CTC,
    LOSSES,
    BagOfTokens,
    CrossEntropy,
    GuidedAlignment,
    LabelledLoss,
    LossConfig,
    RDrop,
    Total,
)
from keras_s2s.models import ModelConfig, TransformerDecoderConfig, build
from keras_s2s.recipe.made_from import MadeFrom, keys_of
from keras_s2s.testing import check_loss
from keras_s2s.training import OptimizerConfig, TrainingConfig, load, train
from keras_s2s.training.objective import augmentations_of, check, labels_of, losses_of, passes_of
from keras_s2s.training.schedules import ConstantConfig

TRAINING = TrainingConfig(epochs=2, tokens=128, optimizer=OptimizerConfig(schedule=ConstantConfig(learning_rate=0.01)))


@keras.saving.register_keras_serializable("test")
class Distillation(LabelledLoss):
    """The cross entropy of a teacher's distribution and the student's."""

    def __init__(self, name: str = "distillation") -> None:
        super().__init__(name)

    def call(self, labels: Labels, outputs: Any) -> Any:
        """The sum over the vocabulary, (B, T)."""
        return -ops.sum(labels["teacher"] * ops.log_softmax(ops.cast(outputs, "float32")), axis=-1)


class DistillationConfig(LossConfig):
    """Learns from a teacher at each place of the target."""

    kind: Literal["distillation"] = "distillation"
    teacher: str

    def loss(self) -> keras.losses.Loss:
        return Distillation()

    def labels(self) -> Mapping[str, LabelSource]:
        model = load(Path(self.teacher))

        def probabilities(inputs: Mapping[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
            return ops.softmax(model(dict(inputs), training=False)).numpy()

        return {"teacher": LabelSource((None, None, model.config.target_vocabulary), probabilities)}


class Echo(TextAugmentation):
    """Says a source twice."""

    kind: Literal["echo"] = "echo"

    def pair(self, source: Any, target: str, random: np.random.Generator) -> tuple[Any, str]:
        return source + source, target


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry, piece in ((LOSSES, DistillationConfig), (AUGMENTATIONS, Echo)):
        monkeypatch.setattr(registry, "_pieces", dict(registry._pieces))
        registry.register(piece)  # type: ignore[attr-defined]


def parsed(**changes: Any) -> TrainingConfig:
    return parse(TrainingConfig, {"epochs": 1, **changes}, "training")


def in_words(loss: keras.losses.Loss) -> Any:
    return type(loss), keras.tree.map_structure(lambda value: value, loss.get_config())


USUAL: dict[str, tuple[dict[str, Any], list[Head], dict[str, keras.losses.Loss]]] = {
    "cross entropy": ({}, ["logits"], {"logits": CrossEntropy(0.0)}),
    "smoothing": ({"label_smoothing": 0.1}, ["logits"], {"logits": CrossEntropy(0.1)}),
    "R-Drop": ({"label_smoothing": 0.1, "r_drop": 2.0}, ["logits"], {"logits": RDrop(0.1, 2.0)}),
    "bag": ({"bag_of_tokens": 0.3}, ["logits"], {"logits": Total([(CrossEntropy(0.0), 1.0), (BagOfTokens(), 0.3)])}),
    "heads": (
        {"label_smoothing": 0.1},
        ["logits", "ctc", "crf", "attention"],
        {"logits": CrossEntropy(0.1), "ctc": CTC(), "crf": CRF(), "attention": GuidedAlignment()},
    ),
}


@pytest.mark.parametrize("name", USUAL)
def test_keys_mean_the_losses_that_they_always_meant(name: str) -> None:
    keys, heads, expected = USUAL[name]
    training = parsed(**keys)
    made = losses_of(training, heads)["loss"]
    made = made if len(heads) > 1 else {heads[0]: made}
    assert {head: in_words(loss) for head, loss in made.items()} == {
        head: in_words(loss) for head, loss in expected.items()
    }
    assert passes_of(training, heads) == (2 if "r_drop" in keys else 1)
    assert labels_of(training, heads) == {}


def test_named_losses_take_the_place_of_the_usual_ones() -> None:
    named = [{"kind": "cross_entropy", "smoothing": 0.1, "weight": 0.5}, {"kind": "bag_of_tokens", "weight": 0.2}]
    training = parsed(losses=named)
    loss = losses_of(training, ["logits", "ctc"])["loss"]
    assert in_words(loss["logits"]) == in_words(Total([(CrossEntropy(0.1), 0.5), (BagOfTokens(), 0.2)]))
    assert in_words(loss["ctc"]) == in_words(CTC())
    assert passes_of(parsed(losses=[{"kind": "r_drop"}]), ["logits"]) == 2


@pytest.mark.parametrize(
    ("keys", "heads", "message"),
    [
        ({"losses": [{"kind": "ctc"}]}, ["logits"], "losses: ctc: reads 'ctc', and the model has logits; leave it out"),
        (
            {"losses": [{"kind": "r_drop"}], "label_smoothing": 0.1},
            ["logits"],
            "label_smoothing: 'losses' names all losses of the decoder; say it there",
        ),
        (
            {"augmentations": [{"kind": "echo"}]},
            ["logits", "attention"],
            "augmentations: alignments are of texts as they were read; leave out guided_alignment, or it",
        ),
    ],
)
def test_objectives_that_are_none(keys: dict[str, Any], heads: list[Head], message: str) -> None:
    with pytest.raises(UserError) as error:
        check(parsed(**keys), heads)
    assert str(error.value) == f"training: {message}"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"losses": [{"kind": "focl"}]}, "losses.0: no loss 'focl'; "),
        ({"augmentations": [{"kind": "ecko"}]}, "augmentations.0: no augmentation 'ecko'; did you mean 'echo'?"),
        ({"augmentations": [{"kind": "echo", "rate": 1}]}, "augmentations.0: echo: rate: unknown key; "),
        ({"augmentations": ["echo"]}, "augmentations.0: expected a mapping with the key 'kind', one of echo, subword"),
    ],
)
def test_pieces_that_nobody_knows(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        parsed(**keys)
    assert str(error.value).startswith(f"training: {message}")


def test_subword_sampling_comes_behind_all_that_read_texts() -> None:
    training = parsed(augmentations=[{"kind": "echo"}], subword_sampling=0.2)
    assert augmentations_of(training) == [Echo(), SubwordSampling(rate=0.2)]
    assert augmentations_of(parsed()) == []


def test_a_run_of_before_is_done_until_a_recipe_names_something() -> None:
    def made_from(**keys: Any) -> MadeFrom:
        return MadeFrom(keys_of(parsed(**keys), *TrainingConfig.model_fields))

    new = ("augmentations", "losses")
    before = MadeFrom({name: value for name, value in made_from().keys.items() if name not in new})
    assert made_from().changes_since(before) == []
    named = made_from(augmentations=[{"kind": "echo"}], losses=[{"kind": "cross_entropy", "smoothing": 0.1}])
    assert {change.name for change in named.changes_since(before)} >= set(new)
    other = made_from(augmentations=[{"kind": "echo"}], losses=[{"kind": "cross_entropy", "smoothing": 0.2}])
    assert [change.name for change in other.changes_since(named)] == ["losses.1.smoothing"]
    assert MadeFrom.from_json(named.as_json()).changes_since(named) == []


class Diary(keras.callbacks.Callback):
    """Keeps the first weights and all losses, and interrupts training after some steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps, self.losses = steps, list[float]()
        self.first: list[np.ndarray] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.first = self.model.get_weights()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(float(logs["loss"]))
        if len(self.losses) == self.steps:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def task() -> Task:
    draw = random.Random(1)
    words = ["".join(draw.choices("abc", k=draw.randint(1, 6))) for _ in range(60)]
    tokenizer = text.train(words, 20, kind="char")
    pairs = Pairs([""] * len(words), words)
    return Task("text", pairs, pairs.take(range(6)), None, None, tokenizer, ())


@pytest.fixture(scope="module")
def config(task: Task) -> ModelConfig:
    """A language model, the smallest there is."""
    decoder = TransformerDecoderConfig(layers=1, heads=2, feed_forward=8)
    return ModelConfig(target_vocabulary=task.target_tokenizer.vocabulary_size, width=8, dropout=0.0, decoder=decoder)


@pytest.fixture(scope="module")
def teacher(config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is sure of something."""
    model = build(config)
    model.set_weights([3 * values if values.dtype == np.float32 else values for values in model.get_weights()])
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    model.save(path)
    return path


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype("float64"))
    return powers / powers.sum(-1, keepdims=True)


def test_a_loss_of_a_teacher_s_probabilities_and_its_gradient(teacher: Path) -> None:
    draw = np.random.default_rng(1)
    labels = np.array([[4, 5, 2, 0], [3, 2, 0, 0]], "int32")
    weights = (labels > 0).astype("float32")
    logits, of_teacher = (draw.normal(size=(2, 4, 6)).astype("float32") for _ in range(2))
    p = softmax(of_teacher)
    expected = -(weights[..., None] * p * np.log(softmax(logits))).sum() / weights.sum()
    beside = {"teacher": p.astype("float32")}
    options = {"kind": "distillation", "teacher": str(teacher)}
    check_loss(options, labels, logits, weights, beside, expected=float(expected))
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = Distillation()(Labels(labels, beside), x, weights)
    by_hand = weights[..., None] * (softmax(logits) - p) / weights.sum()
    np.testing.assert_allclose(tape.gradient(loss, x), by_hand, atol=1e-6)


@pytest.mark.parametrize("devices", ["one", "mirrored"])
def test_a_student_learns_from_a_teacher(
    task: Task, config: ModelConfig, teacher: Path, tmp_path: Path, devices: str
) -> None:
    hard, soft = {"kind": "cross_entropy", "weight": 0.25}, {"kind": "distillation", "weight": 0.75}
    training = TRAINING.replace(losses=[hard, {**soft, "teacher": str(teacher)}], devices=devices, seed=2)
    diary = Diary(steps=6)
    with pytest.raises(KeyboardInterrupt):
        train(config, task, training, tmp_path, [diary])
    examples = encode(task.train, task.source_tokenizer, task.target_tokenizer)
    inputs, labels, weights = Batches(examples, tokens=training.tokens, seed=2).at(0)
    model = load(teacher)
    p = softmax(model(inputs).numpy())

    def loss(values: list[np.ndarray]) -> float:
        model.set_weights(values)
        log_q = np.log(softmax(model(inputs).numpy()))
        of_labels = -np.take_along_axis(log_q, labels[..., None], -1)[..., 0]
        return (weights * (0.25 * of_labels - 0.75 * (p * log_q).sum(-1))).sum() / weights.sum()

    assert diary.losses[0] == pytest.approx(loss(diary.first), rel=1e-4)
    assert loss(diary.model.get_weights()) < loss(diary.first)


def test_labels_of_a_wrong_shape_are_refused(task: Task) -> None:
    examples = encode(task.train, task.source_tokenizer, task.target_tokenizer)
    wrong = {"teacher": LabelSource((None, None, 5), lambda inputs, ids: ids)}
    with pytest.raises(UserError, match=r"^labels 'teacher': expected the shape \(None, None, 5\) of \d+ rows, got "):
        Batches(examples, labels=wrong).at(0)

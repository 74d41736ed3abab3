"""A training that is a plain `fit`, can be interrupted, and gives a model back."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import UserError, text
from keras_s2s.data import Pairs, Task, batches
from keras_s2s.data.heads import Head
from keras_s2s.evaluation import evaluate
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.models.part_config import CRFHeadConfig, CTCHeadConfig
from keras_s2s.training import CHECKPOINT, DecodedMetrics, TrainingConfig, load, train
from keras_s2s.training.train import _losses, _optimizer

TRAINING = TrainingConfig(epochs=3, tokens=256, learning_rate=0.01)


@pytest.fixture(scope="module")
def task() -> Task:
    draw = random.Random(1)
    words = ["".join(draw.choices("abc", k=draw.randint(1, 4))) for _ in range(300)]
    train, dev = Pairs(words, words), Pairs(words[:30], words[:30])
    tokenizer = text.train(words, 20, kind="char")
    return Task("copy", train, dev, None, tokenizer, tokenizer, ("chrf", "exact_match"))


@pytest.fixture(scope="module")
def config(task: Task) -> ModelConfig:
    size = task.source_tokenizer.vocabulary_size
    encoder, decoder = LSTMEncoderConfig(), LSTMDecoderConfig()
    return ModelConfig(source_vocabulary=size, target_vocabulary=size, width=8, encoder=encoder, decoder=decoder)


class Diary:
    """Keeps what a training goes through, and interrupts it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.epochs: list[int] = []
        self.steps: list[int] = []
        self.weights: list[list[np.ndarray]] = []
        self.stop_before: int | None = None
        self.stop_in: int | None = None
        self.model: Any = None
        before_epoch = self._before_epoch
        after_epoch = DecodedMetrics.on_epoch_end

        def on_epoch_begin(callback: Any, epoch: int, logs: Any = None) -> None:
            before_epoch(callback.model, epoch)

        def on_epoch_end(callback: Any, epoch: int, logs: Any = None) -> None:
            if epoch == self.stop_in:
                raise KeyboardInterrupt
            after_epoch(callback, epoch, logs)

        monkeypatch.setattr(DecodedMetrics, "on_epoch_begin", on_epoch_begin)
        monkeypatch.setattr(DecodedMetrics, "on_epoch_end", on_epoch_end)

    def _before_epoch(self, model: Any, epoch: int) -> None:
        self.model = model
        self.epochs.append(epoch)
        self.steps.append(int(model.optimizer.iterations))
        self.weights.append(model.get_weights())
        if epoch == self.stop_before:
            raise KeyboardInterrupt


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    return Diary(monkeypatch)


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_is_loaded_is_what_was_trained(task: Task, config: ModelConfig, diary: Diary, tmp_path: Path) -> None:
    path = train(config, task, TRAINING.replace(epochs=1), tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / CHECKPOINT
    model = load(path)
    assert model.config == config
    assert [v.path for v in model.trainable_variables] == [v.path for v in diary.model.trainable_variables]
    assert equal(model.get_weights(), diary.model.get_weights())
    inputs = {"source_ids": np.array([[4, 5, 2, 0]], "int32"), "target_ids": np.array([[1, 4]], "int32")}
    assert np.array_equal(model(inputs), diary.model(inputs))
    # Training has changed something.
    assert not equal(model.get_weights(), diary.weights[0])


def test_an_interrupted_training_goes_on_from_the_last_whole_epoch(
    task: Task, config: ModelConfig, diary: Diary, tmp_path: Path
) -> None:
    diary.stop_in = 1
    with pytest.raises(KeyboardInterrupt):
        train(config, task, TRAINING, tmp_path)
    diary.stop_in = None
    train(config, task, TRAINING, tmp_path)
    assert diary.epochs == [0, 1, 1, 2]
    assert diary.steps[1] == diary.steps[2] > diary.steps[0] == 0
    assert diary.steps[3] == 2 * diary.steps[1]
    assert equal(diary.weights[2], diary.weights[1])
    assert not equal(diary.weights[2], diary.weights[0])
    # The best one of all epochs, those before the interruption included.
    best = float((tmp_path / CHECKPOINT).with_suffix(".best").read_text())
    assert best == pytest.approx(decoded(load(tmp_path / CHECKPOINT), task, tmp_path)["chrf"])


def decoded(model: Any, task: Task, folder: Path) -> dict[str, float]:
    metrics = DecodedMetrics(task, folder / "other.keras")
    metrics.set_model(model)
    metrics.on_train_begin()
    return evaluate(task.metrics, metrics.decode(), task.dev.targets)


def test_a_backup_that_was_cut_short_is_not_the_only_one(
    task: Task, config: ModelConfig, diary: Diary, tmp_path: Path
) -> None:
    diary.stop_in = 2
    with pytest.raises(KeyboardInterrupt):
        train(config, task, TRAINING, tmp_path)
    (backup,) = tmp_path.rglob("latest.weights.h5")
    backup.write_bytes(backup.read_bytes()[:1000])
    diary.stop_in = None
    train(config, task, TRAINING, tmp_path)
    assert diary.epochs == [0, 1, 2, 1, 2]
    assert equal(diary.weights[3], diary.weights[1])


def test_a_seed_decides_the_first_weights(task: Task, config: ModelConfig, diary: Diary, tmp_path: Path) -> None:
    diary.stop_before = 0
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        with pytest.raises(KeyboardInterrupt):
            train(config, task, TRAINING.replace(seed=seed), tmp_path / name)
    first, second, other = diary.weights
    assert equal(first, second)
    assert not equal(first, other)


def test_outputs_are_in_the_order_of_sources(task: Task, config: ModelConfig, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    model = build(config)
    rng = np.random.default_rng(3)
    model.set_weights([w + 5 * rng.normal(size=w.shape) if w.dtype == "float32" else w for w in model.get_weights()])
    sources = ["cab", "a", "bb", "abcabc", "ca"]
    found = []
    for some in (sources, sources[::-1]):
        names = (task.source_tokenizer, task.target_tokenizer, task.metrics)
        metrics = DecodedMetrics(Task("copy", task.train, Pairs(some, some), None, *names), tmp_path / "best.keras")
        metrics.set_model(model)
        metrics.on_train_begin()
        found.append(metrics.decode())
    assert len(set(found[0])) > 2
    assert found[0] == found[1][::-1]


@pytest.mark.parametrize(
    ("warm_up", "expected"),
    [(0.1, {0: 0.0, 5: 0.005, 10: 0.01, 55: 0.005, 100: 0.0}), (0.0, {0: 0.01, 50: 0.005, 100: 0.0})],
)
def test_the_learning_rate_rises_and_falls(warm_up: float, expected: dict[int, float]) -> None:
    optimizer = _optimizer(TRAINING.replace(epochs=4, warm_up=warm_up), 25)
    schedule: Callable[[int], Any] = optimizer._learning_rate
    assert {step: pytest.approx(float(schedule(step)), abs=1e-6) for step in expected} == expected


def test_one_step_is_a_schedule_too() -> None:
    assert isinstance(_optimizer(TRAINING.replace(epochs=1, warm_up=0.9), 1), keras.optimizers.Adam)


ENCODER_ONLY: dict[str, Any] = {"decoder": None, "dropout": 0.0}
HEADS: dict[str, dict[str, Any]] = {
    "ctc": {**ENCODER_ONLY, "ctc": CTCHeadConfig(upsampling=2)},
    "crf": {**ENCODER_ONLY, "crf": CRFHeadConfig()},
    "several": {"ctc": CTCHeadConfig(), "crf": CRFHeadConfig()},
}


@pytest.mark.parametrize("heads", HEADS)
def test_other_heads_learn(task: Task, config: ModelConfig, tmp_path: Path, heads: str) -> None:
    weights = {"ctc": 0.3, "crf": 0.3} if heads == "several" else {}
    training = TRAINING.replace(loss_weights=weights, learning_rate=0.02, epochs=4, tokens=64)
    other = config.replace(**HEADS[heads], width=16)
    model = load(train(other, task, training, tmp_path))
    assert model.config == other
    found = decoded(model, task, tmp_path)
    assert found["chrf"] == pytest.approx(float((tmp_path / CHECKPOINT).with_suffix(".best").read_text()))
    assert found["exact_match"] > 15


def test_losses_are_weighed(task: Task, config: ModelConfig) -> None:
    heads: list[Head] = ["logits", "crf"]
    arguments = _losses(TRAINING.replace(loss_weights={"crf": 0.2}), heads)
    assert list(arguments["loss"]) == heads
    assert arguments["loss_weights"] == {"logits": 1.0, "crf": 0.2}


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({"crf": CRFHeadConfig()}, "loss_weights: ctc: the model has no such head; it has logits, crf"),
        ({}, "loss_weights: the model has one head, logits, so there is nothing to weigh"),
    ],
)
def test_weights_of_heads_that_are_not_there(
    task: Task, config: ModelConfig, tmp_path: Path, heads: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"^training: {message}$"):
        train(config.replace(**heads), task, TRAINING.replace(loss_weights={"ctc": 1.0}), tmp_path)


def test_a_language_model_is_judged_by_its_perplexity(task: Task, config: ModelConfig, tmp_path: Path) -> None:
    texts = ["abc", "cab", "bca", "aaabbb"] * 40
    pairs = Pairs([""] * len(texts), texts)
    of_texts = Task("text", pairs, Pairs([""] * 5, texts[:5]), None, None, task.target_tokenizer, ())
    alone = config.replace(encoder=None, source_vocabulary=None, dropout=0.0, width=16)
    training = TRAINING.replace(epochs=5, learning_rate=0.03, tokens=64)
    model = load(train(alone, of_texts, training, tmp_path))
    found = float((tmp_path / CHECKPOINT).with_suffix(".best").read_text())

    [(inputs, labels, weights)] = batches(of_texts.dev, None, task.target_tokenizer, seed=None)
    probabilities = keras.ops.softmax(model(inputs)).numpy()
    real = [
        probabilities[i, t, labels[i, t]] for i in range(len(labels)) for t in range(labels.shape[1]) if weights[i, t]
    ]
    assert len(real) == 4 + 4 + 4 + 7 + 4
    assert found == pytest.approx(np.exp(-np.mean(np.log(real))), rel=1e-4)
    # Four equally likely texts of 4.6 tokens have 4 ** (1 / 4.6) at best; who knows nothing has 7.
    assert 1.3 < found < 2.5


def test_no_dev_data_show_before_training(task: Task, config: ModelConfig, diary: Diary, tmp_path: Path) -> None:
    empty = Task("copy", task.train, Pairs([], []), None, task.source_tokenizer, task.target_tokenizer, task.metrics)
    with pytest.raises(UserError, match=r"^training: no dev pairs"):
        train(config, empty, TRAINING, tmp_path)
    assert diary.epochs == []

"""A training that is a plain `fit`, can be interrupted, and gives a model back."""

import dataclasses
import errno
import os
import random
import re
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from keras_s2s import UserError, status, text
from keras_s2s.data import Batches, Pairs, Task, batches, encode
from keras_s2s.data.heads import Head
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.models.part_config import CRFHeadConfig, CTCHeadConfig
from keras_s2s.training import (
    CHECKPOINT,
    DecodedMetrics,
    OptimizerConfig,
    TrainingConfig,
    Vocabularies,
    WarmStart,
    load,
    train,
)
from keras_s2s.training import goes_on as training_goes_on
from keras_s2s.training.objective import losses_of
from keras_s2s.training.schedules import ConstantConfig, CosineConfig, InverseSqrtConfig, LinearConfig, NoamConfig


def adam(rate: float) -> OptimizerConfig:
    return OptimizerConfig(options={"beta_2": 0.98}, schedule=CosineConfig(learning_rate=rate))


TRAINING = TrainingConfig(epochs=3, tokens=256, optimizer=adam(0.01))
MANY_STEPS = TRAINING.replace(epochs=4, tokens=64, optimizer=adam(0.02))
ENCODER_ONLY: dict[str, Any] = {"decoder": None, "dropout": 0.0}
HEADS: dict[str, dict[str, Any]] = {
    "ctc": {**ENCODER_ONLY, "ctc": CTCHeadConfig(upsampling=2)},
    "crf": {**ENCODER_ONLY, "crf": CRFHeadConfig()},
}


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


@pytest.fixture(scope="module")
def labeller(config: ModelConfig) -> ModelConfig:
    """An encoder with a head: the quickest model that is decoded."""
    return config.replace(**HEADS["crf"])


@pytest.fixture(scope="module")
def of_texts(task: Task) -> Task:
    """The targets alone."""
    train, dev = (Pairs([""] * len(pairs), pairs.targets) for pairs in (task.train, task.dev))
    return Task("text", train, dev, None, None, task.target_tokenizer, ())


@pytest.fixture(scope="module")
def language_model(config: ModelConfig) -> ModelConfig:
    """A decoder alone: the quickest model that there is."""
    return config.replace(encoder=None, source_vocabulary=None)


class Diary(keras.callbacks.Callback):
    """Keeps what a training goes through, and interrupts it."""

    def __init__(self, stop_in: int | None = None) -> None:
        super().__init__()
        self.stop_in = stop_in
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.logs: list[dict[str, float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(float(logs["loss"]))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.steps.append(int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)))
        self.logs.append(dict(logs))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.stop_in:
            raise KeyboardInterrupt

    @property
    def weights(self) -> list[np.ndarray]:
        return self.model.get_weights()


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Done(NamedTuple):
    """A training of one epoch that came to its end, and its lines, where a minute passed at every step."""

    folder: Path
    path: Path
    diary: Diary
    said: list[str]


@pytest.fixture(scope="module")
def done(task: Task, config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Its folder is only read."""
    folder, diary, said = tmp_path_factory.mktemp("done") / "a" / "b", Diary(), list[str]()

    class Clock(keras.callbacks.Callback):
        now = 0.0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.now += 60
            minutes.tick()

    clock, ended = Clock(), threading.Event()
    minutes = status.Minutes(said.append, lambda: clock.now)
    with status.a_line_a_minute(minutes, lambda seconds: ended.wait()):
        path = train(config, task, TRAINING.replace(epochs=1), folder, [diary, clock])
        ended.set()
    return Done(folder, path, diary, said)


def test_what_is_loaded_is_what_was_trained(config: ModelConfig, done: Done) -> None:
    diary = done.diary
    assert done.path == done.folder / CHECKPOINT
    model = load(done.path)
    assert model.config == config
    assert [v.path for v in model.trainable_variables] == [v.path for v in diary.model.trainable_variables]
    assert equal(model.get_weights(), diary.weights)
    inputs = {"source_ids": np.array([[4, 5, 2, 0]], "int32"), "target_ids": np.array([[1, 4]], "int32")}
    assert np.array_equal(model(inputs), diary.model(inputs))


def test_an_interrupted_training_goes_on_as_if_nothing_had_been(
    of_texts: Task, language_model: ModelConfig, tmp_path: Path
) -> None:
    """Momentum, sums of gradients and a moving average; Adam's state is that of `test_killed`."""
    schedule = CosineConfig(learning_rate=0.01)
    optimizer = OptimizerConfig(kind="sgd", options={"momentum": 0.9}, average=0.9, accumulation=2, schedule=schedule)
    training = TRAINING.replace(optimizer=optimizer, epochs=4, evaluate_every=3, subword_sampling=0.0)
    config = language_model.replace(dropout=0.2)
    whole, first, second = Diary(), Diary(stop_in=2), Diary()
    train(config, of_texts, training, tmp_path / "whole", [whole])
    with pytest.raises(KeyboardInterrupt):
        train(config, of_texts, training, tmp_path / "parts", [first])
    train(config, of_texts, training, tmp_path / "parts", [second])
    assert first.steps == [3, 6] and first.steps + second.steps == whole.steps
    np.testing.assert_allclose(first.losses + second.losses, whole.losses, rtol=1e-5)
    for one, other in zip(second.weights, whole.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    judged = [[log["dev_perplexity"] for log in diary.logs] for diary in (first, second, whole)]
    np.testing.assert_allclose(judged[0] + judged[1], judged[2], rtol=1e-5)


def test_a_finished_training_is_not_done_again(task: Task, config: ModelConfig, done: Done) -> None:
    before, again = done.path.read_bytes(), Diary()
    assert train(config, task, TRAINING.replace(epochs=1), done.folder, [again]) == done.path
    assert not again.losses and done.path.read_bytes() == before


def test_the_best_and_the_last_are_kept_and_averaged(
    task: Task, labeller: ModelConfig, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    # Words of four letters at most, alone in their lines, have no 4-gram of words: the next metric chooses.
    of_words = dataclasses.replace(task, metrics=("bleu", "chrf"))
    batches = len(Batches(encode(task.train, task.source_tokenizer, task.target_tokenizer), tokens=TRAINING.tokens))
    diary = Diary()
    training = TRAINING.replace(
        keep_best=2, keep_last=2, average="last", epochs=4, patience=1, evaluate_every=batches + 1
    )
    path = train(labeller, of_words, training, tmp_path, [diary])
    assert {log["dev_bleu"] for log in diary.logs} == {0.0}
    # Intervals are equal and make up the epochs.
    assert diary.steps == [batches * interval for interval in (1, 2, 3, 4)]
    values = [log["dev_chrf"] for log in diary.logs]
    order = sorted(range(4), key=lambda i: -values[i])
    kept = {f"epoch-{i + 1:05}.keras" for i in {*order[:2], 2, 3}}
    assert {path.name for path in tmp_path.glob("epoch-*")} == kept
    last = [load(tmp_path / f"epoch-0000{i}.keras").get_weights() for i in (3, 4)]
    mean = load(tmp_path / "average.keras")
    for averaged, one, other in zip(mean.get_weights(), *last, strict=True):
        if averaged.dtype == np.float32:
            np.testing.assert_allclose(averaged, (one + other) / 2, rtol=1e-6)
    best = max(range(4), key=lambda epoch: (values[epoch], epoch))
    assert best > 0
    of_mean = decoded(mean, task)["chrf"]
    chosen = f"epoch-{best + 1:05}.keras" if values[best] >= of_mean else "average.keras"
    assert path.read_bytes() == (tmp_path / chosen).read_bytes()
    said = capsys.readouterr().out.splitlines()[-4:]
    assert said[0] == f"training ended at epoch 4.0, step {4 * batches} of {4 * batches}: all epochs are done"
    assert said[1] == "dev bleu was never better than 0, so it could not choose a model; dev chrf did"
    alone = f"dev bleu 0.00, chrf {values[best]:.2f}"
    assert said[2] == f"last checkpoints averaged: dev bleu 0.00, chrf {of_mean:.2f}; the best alone: {alone}"
    assert said[3].endswith(f"dev bleu 0.00, chrf {max(values[best], of_mean):.2f}")


def test_training_stops_when_nothing_gets_better_and_says_so_and_which_model_is_taken(
    task: Task, labeller: ModelConfig, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    slow = OptimizerConfig(schedule=ConstantConfig(learning_rate=1e-9))
    diary, again = Diary(), Diary()
    train(labeller, task, TRAINING.replace(epochs=50, patience=2, optimizer=slow), tmp_path, [diary])
    assert len(diary.steps) == 3
    steps, log = diary.steps, diary.logs[-1]
    values = f"dev chrf {log['dev_chrf']:.2f}, exact_match {log['dev_exact_match']:.2f}"
    lines = [
        f"training stopped at epoch 3.0, step {steps[2]} of {50 * steps[0]:,}: 2 evaluations without a better dev "
        "chrf, nor, that being equal, a better exact_match; patience is 2",
        # Three were equal, and of equals the later one is taken.
        f"taken: epoch 3.0, step {steps[2]} of {50 * steps[0]:,}, {values}",
    ]
    assert capsys.readouterr().out.splitlines()[-2:] == lines
    # Who asks again is told again.
    train(labeller, task, TRAINING.replace(epochs=50, patience=2, optimizer=slow), tmp_path, [again])
    assert not again.steps
    assert capsys.readouterr().out.splitlines()[-2:] == lines


@pytest.mark.parametrize(
    ("before", "now", "decoder", "goes_on"),
    [
        ({"epochs": 3}, {}, {}, True),
        ({"epochs": 2.5, "evaluate_every": 5}, {"evaluate_every": 5}, {}, True),
        # The intervals make up the epochs, so six steps become eight.
        ({"epochs": 1, "evaluate_every": 8}, {"epochs": 2, "evaluate_every": 8}, {}, False),
        ({"epochs": 2.5}, {}, {}, False),
        ({"epochs": 3}, {}, {"scheduled_sampling": 0.1}, False),
        ({"epochs": 3}, {"schedule": CosineConfig()}, {}, False),
        ({"epochs": 3}, {"schedule": LinearConfig()}, {}, False),
        ({"epochs": 3}, {"schedule": ConstantConfig(warm_up=0.1)}, {}, False),
        ({"epochs": 3}, {"schedule": ConstantConfig(warm_up=10)}, {}, True),
        ({"epochs": 3}, {"schedule": InverseSqrtConfig()}, {}, True),
        ({"epochs": 3}, {"schedule": NoamConfig(width=8, warm_up=0.5)}, {}, False),
        ({"epochs": 3}, {"schedule": NoamConfig(width=8)}, {}, True),
        ({"epochs": 3}, {"accumulation": "auto"}, {}, False),
    ],
)
def test_when_more_epochs_may_go_on(
    task: Task,
    config: ModelConfig,
    tmp_path: Path,
    before: dict[str, Any],
    now: dict[str, Any],
    decoder: dict[str, Any],
    goes_on: bool,
) -> None:
    schedule, accumulation = now.pop("schedule", ConstantConfig()), now.pop("accumulation", 1)
    optimizer = OptimizerConfig(schedule=schedule, accumulation=accumulation)
    later = TRAINING.replace(**{"epochs": 10, "tokens": 64, "optimizer": optimizer, **now})
    model = config.replace(decoder=LSTMDecoderConfig(**decoder))
    assert training_goes_on(model, task, later.replace(**before), later, tmp_path) == goes_on


def test_a_state_of_another_model_is_refused(task: Task, config: ModelConfig, done: Done, tmp_path: Path) -> None:
    shutil.copytree(done.folder, tmp_path, dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"state\.npz: the state of another model or optimiser; delete it"):
        train(config.replace(width=12), task, TRAINING, tmp_path)
    (tmp_path / "state.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"state\.npz: no state of a training"):
        train(config, task, TRAINING, tmp_path)


def test_a_full_disk_loses_nothing(
    of_texts: Task, language_model: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(language_model, of_texts, TRAINING, tmp_path, [Diary(stop_in=1)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(UserError, match=r"state\.npz: cannot be written: No space left on device; what was kept"):
            train(language_model, of_texts, TRAINING, tmp_path)
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content


def test_a_line_a_minute_says_where_training_is(task: Task, done: Done) -> None:
    steps = len(Batches(encode(task.train, task.source_tokenizer, task.target_tokenizer), tokens=TRAINING.tokens))
    assert len(done.said) == steps
    for step, line in enumerate(done.said, start=1):
        assert re.fullmatch(
            rf"step {step} of {steps}  epoch {step / steps:.1f}  loss \d\.\d{{3}}  [\d,]+ tokens/s"
            + (r"  \d+ (s|min) left" if 1 < step < steps else ""),
            line,
        )


def test_a_line_a_minute_says_how_much_is_decoded(
    task: Task, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    now, ended = [0.0], threading.Event()
    minutes = status.Minutes(said.append, lambda: now[0])
    pairs = Pairs(["ab"] * 300, ["ab"] * 300)
    judge = DecodedMetrics(dataclasses.replace(task, dev=pairs))
    judge.set_model(build(config))
    run = judge._run

    def slowly(source: Any) -> Any:
        now[0] += 61
        minutes.tick()
        return run(source)

    monkeypatch.setattr(judge, "_run", slowly)
    with status.a_line_a_minute(minutes, lambda seconds: ended.wait()):
        judge.judge()
        ended.set()
    assert said == [f"dev data: {done} of 300 sentences decoded" for done in (0, 128, 256)]


def decoded(model: Any, task: Task) -> dict[str, float]:
    metrics = DecodedMetrics(task)
    metrics.set_model(model)
    return metrics.judge()


def test_a_seed_decides_the_first_weights(of_texts: Task, language_model: ModelConfig, tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        diary = Diary(stop_in=0)
        with pytest.raises(KeyboardInterrupt):
            train(language_model, of_texts, TRAINING.replace(seed=seed), tmp_path / name, [diary])
        found.append(diary.weights)
    assert equal(found[0], found[1])
    assert not equal(found[0], found[2])


def test_outputs_are_in_the_order_of_sources(task: Task, config: ModelConfig) -> None:
    keras.utils.set_random_seed(3)
    model = build(config)
    rng = np.random.default_rng(3)
    model.set_weights([w + 5 * rng.normal(size=w.shape) if w.dtype == "float32" else w for w in model.get_weights()])
    sources = ["cab", "a", "bb", "abcabc", "ca"]
    found, metrics = [], DecodedMetrics(task)
    metrics.set_model(model)
    for some in (sources, sources[::-1]):
        metrics.task = dataclasses.replace(task, dev=Pairs(some, some))
        metrics.judge()
        found.append(metrics.hypotheses)
    assert len(set(found[0])) > 2
    assert found[0] == found[1][::-1]


def test_every_loss_of_the_logits_is_learnt_in_bfloat16(task: Task, config: ModelConfig, tmp_path: Path) -> None:
    diary = Diary()
    options: dict[str, Any] = {"label_smoothing": 0.1, "r_drop": 1.0, "bag_of_tokens": 0.5, "precision": "bfloat16"}
    train(config, task, TRAINING.replace(**options), tmp_path, [diary])
    assert diary.logs[-1]["loss"] < diary.logs[0]["loss"]


def test_a_mirrored_training_with_tensorboard_learns(task: Task, labeller: ModelConfig, tmp_path: Path) -> None:
    diary = Diary()
    train(labeller, task, TRAINING.replace(devices="mirrored", tensorboard=True), tmp_path, [diary])
    assert diary.logs[-1]["loss"] < diary.logs[0]["loss"]


def test_guided_attention_learns_to_look_at_what_it_copies(task: Task, config: ModelConfig, tmp_path: Path) -> None:
    diary = Diary()
    guided = config.replace(guided_alignment=True, width=16)
    training = TRAINING.replace(loss_weights={"attention": 2.0}, optimizer=adam(0.03), epochs=8, evaluate_every=20)
    train(guided, task, training, tmp_path, [diary])
    assert diary.logs[-1]["attention_loss"] < 0.8 * diary.logs[0]["attention_loss"]


def test_a_model_starts_from_another(task: Task, config: ModelConfig, done: Done, tmp_path: Path) -> None:
    pieces = Vocabularies.of(task.source_tokenizer, task.target_tokenizer)
    diary = Diary(stop_in=0)
    with pytest.raises(KeyboardInterrupt):
        train(config, task, TRAINING.replace(freeze=("encoder/*",)), tmp_path, [diary], WarmStart(done.path, pieces))
    other = load(done.path)
    for one, start in zip(diary.model.variables, other.variables, strict=True):
        if "seed" not in one.path:
            np.testing.assert_array_equal(one.numpy(), start.numpy())
    trained = {v.path.split("/")[0] for v in diary.model.trainable_variables}
    assert "encoder" not in trained and "decoder" in trained


@pytest.mark.parametrize("heads", ["ctc", "crf"])
def test_another_head_learns(task: Task, config: ModelConfig, tmp_path: Path, heads: str) -> None:
    other = config.replace(**HEADS[heads], width=16)
    diary = Diary()
    model = load(train(other, task, MANY_STEPS, tmp_path, [diary]))
    assert model.config == other
    found = decoded(model, task)
    assert found["chrf"] == pytest.approx(max(log["dev_chrf"] for log in diary.logs))
    assert found["exact_match"] > 15


def test_several_heads_learn_together(task: Task, config: ModelConfig, tmp_path: Path) -> None:
    several = config.replace(ctc=CTCHeadConfig(), crf=CRFHeadConfig(), width=16)
    diary = Diary()
    path = train(several, task, MANY_STEPS.replace(loss_weights={"ctc": 0.3, "crf": 0.3}), tmp_path, [diary])
    assert load(path).config == several
    assert max(log["dev_exact_match"] for log in diary.logs) > 15


def test_losses_are_weighed(task: Task, config: ModelConfig) -> None:
    heads: list[Head] = ["logits", "crf"]
    arguments = losses_of(TRAINING.replace(loss_weights={"crf": 0.2}), heads)
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


def test_a_language_model_is_judged_by_its_perplexity(task: Task, language_model: ModelConfig, tmp_path: Path) -> None:
    texts = ["abc", "cab", "bca", "aaabbb"] * 40
    pairs = Pairs([""] * len(texts), texts)
    texts_alone = Task("text", pairs, Pairs([""] * 5, texts[:5]), None, None, task.target_tokenizer, ())
    wider = language_model.replace(dropout=0.0, width=16)
    training, diary = TRAINING.replace(epochs=5, optimizer=adam(0.03), tokens=64), Diary()
    model = load(train(wider, texts_alone, training, tmp_path, [diary]))
    found = min(log["dev_perplexity"] for log in diary.logs)

    [(inputs, labels, weights)] = batches(texts_alone.dev, None, task.target_tokenizer, seed=None)
    probabilities = keras.ops.softmax(model(inputs)).numpy()
    real = [
        probabilities[i, t, labels[i, t]] for i in range(len(labels)) for t in range(labels.shape[1]) if weights[i, t]
    ]
    assert len(real) == 4 + 4 + 4 + 7 + 4
    assert found == pytest.approx(np.exp(-np.mean(np.log(real))), rel=1e-4)
    # Four equally likely texts of 4.6 tokens have 4 ** (1 / 4.6) at best; who knows nothing has 7.
    assert 1.3 < found < 2.5


def test_no_dev_data_show_before_training(task: Task, config: ModelConfig, tmp_path: Path) -> None:
    diary = Diary()
    empty = Task("copy", task.train, Pairs([], []), None, task.source_tokenizer, task.target_tokenizer, task.metrics)
    with pytest.raises(UserError, match=r"^training: no dev pairs"):
        train(config, empty, TRAINING, tmp_path, [diary])
    with pytest.raises(UserError, match=r"^training: no dev pairs"):
        train(config, empty, TRAINING.replace(epochs=None, minutes=1), tmp_path, [diary])
    assert diary.steps == []


def test_a_model_that_reads_features_is_judged_by_what_it_writes(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    tones = draw.normal(size=(4, 3))

    def spoken(word: str) -> np.ndarray:
        return np.repeat([tones["abcd".index(letter)] for letter in word], 2, axis=0).astype("float32")

    words = ["".join(draw.permutation(list("abcd"))[: draw.integers(1, 5)]) for _ in range(200)]
    pairs = Pairs([spoken(word) for word in words], words)
    letters = text.train(words, 20, kind="char")
    task = Task("speech", pairs, pairs, None, None, letters, ("exact_match", "cer"))
    size = letters.vocabulary_size
    config = ModelConfig(
        source_features=3, target_vocabulary=size, width=16, encoder=LSTMEncoderConfig(), ctc=CTCHeadConfig(), dropout=0
    )
    path = train(config, task, TrainingConfig(epochs=10, tokens=256, optimizer=adam(0.03)), tmp_path)
    judge = DecodedMetrics(task)
    judge.set_model(load(path))
    values = judge.judge()
    assert values["exact_match"] > 95
    assert values["cer"] < 2

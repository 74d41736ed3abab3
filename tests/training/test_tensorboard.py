"""Event files, read back."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util.event_pb2 import Event

from keras_s2s import text
from keras_s2s.data import Pairs, Task, batches
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, Seq2Seq, build
from keras_s2s.training.tensorboard import PICTURES, SAMPLES, TensorBoard

WORDS = [f"{a}{b} {c}" for a in "abcd" for b in "|efg" for c in "hij"]


@dataclass
class Decoded(keras.callbacks.Callback):
    """Decodes after every second epoch."""

    task: Task
    hypotheses: list[str]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch % 2:
            self.hypotheses = [target.upper() for target in self.task.dev.targets]
            logs["dev_bleu"] = 10.0 * epoch


@pytest.fixture(scope="module")
def task() -> Task:
    tokenizer = text.train(WORDS, 20, kind="char")
    return Task("copy", Pairs(WORDS, WORDS), Pairs(WORDS[:12], WORDS[12:24]), None, tokenizer, tokenizer, ("bleu",))


@pytest.fixture(scope="module")
def model(task: Task) -> Seq2Seq:
    size = task.target_tokenizer.vocabulary_size
    parts = {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig()}
    model = build(ModelConfig(source_vocabulary=size, target_vocabulary=size, width=8, **parts))
    rate = keras.optimizers.schedules.PolynomialDecay(0.02, 100, end_learning_rate=0.01)
    model.compile(keras.optimizers.Adam(rate), CrossEntropy())
    return model


def events(folder: Path) -> Iterator[tuple[int, str, Any]]:
    """Step, tag and value of every summary in a folder."""
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(file)):
            event = Event.FromString(record.numpy())
            yield from ((event.step, value.tag, tf.make_ndarray(value.tensor)) for value in event.summary.value)


@pytest.fixture(scope="module")
def folder(task: Task, model: Seq2Seq, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of four epochs of 3 steps; after the second and the fourth the dev data were decoded."""
    folder = tmp_path_factory.mktemp("events")
    decoded = Decoded(task, [])
    board = TensorBoard(folder, decoded, tokens_at=lambda step: 1000 + step)
    dataset = batches(task.train, task.source_tokenizer, task.target_tokenizer, tokens=128).repeat()
    history = model.fit(
        dataset, epochs=4, steps_per_epoch=3, shuffle=False, verbose=0, callbacks=[decoded, board]
    ).history
    folder.with_suffix(".losses").write_text(repr(history["loss"]))
    return folder


def by_tag(folder: Path, tag: str) -> dict[int, Any]:
    return {step: value for step, name, value in events(folder) if name == tag}


def test_scalars_are_written_at_their_steps(folder: Path) -> None:
    losses = {step: float(value) for step, value in by_tag(folder, "train/loss").items()}
    assert list(losses) == [3, 6, 9, 12]
    wanted = folder.with_suffix(".losses").read_text().strip("[]").split(", ")
    assert np.allclose(list(losses.values()), [float(value) for value in wanted])
    rates = {step: float(value) for step, value in by_tag(folder, "train/learning_rate").items()}
    assert rates == {step: pytest.approx(0.02 - 0.0001 * step) for step in (3, 6, 9, 12)}
    assert {step: float(value) for step, value in by_tag(folder, "dev/bleu").items()} == {6: 10, 12: 30}
    speeds = by_tag(folder, "train/tokens_per_second")
    assert list(speeds) == [3, 6, 9, 12] and all(value > 0 for value in speeds.values())


def test_speed_counts_the_tokens_of_the_steps_between(model: Seq2Seq, tmp_path: Path) -> None:
    asked = []
    board = TensorBoard(tmp_path, tokens_at=lambda step: asked.append(step) or 7)
    board.set_model(model)
    board.on_train_begin()
    model.optimizer.iterations.assign(20)
    board.on_epoch_begin(0)
    model.optimizer.iterations.assign(24)
    board.on_train_batch_end(3)
    seconds = board._ended - board._began
    board.on_epoch_end(0, {})
    assert asked == [20, 21, 22, 23]
    [speed] = by_tag(tmp_path, "train/tokens_per_second").values()
    assert float(speed) == pytest.approx(28 / seconds)


def test_samples_are_a_table_of_source_reference_and_hypothesis(folder: Path) -> None:
    tables = by_tag(folder, "samples")
    assert list(tables) == [6, 12]
    header, _, *rows = tables[6].item().decode().splitlines()
    assert [cell.strip() for cell in header.strip("|").split("|")] == ["source", "reference", "hypothesis"]
    assert len(rows) == SAMPLES
    cells = [[cell.strip() for cell in row.replace("\\|", "!").strip("|").split("|")] for row in rows]
    assert cells[0] == [WORDS[0].replace("|", "!"), WORDS[12].replace("|", "!"), WORDS[12].upper().replace("|", "!")]
    assert cells[-1] == [WORDS[11], WORDS[23], WORDS[23].upper()]


def test_pictures_of_attention_are_drawn_for_some_samples(folder: Path) -> None:
    tags = {tag for _, tag, _ in events(folder) if tag.startswith("attention/")}
    assert tags == {f"attention/{number}" for number in range(1, PICTURES + 1)}
    width, height, png = by_tag(folder, "attention/1")[12].tolist()
    image = tf.io.decode_png(png).numpy()
    assert image.shape[:2] == (int(height), int(width))
    assert image[..., :3].std() > 10  # not blank


def test_a_pair_too_long_to_be_read_in_a_picture_has_none(task: Task, model: Seq2Seq, tmp_path: Path) -> None:
    long = Pairs(["ab " * 30, "ab"], ["ab", "ab"])
    board = TensorBoard(tmp_path, Decoded(replace(task, dev=long), ["ab", "ab"]))
    board.set_model(model)
    board.on_train_begin()
    board.on_epoch_end(0, {"dev_bleu": 1.0})
    tags = [tag for _, tag, _ in events(tmp_path)]
    assert "samples" in tags and "attention/2" in tags and "attention/1" not in tags


def test_features_are_told_by_their_length(task: Task, model: Seq2Seq, tmp_path: Path) -> None:
    speech = replace(task, source_tokenizer=None, dev=Pairs([np.zeros((70, 3), "float32")], ["ab"]))
    board = TensorBoard(tmp_path, Decoded(speech, ["b"]))
    board.set_model(model)
    board.on_train_begin()
    board.on_epoch_end(0, {"dev_bleu": 1.0})
    [table] = by_tag(tmp_path, "samples").values()
    assert "| 70 frames |" in table.item().decode()
    assert not [tag for _, tag, _ in events(tmp_path) if tag.startswith("attention/")]

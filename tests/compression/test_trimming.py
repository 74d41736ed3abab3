"""Models without the pieces that their training pairs do not use say what they said before."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.compression import BeforeAndAfter, trim
from keras_s2s.data import Pairs, Task
from keras_s2s.decoding import Greedy, generate
from keras_s2s.models import ModelConfig, Seq2Seq, build
from keras_s2s.text import Tokenizer, train, train_joint

TRAIN = Pairs(["a cat", "the cat", "a dog"], ["die Katze", "eine Katze", "ein Hund"])
DEV = Pairs(["the dog", "a mouse", "the mice", "mice", "no mice"], ["der Hund", "eine Katze", "die Katze", "ein", ""])
MORE = ["a mouse", "the mice", "no mice"], ["der Hund", "die Maus", "keine"]
LSTM: dict[str, Any] = {"kind": "lstm", "layers": 1}
TRANSFORMER: dict[str, Any] = {"kind": "transformer", "layers": 1, "heads": 2, "feed_forward": 8}
MODELS: dict[str, dict[str, Any]] = {
    "of every head": {"encoder": LSTM, "decoder": LSTM, "ctc": {"upsampling": 1}, "crf": {}},
    "transformer": {"encoder": TRANSFORMER, "decoder": TRANSFORMER},
    "of one table": {
        "encoder": TRANSFORMER,
        "decoder": {**TRANSFORMER, "kind": "ssru"},
        "share_embeddings": True,
        "tie_output": True,
    },
    "labels": {"encoder": TRANSFORMER, "ctc": {"upsampling": 2}},
    "language model": {"decoder": TRANSFORMER, "tie_output": True},
}


def task(source: Tokenizer | None, target: Tokenizer) -> Task:
    return Task("toy", TRAIN, DEV, None, source, target, ())


def separate() -> Task:
    return task(
        *(train([*lines, *more], 60, "word") for lines, more in zip((TRAIN.sources, TRAIN.targets), MORE, strict=True))
    )


def joint() -> Task:
    return task(*train_joint([*TRAIN.sources, *MORE[0]], [*TRAIN.targets, *MORE[1]], 60, "word"))


def saved(path: Path, given: Task, parts: dict[str, Any]) -> tuple[Path, Seq2Seq]:
    """A model with weights that are all drawn at random."""
    source = given.source_tokenizer and given.source_tokenizer.vocabulary_size
    sizes = {"target_vocabulary": given.target_tokenizer.vocabulary_size, "width": 8, "dropout": 0.0}
    if "source_features" not in parts:
        sizes["source_vocabulary"] = source
    model = build(ModelConfig(**parts, **sizes))
    rng = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    model.save(path / "old.keras")
    return path / "old.keras", model


def ids_of(before: Tokenizer, after: Tokenizer) -> list[int]:
    """The old id of each new one."""
    old = before.pieces(range(before.vocabulary_size))
    return [old.index(piece) for piece in after.pieces(range(after.vocabulary_size))]


@pytest.mark.parametrize("name", MODELS)
def test_weights_and_outputs_are_those_of_before(tmp_path: Path, name: str) -> None:
    parts = MODELS[name]
    given = joint() if parts.get("share_embeddings") else separate()
    if "encoder" not in parts:
        given = dataclasses.replace(given, source_tokenizer=None)
    path, old = saved(tmp_path, given, parts)
    trimmed = trim(path, given)
    blank = given.target_tokenizer.vocabulary_size
    target = ids_of(given.target_tokenizer, trimmed.target)
    assert trimmed.model.config.target_vocabulary == trimmed.target.vocabulary_size == len(target) < blank
    rows = {blank: target, blank + 1: [*target, blank]}
    after = {"target_ids": np.array([[1, 4, 5, 6], [1, 7, 4, 0]])}
    before = {"target_ids": np.array(target)[after["target_ids"]]}
    if given.source_tokenizer is not None and trimmed.source is not None:
        source = ids_of(given.source_tokenizer, trimmed.source)
        assert trimmed.model.config.source_vocabulary == len(source) < given.source_tokenizer.vocabulary_size
        rows[given.source_tokenizer.vocabulary_size] = source
        after["source_ids"] = np.array([[4, 5, 2], [6, 2, 0]])
        before["source_ids"] = np.array(source)[after["source_ids"]]
    for was, weight in zip(old.weights, trimmed.model.weights, strict=True):
        np.testing.assert_array_equal(weight, of_kept_ids(was.numpy(), weight.shape, rows), err_msg=weight.path)
    outputs = outputs_of(old, before)
    for head, value in outputs_of(trimmed.model, after).items():
        kept = of_kept_ids(outputs[head], value.shape, rows)
        np.testing.assert_allclose(value, kept, rtol=1e-5, atol=1e-5, err_msg=head)


def of_kept_ids(value: np.ndarray, shape: Sequence[int], rows: dict[int, list[int]]) -> np.ndarray:
    """An array without the ids that went; they are counted by the axes that are longer than in `shape`."""
    for axis, size in enumerate(value.shape):
        if size != shape[axis]:
            value = value.take(rows[size], axis)
    assert value.shape == tuple(shape)
    return value


def outputs_of(model: Seq2Seq, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By head."""
    outputs = model({each.name: inputs[each.name].astype("int32") for each in model.inputs})
    named = outputs if isinstance(outputs, dict) else {model.head_names[0]: outputs}
    return {name: keras.ops.convert_to_numpy(value) for name, value in named.items()}


def test_greedy_search_writes_the_same_where_nothing_that_went_is_written(tmp_path: Path) -> None:
    given = separate()
    path, old = saved(tmp_path, given, {"encoder": LSTM, "decoder": LSTM})
    target = ids_of(given.target_tokenizer, trim(path, given).target)
    bias = np.full(given.target_tokenizer.vocabulary_size, -1e3)
    bias[target[4:]] = 0
    old.head.bias.assign(bias)
    old.save(path)
    trimmed = trim(path, given)
    assert trimmed.source is not None
    written = [
        generate(
            model, Greedy(), {"source_ids": np.array(source.encode(TRAIN.sources), "int32")}, np.full(3, 9, "int32")
        )
        for model, source in ((old, given.source_tokenizer), (trimmed.model, trimmed.source))
        if source is not None
    ]
    before, after = (keras.ops.convert_to_numpy(found.tokens) for found in written)
    np.testing.assert_array_equal(np.array(target)[after], before)
    assert len({tuple(row) for row in before[:, 0].tolist()}) == 3


def test_the_report(tmp_path: Path) -> None:
    given = separate()
    path, old = saved(tmp_path, given, MODELS["transformer"])
    report = trim(path, given).report
    # Of the sources go mouse, mice and no; of the targets Maus, keine and der.
    assert report.pieces == {"source": BeforeAndAfter(11, 8), "target": BeforeAndAfter(12, 9)}
    per_source, per_target = 8, 8 + 8 + 1
    fewer = 3 * per_source + 3 * per_target
    assert report.parameters == BeforeAndAfter(old.count_params(), old.count_params() - fewer)
    assert report.bytes == BeforeAndAfter(4 * old.count_params(), 4 * (old.count_params() - fewer))
    assert list(report.held_out) == ["dev"]
    source, target = report.held_out["dev"]["source"], report.held_out["dev"]["target"]
    assert (source.texts, source.recut, source.share) == (5, 4, 0.8)
    assert [example.text for example in source.examples] == ["a mouse", "the mice", "mice"]
    assert source.examples[0].before == ["▁a", "▁mouse"]
    assert source.examples[0].after == ["▁a", "<unk>"]
    assert (target.recut, [example.text for example in target.examples]) == (1, ["der Hund"])


def test_pieces_of_either_side_stay_in_one_vocabulary(tmp_path: Path) -> None:
    given = joint()
    path, _ = saved(tmp_path, given, MODELS["of one table"])
    trimmed = trim(path, given, minimum=2)
    assert trimmed.source is not None
    for side in (trimmed.source, trimmed.target):
        # Some are used in the sources alone, others in the targets alone.
        assert set(side.pieces(range(4, side.vocabulary_size))) == {"▁a", "▁cat", "▁Katze"}


def test_of_speech_the_targets_alone_are_trimmed(tmp_path: Path) -> None:
    given = separate()
    features = Pairs([np.ones((6, 3), np.float32)] * len(TRAIN), TRAIN.targets)
    given = dataclasses.replace(given, source_tokenizer=None, train=features, dev=features)
    path, _ = saved(tmp_path, given, {**MODELS["transformer"], "source_features": 3})
    trimmed = trim(path, given)
    assert trimmed.source is None
    assert trimmed.report.pieces == {"target": BeforeAndAfter(12, 9)}
    assert trimmed.report.held_out["dev"].keys() == {"target"}


def test_a_trimmed_model_is_saved_and_loaded_and_has_nothing_more_to_trim(tmp_path: Path) -> None:
    given = separate()
    trimmed = trim(saved(tmp_path, given, MODELS["transformer"])[0], given)
    trimmed.model.save(tmp_path / "new.keras")
    again = dataclasses.replace(given, source_tokenizer=trimmed.source, target_tokenizer=trimmed.target)
    twice = trim(tmp_path / "new.keras", again)
    assert all(side.before == side.after for side in twice.report.pieces.values())
    for before, after in zip(trimmed.model.weights, twice.model.weights, strict=True):
        np.testing.assert_array_equal(after, before)


def test_mistakes(tmp_path: Path) -> None:
    given = separate()
    path, _ = saved(tmp_path, given, MODELS["transformer"])
    with pytest.raises(UserError, match=r"^trim: .*none\.keras: no such file; "):
        trim(tmp_path / "none.keras", given)
    with pytest.raises(
        UserError, match=r"^trim: .*: has 11 source ids, but its source tokenizer 12; give the tokenizer"
    ):
        trim(path, dataclasses.replace(given, source_tokenizer=given.target_tokenizer))
    with pytest.raises(UserError, match=r"^trim: no source piece is used 1,000 times .*; take a lower minimum$"):
        trim(path, given, minimum=1000)


@keras.saving.register_keras_serializable("tests")
class WithTable(Seq2Seq):
    """A model with one more number for each id."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.own = self.add_weight(shape=(config.target_vocabulary,), name="own")


def test_a_model_with_a_table_of_its_own_kind_is_refused(tmp_path: Path) -> None:
    given = separate()
    config = saved(tmp_path, given, MODELS["transformer"])[1].config
    WithTable(config).save(tmp_path / "own.keras")
    with pytest.raises(
        UserError, match=r"own: its shape is \(9,\), there \(12,\); a model with tables of its own kind"
    ):
        trim(tmp_path / "own.keras", given)

"""Weights of one model in another."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.models import (
    CRFHeadConfig,
    CTCHeadConfig,
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.training.transfer import Remapped, Vocabularies, start_from

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
OLD = Vocabularies([*SPECIAL, "a", "b", "c"], [*SPECIAL, "x", "y"])
NEW = Vocabularies([*SPECIAL, "c", "d", "a", "e"], [*SPECIAL, "y", "z", "x"])
INPUTS = {"source_ids": np.array([[4, 6, 2]], "int32"), "target_ids": np.array([[1, 4]], "int32")}


def make(vocabularies: Vocabularies, **options: Any) -> Any:
    assert vocabularies.source is not None
    given: dict[str, Any] = {
        "source_vocabulary": len(vocabularies.source),
        "target_vocabulary": len(vocabularies.target),
        "width": 8,
        "encoder": LSTMEncoderConfig(),
        "decoder": LSTMDecoderConfig(),
    }
    return build(ModelConfig(**{**given, **options}))


def saved(model: Any, path: Path) -> Path:
    model.set_weights([np.random.default_rng(i).normal(size=w.shape) for i, w in enumerate(model.get_weights())])
    model.save(path / "old.keras")
    return path / "old.keras"


def test_the_same_model_is_loaded_whole(tmp_path: Path) -> None:
    old, model = make(OLD), make(OLD)
    report = start_from(model, saved(old, tmp_path), OLD, OLD)
    assert (set(report.loaded), report.remapped, report.left) == ({w.path for w in model.weights}, (), {})
    np.testing.assert_array_equal(model(INPUTS), old(INPUTS))
    assert report.lines() == [f"{len(model.weights)} of {len(model.weights)} weights loaded"]


def test_ids_are_matched_by_their_pieces(tmp_path: Path) -> None:
    heads: dict[str, Any] = {"ctc": CTCHeadConfig(), "crf": CRFHeadConfig()}
    old, model = make(OLD, **heads), make(NEW, **heads)
    before = {w.path: w.numpy() for w in model.weights}
    report = start_from(model, saved(old, tmp_path), OLD, NEW)
    table, was = model.encoder.source.embedding.table, old.encoder.source.embedding.table.numpy()
    expected = [*was[:4], was[6], before[table.path][5], was[4], before[table.path][7]]
    np.testing.assert_array_equal(table.numpy(), expected)
    targets, blank = {4: 5, 6: 4}, (7, 6)
    for new_id, old_id in targets.items():
        np.testing.assert_array_equal(model.head.kernel[:, new_id], old.head.kernel[:, old_id])
        np.testing.assert_array_equal(model.head.bias[new_id], old.head.bias[old_id])
        np.testing.assert_array_equal(model.ctc.classes.kernel[:, new_id], old.ctc.classes.kernel[:, old_id])
    np.testing.assert_array_equal(model.ctc.classes.bias[blank[0]], old.ctc.classes.bias[blank[1]])
    np.testing.assert_array_equal(model.crf.transition[4, 6], old.crf.transition[5, 4])
    np.testing.assert_array_equal(model.crf.transition[5], before[model.crf.transition.path][5])
    assert Remapped(table.path, 6, 8) in report.remapped
    assert report.left == {}
    assert f"{table.path}: 6 of 8 ids found by their piece" in report.lines()


def test_what_is_not_loaded_has_its_reason(tmp_path: Path) -> None:
    model = make(
        OLD, encoder=TransformerEncoderConfig(layers=1, heads=2), decoder=LSTMDecoderConfig(input_feeding=True)
    )
    report = start_from(model, saved(make(OLD), tmp_path), OLD, OLD)
    assert report.left["encoder/norm/scale"] == "the other model has no such weight"
    cell = next(path for path in report.left if path.startswith("decoder/") and path.endswith("/kernel"))
    assert report.left[cell] == "its shape is (16, 32), there (8, 32)"
    assert "logits/kernel" in report.loaded
    assert f"{cell}: not loaded: {report.left[cell]}" in report.lines()


def test_a_shared_table_is_a_target_s(tmp_path: Path) -> None:
    one = Vocabularies(OLD.source, OLD.source or [])
    old, model = make(one, share_embeddings=True), make(one)
    start_from(model, saved(old, tmp_path), one, one)
    np.testing.assert_array_equal(model.decoder.embedding.table, old.decoder.embedding.table)


def test_mistakes(tmp_path: Path) -> None:
    model = make(OLD)
    with pytest.raises(UserError, match=r"nothing\.keras: no such file; "):
        start_from(model, tmp_path / "nothing.keras", OLD, OLD)
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(UserError, match=r"^start_from: .*text\.keras: cannot be read as a model: "):
        start_from(model, tmp_path / "text.keras", OLD, OLD)
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "dense.keras")
    with pytest.raises(UserError, match=r"dense\.keras: holds a Sequential; "):
        start_from(model, tmp_path / "dense.keras", OLD, OLD)
    path = saved(make(OLD, width=4), tmp_path)
    with pytest.raises(UserError, match=r"has 7 source ids, but its source tokenizer 8; "):
        start_from(model, path, NEW, OLD)
    labels = make(OLD, width=4, decoder=None, ctc=CTCHeadConfig(), encoder=LSTMEncoderConfig())
    only_wider = make(OLD, decoder=LSTMDecoderConfig(layers=2), tie_output=True, share_embeddings=False)
    before = only_wider.get_weights()
    with pytest.raises(UserError, match=r"^start_from: .*: no weight has a name and a shape of the new model; "):
        start_from(only_wider, saved(labels, tmp_path), OLD, OLD)
    for value, kept in zip(only_wider.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)

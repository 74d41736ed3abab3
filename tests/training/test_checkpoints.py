"""Which models are kept, and what is restored."""

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.training import Checkpoints, average


def model() -> keras.Model:
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    made.compile(keras.optimizers.Adam(0.1), "mse")
    made.optimizer.build(made.trainable_variables)
    return made


def go_through(callback: Checkpoints, values: list[float], first: int = 0) -> keras.Model:
    """Epochs with these values, whose model has its epoch as all weights."""
    trained = model()
    callback.set_model(trained)
    for epoch, value in enumerate(values, start=first):
        for variable in trained.trainable_variables:
            variable.assign(np.full(variable.shape, epoch))
        callback.on_epoch_end(epoch, {"dev_x": value})
    return trained


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("higher", "best", "last", "names"),
    [
        (True, 1, 0, [2]),  # The first of two that are as good.
        (True, 2, 0, [2, 4]),
        (True, 1, 2, [2, 4, 5]),
        (False, 1, 0, [5]),
        (False, 2, 1, [1, 5]),
        (True, 9, 9, [1, 2, 3, 4, 5]),
    ],
)
def test_the_best_and_the_last_are_kept(tmp_path: Path, higher: bool, best: int, last: int, names: list[int]) -> None:
    callback = Checkpoints(tmp_path, "x", higher, best, last)
    go_through(callback, [1, 3, 2, 3, 0])
    assert kept(tmp_path) == [*(f"epoch-0000{n}.keras" for n in names), "state.npz"]
    for n in names:
        weights = keras.models.load_model(tmp_path / f"epoch-0000{n}.keras").get_weights()
        assert weights[0].tolist() == [[n - 1] * 3] * 2


def test_what_was_judged_before_an_interruption_counts(tmp_path: Path) -> None:
    go_through(Checkpoints(tmp_path, "x", True), [1, 3])
    again, restored = Checkpoints(tmp_path, "x", True), model()
    assert again.restore(restored) == 2
    assert restored.get_weights()[0].tolist() == [[1] * 3] * 2
    go_through(again, [2, 1], first=2)
    assert kept(tmp_path) == ["epoch-00002.keras", "state.npz"]
    better = Checkpoints(tmp_path, "x", True)
    assert better.restore(model()) == 4
    go_through(better, [4], first=4)
    assert kept(tmp_path) == ["epoch-00005.keras", "state.npz"]


def test_all_that_a_step_changes_is_restored(tmp_path: Path) -> None:
    x, y = np.ones((8, 2)), np.zeros((8, 3))
    callback, trained = Checkpoints(tmp_path, "x", True), model()
    trained.fit(x, y, epochs=2, verbose=0)
    callback.set_model(trained)
    callback.on_epoch_end(0, {"dev_x": 1.0})
    other = model()
    Checkpoints(tmp_path, "x", True).restore(other)
    expected, got = (m.fit(x, y, epochs=3, verbose=0).history["loss"] for m in (trained, other))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_patience(tmp_path: Path) -> None:
    callback = Checkpoints(tmp_path, "x", True, patience=2)
    assert not go_through(callback, [1, 3, 2]).stop_training
    assert go_through(callback, [3], first=3).stop_training


def test_the_mean_of_models(tmp_path: Path) -> None:
    go_through(Checkpoints(tmp_path, "x", True, last=3), [1, 1, 1])
    average(sorted(tmp_path.glob("epoch-*")), tmp_path / "mean.keras")
    assert keras.models.load_model(tmp_path / "mean.keras").get_weights()[0].tolist() == [[1] * 3] * 2
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]).save(tmp_path / "other.keras")
    with pytest.raises(UserError, match=r"other\.keras: a model of another shape than"):
        average([tmp_path / "mean.keras", tmp_path / "other.keras"], tmp_path / "none.keras")

"""Which models are kept, and what is restored."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.training import PERPLEXITY, Checkpoints, Criterion, average


def model() -> keras.Model:
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    made.compile(keras.optimizers.Adam(0.1), "mse")
    made.optimizer.build(made.trainable_variables)
    return made


HIGH, LOW, NEXT = Criterion("x", True, 0.0), Criterion("x", False, 100.0), Criterion("y", True, 0.0)
Values = Sequence[float | tuple[float, float]]


def go_through(callback: Checkpoints, values: Values, first: int = 0) -> keras.Model:
    """Epochs with these values of x, or of x and y, whose model has its epoch as all weights."""
    trained = model()
    callback.set_model(trained)
    for epoch, found in enumerate(values, start=first):
        for variable in trained.trainable_variables:
            variable.assign(np.full(variable.shape, epoch))
        found = found if isinstance(found, tuple) else (found,)
        callback.on_epoch_end(epoch, {f"dev_{name}": value for name, value in zip("xy", found, strict=False)})
    return trained


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("criterion", "best", "last", "names"),
    [
        (HIGH, 1, 0, [4]),  # The later of two that are as good.
        (HIGH, 2, 0, [2, 4]),
        (HIGH, 1, 2, [4, 5]),
        (HIGH, 1, 3, [3, 4, 5]),
        (LOW, 1, 0, [5]),
        (LOW, 2, 1, [1, 5]),
        (HIGH, 9, 9, [1, 2, 3, 4, 5]),
    ],
)
def test_the_best_and_the_last_are_kept(
    tmp_path: Path, criterion: Criterion, best: int, last: int, names: list[int]
) -> None:
    callback = Checkpoints(tmp_path, [criterion], best, last)
    go_through(callback, [1, 3, 2, 3, 0])
    assert kept(tmp_path) == [*(f"epoch-0000{n}.keras" for n in names), "state.npz"]
    for n in names:
        weights = keras.models.load_model(tmp_path / f"epoch-0000{n}.keras").get_weights()
        assert weights[0].tolist() == [[n - 1] * 3] * 2


@pytest.mark.parametrize(
    ("first", "second", "values", "best"),
    [
        (HIGH, NEXT, [(0, 10), (0, 99), (0, 98)], 2),
        (HIGH, NEXT, [(0, 10), (0, 99), (0, 99)], 3),
        (HIGH, NEXT, [(1, 10), (0, 99), (0, 99)], 1),
        (HIGH, Criterion("y", False, 100.0), [(5, 40), (5, 30), (5, 35)], 2),
        (LOW, NEXT, [(120, 3), (110, 2), (110, 4)], 3),
        # What is no number is the worst, wherever it stands.
        (HIGH, NEXT, [(math.nan, 10), (0, 1), (math.nan, 20)], 2),
        (LOW, NEXT, [(math.nan, 10), (100, 1), (math.nan, 20)], 2),
        (HIGH, NEXT, [(0, math.nan), (0, 0), (0, math.nan)], 2),
        (HIGH, NEXT, [(math.nan, math.nan)] * 3, 3),
    ],
)
def test_among_equals_the_next_criterion_decides_then_the_later_epoch(
    tmp_path: Path, first: Criterion, second: Criterion, values: Values, best: int
) -> None:
    callback = Checkpoints(tmp_path, [first, second])
    go_through(callback, values)
    assert callback.best()[0].epoch + 1 == best
    assert kept(tmp_path) == [f"epoch-0000{best}.keras", "state.npz"]
    # So it is for who goes on.
    again = Checkpoints(tmp_path, [first, second])
    again.restore(model())
    assert again.best() == callback.best() or math.isnan(values[best - 1][0])
    assert again.best()[0].epoch + 1 == best


def test_what_was_judged_before_an_interruption_counts(tmp_path: Path) -> None:
    go_through(Checkpoints(tmp_path, [HIGH]), [1, 3])
    again, restored = Checkpoints(tmp_path, [HIGH]), model()
    assert again.restore(restored) == 2
    assert restored.get_weights()[0].tolist() == [[1] * 3] * 2
    go_through(again, [2, 1], first=2)
    assert kept(tmp_path) == ["epoch-00002.keras", "state.npz"]
    better = Checkpoints(tmp_path, [HIGH])
    assert better.restore(model()) == 4
    go_through(better, [4], first=4)
    assert kept(tmp_path) == ["epoch-00005.keras", "state.npz"]


def test_a_state_with_the_first_value_alone_is_read(tmp_path: Path) -> None:
    """As versions wrote it that kept the earliest of equals."""
    go_through(Checkpoints(tmp_path, [HIGH, NEXT], best=4), [(3, 1), (2, 1), (3, 1), (3, 1)])
    with np.load(tmp_path / "state.npz") as state:
        content = {name: state[name] for name in state.files}
    content["judged"] = np.array(json.dumps([[0, 3.0], [1, 2.0], [2, 3.0], [3, 3.0]]))
    np.savez(tmp_path / "state.npz", **content)
    for epoch in (2, 3, 4):
        (tmp_path / f"epoch-0000{epoch}.keras").unlink()
    again = Checkpoints(tmp_path, [HIGH, NEXT], patience=4)
    assert again.restore(model()) == 4
    assert [one.epoch for one in again.best()] == [0]
    assert again.since_better == 3
    go_through(again, [(3, 2)], first=4)
    assert kept(tmp_path) == ["epoch-00005.keras", "state.npz"]


def test_all_that_a_step_changes_is_restored(tmp_path: Path) -> None:
    x, y = np.ones((8, 2)), np.zeros((8, 3))
    callback, trained = Checkpoints(tmp_path, [HIGH]), model()
    trained.fit(x, y, epochs=2, verbose=0)
    callback.set_model(trained)
    callback.on_epoch_end(0, {"dev_x": 1.0})
    other = model()
    Checkpoints(tmp_path, [HIGH]).restore(other)
    expected, got = (m.fit(x, y, epochs=3, verbose=0).history["loss"] for m in (trained, other))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("first", "values", "stops_at"),
    [
        (HIGH, [1, 3, 2, 3], 4),  # As good as before is no better.
        (HIGH, [1, 3, 2, 4, 4, 4], 6),
        (LOW, [90, 80, 80, 85], 4),
        # What is equal and gets better by the next value is better.
        (HIGH, [(3, 1), (3, 2), (3, 3), (3, 4), (3, 3), (3, 4)], 6),
        (HIGH, [(3, 1), (2, 9), (2, 10)], 3),
        # What never left its worst tells nothing.
        (HIGH, [0, 0, 0, 0, 0], None),
        (HIGH, [(0, 5), (0, 4), (0, 3), (0, 2)], None),
        (HIGH, [0, 0, 0, 0.1, 0, 0], 6),
        (LOW, [100, 100, 120, 100, 250], None),
        (LOW, [100, 100, 120, 99, 250, 99], 6),
        (HIGH, [math.nan, 0, math.nan, 0, math.nan], None),
        (PERPLEXITY._replace(name="x"), [math.inf, math.nan, math.inf, math.inf], None),
        (PERPLEXITY._replace(name="x"), [900, 900, 900], 3),
    ],
)
def test_patience(tmp_path: Path, first: Criterion, values: Values, stops_at: int | None) -> None:
    callback = Checkpoints(tmp_path, [first, NEXT] if isinstance(values[0], tuple) else [first], patience=2)
    stops = [bool(go_through(callback, [value], first=epoch).stop_training) for epoch, value in enumerate(values)]
    expected = [stops_at is not None and epoch + 1 >= stops_at for epoch in range(len(values))]
    assert stops == expected


def test_the_mean_of_models(tmp_path: Path) -> None:
    go_through(Checkpoints(tmp_path, [HIGH], last=3), [1, 1, 1])
    average(sorted(tmp_path.glob("epoch-*")), tmp_path / "mean.keras")
    assert keras.models.load_model(tmp_path / "mean.keras").get_weights()[0].tolist() == [[1] * 3] * 2
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]).save(tmp_path / "other.keras")
    with pytest.raises(UserError, match=r"other\.keras: a model of another shape than"):
        average([tmp_path / "mean.keras", tmp_path / "other.keras"], tmp_path / "none.keras")

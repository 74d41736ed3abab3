"""The checks of cells, mixers and number formats: the package's own pass, and what is wrong is named."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.errors import UserError
from keras_s2s.export.number_formats import FORMATS, Format, Half, Int8OfRows, register_format
from keras_s2s.layers import CELLS, GRU, MIXERS, Linear, register_cell, register_mixer
from keras_s2s.testing import check_cell, check_format, check_mixer

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten behind it."""
    for registry in (CELLS, MIXERS, FORMATS):
        monkeypatch.setattr(registry, "_pieces", dict(registry))
    yield


@pytest.mark.parametrize("kind", [*CELLS])
def test_every_cell(kind: str) -> None:
    check_cell(kind)


@pytest.mark.parametrize("kind", [*MIXERS])
def test_every_mixer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one kind of positions: the models of `tests/models` have all."""
    monkeypatch.setattr(MIXERS[kind], "positions", MIXERS[kind].positions[-1:])
    check_mixer(kind)


@pytest.mark.parametrize("name", [*FORMATS])
def test_every_number_format(name: str) -> None:
    check_format(name)


class Unmasked(GRU):
    """Reads padding, too."""

    def call(self, x: Any, state: Any = None, mask: Any = None) -> Any:
        return super().call(x, state, None)


class Forgetful(GRU):
    """Gives a state of zeros."""

    def call(self, x: Any, state: Any = None, mask: Any = None) -> Any:
        y, after = super().call(x, state, mask)
        return y, tuple(ops.zeros_like(part) for part in after)


class Turned(GRU):
    """Backwards its outputs stand in the order in which they were read."""

    def call(self, x: Any, state: Any = None, mask: Any = None) -> Any:
        y, after = super().call(x, state, mask)
        return (ops.flip(y, axis=1) if self.gru.go_backwards else y), after


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Unmasked, "own forwards: the inputs at padding matter"),
        (Forgetful, "own: a sequence in two parts is not the sequence in one call"),
        (Turned, "own: backwards is not forwards on the reversed sequence, in the order of the inputs"),
    ],
)
def test_a_wrong_cell_is_named(cell: Any, message: str) -> None:
    register_cell("own")(cell)
    with pytest.raises(AssertionError, match=message):
        check_cell("own")


class Mean(keras.layers.Layer):
    """The mean of all tokens of a call."""

    positions = ("sinusoidal",)
    state_names = ("sum",)

    def __init__(self, width: int, heads: int, positions: str, **options: Any) -> None:
        super().__init__(**options)
        self.linear = Linear(width, name="linear")

    @staticmethod
    def first_state(rows: Any, width: int, heads: int, dtype: str) -> Any:
        return (ops.zeros((rows, width), dtype=dtype),)

    def prepare(self, tokens: Any, state: Any) -> None:
        return None

    def call(self, x: Any, state: Any, given: Any = None) -> Any:
        y = self.linear(x)
        return y + ops.mean(y, axis=1, keepdims=True) + state[0][:, None], (state[0] + y[:, -1],)


class Alone(Mean):
    """Each token by itself."""

    def call(self, x: Any, state: Any, given: Any = None) -> Any:
        return self.linear(x), state


@pytest.mark.parametrize(
    ("mixer", "message"),
    [
        (Mean, "own with sinusoidal positions: a sequence in two parts is not the sequence in one call"),
        (Alone, "own with sinusoidal positions: what came before a token does not matter"),
    ],
)
def test_a_wrong_mixer_is_named(mixer: Any, message: str) -> None:
    register_mixer("own")(mixer)
    with pytest.raises(AssertionError, match=message):
        check_mixer("own")


class Coarse(Half):
    """Has the sign of a weight alone."""

    name = "own"

    def value(self, name: str) -> np.ndarray:
        return np.sign(super().value(name))


class Whole(Half):
    """Leaves products in float32."""

    name = "own"

    def multiply(self, product: Any, x: str) -> str:
        columns = product.columns
        weight = self.node("Gather", [product.weight, columns], axis=1) if columns else product.weight
        y = self.node("MatMul", [x, weight])
        return self.node("Add", [y, product.bias]) if product.bias else y


class Together(Int8OfRows):
    """One scale of activations for a batch."""

    name = "own"

    def multiply(self, product: Any, x: str) -> str:
        y = super().multiply(product, x)
        largest = self.node("ReduceMax", [x], keepdims=0)
        return self.node("Add", [y, self.node("Mul", [largest, self.number(1e-3)])])


class Promising(Half):
    """Says that it has an LSTM, and leaves it as it is."""

    name, quantizes_lstm = "own", True

    def lstm(self, node: Any) -> list[Any]:
        return [node]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (Coarse, r"own: a product: is wrong by \d+% of its size"),
        (Whole, r"own: a product: weights have \d+ bytes, and \d+ in float32"),
        (Together, "own: a product: a row depends on others in its batch"),
        (Promising, "own: quantizes_lstm is True, but it is not so"),
    ],
)
def test_a_wrong_number_format_is_named(form: type[Format], message: str) -> None:
    register_format(form)
    with pytest.raises(AssertionError, match=message):
        check_format("own")


def test_what_is_not_registered_is_named() -> None:
    with pytest.raises(AssertionError, match="no cell 'own'; there are gru, lstm; register it first"):
        check_cell("own")
    with pytest.raises(AssertionError, match="no mixer 'own'; there are transformer, ssru; register it first"):
        check_mixer("own")
    with pytest.raises(AssertionError, match="no number format 'own'; there are int8, int8-dynamic, "):
        check_format("own")


def test_a_name_is_given_once() -> None:
    with pytest.raises(UserError, match=r"^cell 'gru': there is a cell of this name; choose another name$"):
        register_cell("gru")(Unmasked)
    with pytest.raises(UserError, match=r"^cell 'ssru': there is a mixer of this name; choose another name$"):
        register_cell("ssru")(Unmasked)
    with pytest.raises(UserError, match=r"^mixer 'lstm': there is a cell of this name; choose another name$"):
        register_mixer("lstm")(Mean)
    register_cell("own")(Unmasked)
    register_cell("own")(Unmasked)  # as a cell of a notebook that is run again
    assert CELLS["own"] is Unmasked


def test_what_a_piece_lacks_is_said() -> None:
    with pytest.raises(UserError, match=r"^cell 'own': has no state_names; see the Protocol of a cell$"):
        register_cell("own")(Linear)  # type: ignore[type-var]
    with pytest.raises(UserError, match=r"^mixer 'own': has no positions and no first_state and no prepare; see "):
        register_mixer("own")(GRU)  # type: ignore[type-var]

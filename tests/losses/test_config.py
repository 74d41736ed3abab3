"""Losses as a recipe names them: ours keep the contract, and the kit finds what is broken."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s import UserError
from keras_s2s.labels import Labels, LabelSource
from keras_s2s.losses import LOSSES, CrossEntropy, LabelledLoss, LossConfig, Total
from keras_s2s.testing import check_loss

RNG = np.random.default_rng(1)
LABELS = np.array([[4, 3, 2, 0], [4, 3, 2, 0], [3, 5, 4, 2], [3, 5, 4, 2]], "int32")
WEIGHTS = (LABELS > 0).astype("float32") * np.array([1, 1, 0.5, 0.5], "float32")[:, None]
LOGITS = RNG.normal(size=(4, 4, 6)).astype("float32")
PLACES = np.array([[0, 2, -1, -1], [1, 1, 2, 0]], "int32")
TEACHER = {
    "teacher_ids": RNG.integers(0, 6, (4, 4, 3)),
    "teacher_log_probabilities": -RNG.uniform(0, 4, (4, 4, 3)).astype("float32"),
}
OUTPUTS: dict[str, tuple[Any, ...]] = {
    "cross_entropy": ({"smoothing": 0.1}, LABELS, LOGITS, WEIGHTS),
    "r_drop": ({"smoothing": 0.1, "alpha": 1.0}, LABELS, LOGITS, WEIGHTS),
    "bag_of_tokens": ({"weight": 0.3}, LABELS, LOGITS, WEIGHTS),
    "ctc": ({}, LABELS, RNG.normal(size=(4, 9, 7)).astype("float32"), WEIGHTS),
    "crf": ({}, LABELS, RNG.normal(size=(4, 4, 6, 6)).astype("float32"), WEIGHTS),
    "guided_alignment": (
        {},
        PLACES,
        RNG.dirichlet(np.ones(3), size=(2, 4)).astype("float32") + 0.1,
        (PLACES >= 0).astype("float32"),
    ),
    "token_distillation": ({"alpha": 0.3, "temperature": 2.0}, LABELS, LOGITS, WEIGHTS, TEACHER),
}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES, "_pieces", dict(LOSSES._pieces))


@pytest.mark.parametrize("kind", list(LOSSES))
def test_ours_keep_the_contract(kind: str) -> None:
    options, *arrays = OUTPUTS[kind]
    check_loss({"kind": kind, **options}, *arrays)


class Nearness(LabelledLoss):
    """Twice the square of the difference of the first logit and a label."""

    def __init__(self, name: str = "nearness") -> None:
        super().__init__(name)

    def call(self, labels: Labels, outputs: Any) -> Any:
        return 2 * (outputs[:, :, 0] - labels["values"]) ** 2


def registered(loss: Callable[[], keras.losses.Loss], more: Mapping[str, LabelSource] | None = None) -> None:
    """Registers a loss of the kind "other"."""

    class Other(LossConfig):
        kind: Literal["other"] = "other"

        def loss(self) -> keras.losses.Loss:
            return loss()

        def labels(self) -> Mapping[str, LabelSource]:
            return more or {}

    LOSSES.register(Other)


def test_labels_beside_the_ids() -> None:
    registered(Nearness)
    values = RNG.normal(size=(4, 4)).astype("float32")
    expected = (WEIGHTS * 2 * (LOGITS[:, :, 0] - values) ** 2).sum() / WEIGHTS.sum()
    check_loss({"kind": "other"}, LABELS, LOGITS, WEIGHTS, {"values": values}, float(expected))
    both = Total([(CrossEntropy(0.1), 0.5), (Nearness(), 2.0)])
    found = both(Labels(LABELS, {"values": values}), ops.convert_to_tensor(LOGITS), WEIGHTS)
    alone = CrossEntropy(0.1)(LABELS, ops.convert_to_tensor(LOGITS), WEIGHTS)
    np.testing.assert_allclose(found, 0.5 * alone + 2 * expected, rtol=1e-5)


class Wrong(keras.losses.Loss):
    """A loss with some mistake."""

    def __init__(self, mistake: str = "", name: str = "wrong") -> None:
        reduction = "sum_over_batch_size" if mistake == "reduction" else "mean_with_sample_weight"
        super().__init__(name=name, reduction=reduction)
        self.mistake = mistake

    def call(self, labels: Any, outputs: Any) -> Any:
        squares = ops.mean(outputs**2, axis=-1)
        if self.mistake == "gradient":
            return ops.stop_gradient(squares) + 3 * (squares - ops.stop_gradient(squares))
        return squares / 0.0 if self.mistake == "infinite" else squares

    def get_config(self) -> dict[str, Any]:
        return {} if self.mistake == "config" else {"mistake": self.mistake, "name": self.name}


class Forgetful(Wrong):
    """Its get_config lacks a factor."""

    def call(self, labels: Any, outputs: Any) -> Any:
        return super().call(labels, outputs) * (2 if self.mistake else 1)


BROKEN: dict[str, tuple[Callable[[], keras.losses.Loss], str]] = {
    "reduction": (lambda: Wrong("reduction"), "reduction sum_over_batch_size; expected"),
    "gradient": (lambda: Wrong("gradient"), "its gradient, by differences"),
    "infinite": (lambda: Wrong("infinite"), "the loss is nan, or its gradient not finite"),
    "config": (lambda: Forgetful("config"), "made again by its get_config"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_kit_finds_what_is_broken(name: str) -> None:
    loss, message = BROKEN[name]
    registered(loss)
    with pytest.raises(AssertionError, match=message):
        check_loss({"kind": "other"}, LABELS, LOGITS, WEIGHTS)


def test_the_kit_compares_values_and_asks_for_padding() -> None:
    with pytest.raises(AssertionError, match="cross_entropy: its value"):
        check_loss({"kind": "cross_entropy"}, LABELS, LOGITS, WEIGHTS, expected=9.0)
    with pytest.raises(AssertionError, match="give some padding"):
        check_loss({"kind": "cross_entropy"}, LABELS, LOGITS, np.ones_like(WEIGHTS))
    registered(Wrong, {"more": LabelSource((None, None), lambda inputs, ids: ids)})
    with pytest.raises(AssertionError, match=r"other: has labels\(\) and is no LabelledLoss"):
        check_loss({"kind": "other"}, LABELS, LOGITS, WEIGHTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cross_entrpy"}, "no loss 'cross_entrpy'; did you mean 'cross_entropy'?"),
        ({"kind": "cross_entropy", "smoting": 0.1}, "cross_entropy: smoting: unknown key; did you mean 'smoothing'?"),
        ({"kind": "r_drop", "alpha": -1}, "r_drop: alpha: "),
        ({"weight": 1}, "expected a mapping with the key 'kind', one of bag_of_tokens, crf, cross_entropy, ctc, "),
    ],
)
def test_losses_that_nobody_knows(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        LOSSES.parse(options)
    assert str(error.value).startswith(message)


def test_losses_that_cannot_be_registered() -> None:
    class Taken(LossConfig):
        kind: Literal["ctc"] = "ctc"

    class Nameless(LossConfig):
        pass

    with pytest.raises(UserError, match=r"^loss 'ctc': there is a loss of this name; choose another name$"):
        LOSSES.register(Taken)
    with pytest.raises(UserError, match=r"^Nameless: needs a name, such as kind: "):
        LOSSES.register(Nameless)

"""Token-level distillation against its equation, and what 16 bits and k ids lose of a teacher."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.labels import TEACHER_IDS, TEACHER_LOG_PROBABILITIES, Labels
from keras_s2s.layers.product import Product, remember
from keras_s2s.losses import LOSSES, CrossEntropy, TokenDistillation
from keras_s2s.losses.token_distillation import TokenDistillationConfig
from keras_s2s.testing import check_loss

RNG = np.random.default_rng(1)
VOCABULARY = 7
LABELS = np.array([[4, 5, 2, 0], [3, 2, 0, 0]], "int32")
WEIGHTS = (LABELS > 0) * np.array([[1.0], [0.5]], "float32")
LOGITS = RNG.normal(scale=2, size=(2, 4, VOCABULARY)).astype("float32")
OF_TEACHER = RNG.normal(scale=3, size=(2, 4, VOCABULARY)).astype("float32")
CASES = [(0.5, 1.0, 0.0), (0.5, 1.0, 0.1), (0.3, 2.0, 0.1), (1.0, 1.0, 0.0), (1.0, 0.5, 0.0), (0.9, 4.0, 0.2)]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype("float64")
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def best(logits: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """The labels that a teacher of these logits gives."""
    ids = np.argsort(-logits, axis=-1, kind="stable")[..., :k].astype("int32")
    return {
        TEACHER_IDS: ids,
        TEACHER_LOG_PROBABILITIES: np.take_along_axis(log_softmax(logits), ids, -1).astype("float32"),
    }


def slow_loss(logits: np.ndarray, beside: dict[str, np.ndarray], case: tuple[float, float, float]) -> np.ndarray:
    """In double precision, id by id, (B, T)."""
    alpha, temperature, smoothing = case
    losses = np.zeros(logits.shape[:2])
    for place in np.ndindex(losses.shape):
        hard = np.full(logits.shape[-1], smoothing / logits.shape[-1])
        hard[LABELS[place]] += 1 - smoothing
        kept = beside[TEACHER_LOG_PROBABILITIES][place].astype("float64")
        of_kept = np.exp(kept / temperature) / np.exp(kept / temperature).sum()
        soft = np.zeros(logits.shape[-1])
        for token, probability in zip(beside[TEACHER_IDS][place], of_kept, strict=True):
            soft[token] += probability
        of_labels = -(hard * log_softmax(logits[place])).sum()
        of_teacher = -(soft * log_softmax(logits[place] / temperature)).sum()
        losses[place] = (1 - alpha) * of_labels + alpha * temperature**2 * of_teacher
    return losses


def by_hand(logits: np.ndarray, beside: dict[str, np.ndarray], case: tuple[float, float, float]) -> np.ndarray:
    """The gradient of the weighted mean of `slow_loss`, by differences of double precision."""
    found = np.zeros(logits.shape)
    for place in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[place] = 1e-5
        above, below = ((slow_loss(logits + s, beside, case) * WEIGHTS).sum() for s in (step, -step))
        found[place] = (above - below) / 2e-5 / WEIGHTS.sum()
    return found


def value_and_gradient(
    case: tuple[float, float, float], beside: dict[str, np.ndarray], is_product: bool
) -> tuple[float, np.ndarray]:
    """Of logits, given as such or as the product of themselves and the identity."""
    x = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = x + 0
        if is_product:
            logits = remember(tf.fill(LOGITS.shape, np.nan), Product(x, tf.eye(VOCABULARY), tf.zeros(VOCABULARY)))
        loss = TokenDistillation(*case)(Labels(LABELS, beside), logits, tf.constant(WEIGHTS, tf.float32))
    return float(loss), tf.convert_to_tensor(tape.gradient(loss, x)).numpy()


@pytest.mark.parametrize("is_product", [False, True])
@pytest.mark.parametrize("k", [3, VOCABULARY])
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_those_of_the_equation(
    case: tuple[float, float, float], k: int, is_product: bool
) -> None:
    beside = best(OF_TEACHER, k)
    value, gradient = value_and_gradient(case, beside, is_product)
    assert value == pytest.approx((slow_loss(LOGITS, beside, case) * WEIGHTS).sum() / WEIGHTS.sum(), rel=1e-5)
    np.testing.assert_allclose(gradient, by_hand(LOGITS, beside, case), atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_with_all_ids_it_is_the_cross_entropy_of_the_teacher_s_own_distribution(temperature: float) -> None:
    beside = best(OF_TEACHER, VOCABULARY)
    found = TokenDistillation(1.0, temperature).call(Labels(LABELS, beside), LOGITS)
    q, p = log_softmax(OF_TEACHER / temperature), log_softmax(LOGITS / temperature)
    np.testing.assert_allclose(found, -(temperature**2) * (np.exp(q) * p).sum(axis=-1), rtol=1e-5)


def test_a_student_that_agrees_with_the_teacher_has_no_gradient() -> None:
    beside = best(LOGITS, VOCABULARY)
    for temperature in (1.0, 2.0):
        _, gradient = value_and_gradient((1.0, temperature, 0.0), beside, is_product=True)
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_a_teacher_that_is_sure_of_the_label_is_the_label() -> None:
    sure = best(np.eye(VOCABULARY)[LABELS] * 200, 3)
    for smoothing in (0.0, 0.1):
        found = TokenDistillation(0.25, smoothing=smoothing).call(Labels(LABELS, sure), LOGITS)
        parts = [CrossEntropy(e).call(LABELS, LOGITS) for e in (smoothing, 0.0)]
        np.testing.assert_allclose(found, 0.75 * parts[0] + 0.25 * parts[1], rtol=1e-5)


@pytest.mark.parametrize("is_product", [False, True])
def test_numbers_of_16_bits_lose_less_than_a_thousandth(is_product: bool) -> None:
    exact = best(OF_TEACHER, VOCABULARY)
    coarse = {**exact, TEACHER_LOG_PROBABILITIES: exact[TEACHER_LOG_PROBABILITIES].astype("float16")}
    assert (coarse[TEACHER_LOG_PROBABILITIES] != exact[TEACHER_LOG_PROBABILITIES]).any()
    for case in CASES:
        (value, gradient), (expected, by_exact) = (
            value_and_gradient(case, beside, is_product) for beside in (coarse, exact)
        )
        assert value == pytest.approx(expected, rel=1e-3)
        np.testing.assert_allclose(gradient, by_exact, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_many_rows_of_a_product_are_as_the_logits_are(dtype: str) -> None:
    draw = np.random.default_rng(2)
    x, matrix, bias = (tf.cast(draw.normal(size=size), dtype) for size in ((3, 500, 4), (9, 4), (9,)))
    labels = draw.integers(0, 9, (3, 500))
    beside = best(draw.normal(size=(3, 500, 9)), 4)
    weights = tf.constant((labels > 0) * draw.uniform(0.5, 2, (3, 1)), tf.float32)
    found: dict[bool, Any] = {}
    for is_product in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([x, matrix, bias])
            logits = tf.einsum("btd,vd->btv", x, matrix) + bias
            if is_product:
                remember(logits, Product(x, matrix, bias))
            value = TokenDistillation(0.4, 2.0, 0.1)(Labels(labels, beside), logits, weights)
        found[is_product] = [value, *tape.gradient(value, [x, matrix, bias])]
    tolerance = {"float32": 1e-5, "bfloat16": 2e-2}[dtype]
    for one, other in zip(found[True], found[False], strict=True):
        one, other = (tf.cast(each, tf.float32).numpy() for each in (one, other))
        np.testing.assert_allclose(one, other, atol=tolerance * max(1, np.abs(other).max()))


def test_padding_changes_nothing() -> None:
    case, beside = (0.5, 2.0, 0.1), best(OF_TEACHER, 3)
    expected, _ = value_and_gradient(case, beside, is_product=False)
    wide = [(0, 0), (0, 2)]
    more = {name: np.pad(values, [*wide, (0, 0)]) for name, values in beside.items()}
    logits = np.concatenate([LOGITS, np.full((2, 2, VOCABULARY), 9, "float32")], axis=1)
    found = TokenDistillation(*case)(Labels(np.pad(LABELS, wide), more), logits, np.pad(WEIGHTS, wide))
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_extreme_logits_stay_finite(temperature: float) -> None:
    logits = tf.constant([[[1e4, -1e4, 0.0, 0.0], [-1e4, 1e4, 0.0, 0.0]]])
    beside = {TEACHER_IDS: [[[1, 0], [0, 1]]], TEACHER_LOG_PROBABILITIES: [[[0.0, -6e4], [0.0, -6e4]]]}
    labels = Labels(np.array([[1, 1]]), {name: np.array(values) for name, values in beside.items()})
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = TokenDistillation(0.5, temperature)(labels, logits, np.ones((1, 2)))
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_it_keeps_the_contract_of_losses_and_survives_being_saved() -> None:
    options = {"kind": "token_distillation", "alpha": 0.4, "temperature": 2.0, "smoothing": 0.1}
    beside = best(OF_TEACHER, 3)
    expected = (slow_loss(LOGITS, beside, (0.4, 2.0, 0.1)) * WEIGHTS).sum() / WEIGHTS.sum()
    check_loss(options, LABELS, LOGITS, WEIGHTS.astype("float32"), beside, float(expected))
    loss = keras.losses.deserialize(keras.losses.serialize(TokenDistillation(0.4, 2.0, 0.1)))
    assert loss.get_config() == TokenDistillation(0.4, 2.0, 0.1).get_config()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0}, "token_distillation: alpha: Input should be greater than 0, got 0"),
        ({"temperature": 0}, "token_distillation: temperature: Input should be greater than 0, got 0"),
        ({"k": 0}, "token_distillation: k: Input should be greater than 0, got 0"),
        ({"teacher": "a"}, "token_distillation: teacher: unknown key; did you mean 'teachers'?"),
        (
            {"teachers": ["a.yaml"], "teacher_weights": [1, 2]},
            "token_distillation: TokenDistillationConfig: 1 teachers and 2 teacher_weights; give each teacher one",
        ),
    ],
)
def test_options_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        LOSSES.parse({"kind": TokenDistillationConfig.model_fields["kind"].default, **options})
    assert str(error.value) == message

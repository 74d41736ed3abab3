"""The decoder contract, over every kind of encoder and decoder."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from keras_s2s.decoding import initial_state
from keras_s2s.decoding.step import repeat_rows, select_rows
from keras_s2s.models import (
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
    seq2seq,
)

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

ENCODERS: dict[str, Any] = {
    "lstm": LSTMEncoderConfig(layers=2),
    "transformer": TransformerEncoderConfig(layers=2, heads=2, feed_forward=24),
}
DECODERS: dict[str, Any] = {
    "lstm": LSTMDecoderConfig(layers=2),
    "transformer": TransformerDecoderConfig(layers=2, heads=4, feed_forward=24),
}
SOURCE_IDS = np.array([[4, 5, 6, 7, 8, 2], [9, 4, 4, 2, 0, 0], [2, 0, 0, 0, 0, 0]], "int32")
TARGET_IDS = np.array([[1, 4, 5, 6, 7], [1, 9, 4, 8, 8], [1, 10, 11, 4, 5]], "int32")
State = dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=product(ENCODERS, DECODERS), ids=lambda kinds: f"{kinds[0]} to {kinds[1]}")
def model(request: Any) -> Any:
    """Weights are large, offsets and scales too, so that nothing stays unseen."""
    encoder, decoder = request.param
    config = ModelConfig(
        source_vocabulary=10,
        target_vocabulary=12,
        width=16,
        encoder=ENCODERS[encoder],
        decoder=DECODERS[decoder],
        dropout=0.3,
    )
    model = build(config)
    rng = np.random.default_rng(4)
    model.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in model.get_weights()])
    return model


def same(one: Any, other: Any) -> None:
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)


def same_rows(one: State, other: State) -> None:
    assert one["rows"].keys() == other["rows"].keys()
    for name in one["rows"]:
        same(one["rows"][name], other["rows"][name])


def decode(model: Any, ids: np.ndarray, state: State) -> tuple[Any, State, Any]:
    return model.decoder(ids, state, return_attention=True)


def test_every_kind_is_here() -> None:
    assert ENCODERS.keys() == seq2seq.ENCODERS.keys()
    assert DECODERS.keys() == seq2seq.DECODERS.keys()


def test_the_model_is_its_parts_under_teacher_forcing(model: Any) -> None:
    hidden, state, _ = decode(model, TARGET_IDS, initial_state(model, SOURCE_IDS))
    logits = model({"source_ids": SOURCE_IDS, "target_ids": TARGET_IDS})
    assert hidden.shape == (3, 5, 16)
    assert logits.shape == (3, 5, 12)
    same(model.head(hidden), logits)
    assert np.asarray(state["rows"]["position"]).tolist() == [5, 5, 5]


@pytest.mark.parametrize("parts", [[1] * 5, [2, 3], [4, 1]])
def test_a_sequence_in_parts_equals_one_call(model: Any, parts: list[int]) -> None:
    hidden, whole, attention = decode(model, TARGET_IDS, initial_state(model, SOURCE_IDS))
    state, found = initial_state(model, SOURCE_IDS), []
    for ids in np.split(TARGET_IDS, np.cumsum(parts)[:-1], axis=1):
        y, state, weights = decode(model, ids, state)
        found.append((np.asarray(y), np.asarray(weights)))
    same(np.concatenate([y for y, _ in found], axis=1), hidden)
    same(np.concatenate([weights for _, weights in found], axis=1), attention)
    same_rows(state, whole)


def test_later_tokens_change_nothing_before_them(model: Any) -> None:
    changed = TARGET_IDS.copy()
    changed[:, 3:] = 4
    one, _, _ = decode(model, TARGET_IDS, initial_state(model, SOURCE_IDS))
    other, _, _ = decode(model, changed, initial_state(model, SOURCE_IDS))
    same(one[:, :3], other[:, :3])
    assert np.abs(np.asarray(one[0, 3] - other[0, 3])).max() > 0.01


def test_padding_of_sources_changes_nothing(model: Any) -> None:
    encoded = model.encoder(SOURCE_IDS)
    assert np.asarray(encoded["mask"]).tolist() == (SOURCE_IDS > 0).tolist()
    hidden, _, attention = decode(model, TARGET_IDS, model.bridge(encoded))
    for row, length in enumerate([6, 4, 1]):
        alone = model.encoder(SOURCE_IDS[row : row + 1, :length])
        same(encoded["encoded"][row, :length], alone["encoded"][0])
        y, _, weights = decode(model, TARGET_IDS[row : row + 1], model.bridge(alone))
        same(hidden[row], y[0])
        same(attention[row, :, :length], weights[0])
    padded = np.pad(SOURCE_IDS, ((0, 0), (0, 5)))
    same(decode(model, TARGET_IDS, initial_state(model, padded))[0], hidden)


def test_the_source_matters(model: Any) -> None:
    other = np.where(SOURCE_IDS == 4, 7, SOURCE_IDS)
    y, _, _ = decode(model, TARGET_IDS, initial_state(model, SOURCE_IDS))
    changed, _, _ = decode(model, TARGET_IDS, initial_state(model, other))
    assert (np.abs(np.asarray(y - changed)).max(axis=(1, 2)) > 1e-3).tolist() == [True, True, False]


def test_attention_is_a_distribution_over_real_places(model: Any) -> None:
    _, _, attention = decode(model, TARGET_IDS, initial_state(model, SOURCE_IDS))
    attention = np.asarray(attention)
    assert attention.shape == (3, 5, 6)
    same(attention.sum(axis=-1), np.ones((3, 5)))
    assert (attention >= 0).all()
    assert not attention[np.broadcast_to(SOURCE_IDS[:, None, :] == 0, attention.shape)].any()


def test_reordering_rows_reorders_results(model: Any) -> None:
    # Three rows a sentence, each with a history of its own; row 0 is continued twice, row 1 never.
    state = repeat_rows(initial_state(model, SOURCE_IDS[:2]), 2, 3)
    histories = np.array([[1, 4], [1, 5], [1, 6], [1, 7], [1, 8], [1, 9]])
    order = np.array([2, 0, 0, 5, 5, 3])
    ids = np.array([[4], [4], [9], [6], [10], [6]])
    _, state, _ = decode(model, histories, state)
    y, after, _ = decode(model, ids, select_rows(state, order))
    for row in range(6):
        sentence = SOURCE_IDS[row // 3 : row // 3 + 1]
        whole = np.concatenate([histories[order[row]], ids[row]])[None]
        expected, alone, _ = decode(model, whole, initial_state(model, sentence))
        same(y[row, 0], expected[0, -1])
        same_rows(select_rows(after, np.array([row])), alone)


def test_hypotheses_over_unrepeated_memory_equal_sentences_of_their_own(model: Any) -> None:
    state = repeat_rows(initial_state(model, SOURCE_IDS), 3, 2)
    ids = np.repeat(TARGET_IDS, 2, axis=0)
    ids[1::2, 1:] = 11 - ids[1::2, 1:]
    y, after, attention = decode(model, ids, state)
    expected, alone, weights = decode(model, ids, initial_state(model, np.repeat(SOURCE_IDS, 2, axis=0)))
    assert all(len(value) == 3 for value in after["memory"].values())
    same(y, expected)
    same(attention, weights)
    same_rows(after, alone)


def merged(older: State, younger: State) -> State:
    """One batch of both. What the younger rows' caches lack stands before them, and is not to be seen."""

    def join(one: Any, other: Any) -> np.ndarray:
        one, other = np.asarray(one), np.asarray(other)
        if one.ndim == 4 and one.shape[2] != other.shape[2]:
            missing = one.shape[2] - other.shape[2]
            other = np.pad(other, ((0, 0), (0, 0), (missing, 0), (0, 0)), constant_values=50)
        return np.concatenate([one, other])

    return {part: {name: join(older[part][name], younger[part][name]) for name in older[part]} for part in older}


@pytest.mark.parametrize("age", [0, 1, 2])
def test_rows_of_different_age_share_a_batch(model: Any, age: int) -> None:
    older_state, younger_state = (initial_state(model, SOURCE_IDS[i : i + 1]) for i in (0, 1))
    _, older_state, _ = decode(model, TARGET_IDS[:1, :3], older_state)
    if age:
        _, younger_state, _ = decode(model, TARGET_IDS[1:2, :age], younger_state)
    ids = np.stack([TARGET_IDS[0, 3:5], TARGET_IDS[1, age : age + 2]])
    state = merged(older_state, younger_state)
    found = []
    for token in np.split(ids, 2, axis=1):
        y, state, _ = decode(model, token, state)
        found.append(np.asarray(y))
    together, _, _ = decode(model, ids, merged(older_state, younger_state))
    same(np.concatenate(found, axis=1), together)
    assert np.asarray(state["rows"]["position"]).tolist() == [5, age + 2]
    for row, alone_state in enumerate((older_state, younger_state)):
        alone, _, _ = decode(model, ids[row : row + 1], alone_state)
        same(together[row], alone[0])


def test_dropout_acts_in_training_alone(model: Any) -> None:
    inputs = {"source_ids": SOURCE_IDS, "target_ids": TARGET_IDS}
    assert np.array_equal(model(inputs), model(inputs, training=False))
    assert not np.allclose(model(inputs), model(inputs, training=True), atol=1e-3)

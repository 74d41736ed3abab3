"""How the recurrent decoder and its bridge put their layers together."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import Embedding
from keras_s2s.models import GRUDecoderConfig, LSTMDecoderConfig
from keras_s2s.models.recurrent_bridge import RecurrentBridge
from keras_s2s.models.recurrent_decoder import RecurrentDecoder

RNG = np.random.default_rng(1)
ENCODED = {
    "encoded": RNG.normal(size=(2, 4, 8)).astype("float32"),
    "mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
}
IDS = np.array([[1, 4, 5], [1, 6, 7]])


def make(config: Any) -> tuple[RecurrentBridge, RecurrentDecoder]:
    return RecurrentBridge(config, 8, True), RecurrentDecoder(config, Embedding(9, 8), 0.5, True)


@pytest.mark.parametrize("config", [LSTMDecoderConfig(layers=2), GRUDecoderConfig(layers=2)], ids=lambda c: c.kind)
def test_the_first_state_comes_from_the_mean_of_real_places(config: Any) -> None:
    bridge, _ = make(config)
    state = bridge(ENCODED)
    mean = np.stack([ENCODED["encoded"][0].mean(axis=0), ENCODED["encoded"][1, :2].mean(axis=0)])
    for i in range(2):
        np.testing.assert_allclose(state["rows"][f"hidden_{i}"], bridge.hidden[i](mean), atol=1e-6)
        if config.kind == "lstm":
            assert np.asarray(state["rows"][f"cell_{i}"]).tolist() == [[0] * 8] * 2
    np.testing.assert_allclose(state["memory"]["keys"], bridge.keys(ENCODED["encoded"]), atol=1e-6)
    assert np.asarray(state["rows"]["position"]).tolist() == [0, 0]


def test_the_top_layer_attends_and_is_combined_with_the_context() -> None:
    bridge, decoder = make(LSTMDecoderConfig(layers=2))
    state = bridge(ENCODED)
    hidden, after = decoder(IDS, state)
    memory, rows = state["memory"], state["rows"]
    x, first = decoder.blocks[0](decoder.embedding(IDS), (rows["hidden_0"], rows["cell_0"]))
    y, second = decoder.blocks[1](x, (rows["hidden_1"], rows["cell_1"]))
    context, _ = decoder.attention(x + y, memory["keys"], memory["values"], memory["mask"])
    expected = decoder.combine(np.concatenate([x + y, context], axis=-1))
    np.testing.assert_allclose(hidden, expected, atol=1e-6)
    for i, (h, c) in enumerate((first, second)):
        np.testing.assert_allclose(after["rows"][f"hidden_{i}"], h, atol=1e-6)
        np.testing.assert_allclose(after["rows"][f"cell_{i}"], c, atol=1e-6)


@pytest.mark.parametrize(("kind", "scale"), [("dot", 1.0), ("scaled", 8**-0.5)])
def test_dot_attention_has_the_memory_itself_for_keys(kind: str, scale: float) -> None:
    bridge, decoder = make(GRUDecoderConfig(attention=kind))
    state = bridge(ENCODED)
    assert state["memory"].keys() == {"values", "mask"}
    _, _, attention = decoder(IDS, state, return_attention=True)
    query, _ = decoder.blocks[0](decoder.embedding(IDS), (state["rows"]["hidden_0"],))
    energy = np.exp(np.asarray(query)[0] @ ENCODED["encoded"][0].T * scale)
    np.testing.assert_allclose(attention[0], energy / energy.sum(axis=-1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("length", [1, 3])
def test_input_feeding_joins_the_step_befores_vector_to_the_embedding(length: int) -> None:
    bridge, decoder = make(GRUDecoderConfig(input_feeding=True, attention="general"))
    state = bridge(ENCODED)
    found, after, attention = decoder(IDS[:, :length], state, return_attention=True)
    memory, h, feed = state["memory"], state["rows"]["hidden_0"], np.zeros((2, 8), "float32")
    assert np.array_equal(state["rows"]["feed"], feed)
    for t in range(length):
        x = np.concatenate([decoder.embedding(IDS[:, t]), feed], axis=-1)
        y, (h,) = decoder.blocks[0](x[:, None], (h,))
        context, weights = decoder.attention(y, memory["keys"], memory["values"], memory["mask"])
        feed = np.asarray(decoder.combine(np.concatenate([y, context], axis=-1)))[:, 0]
        np.testing.assert_allclose(found[:, t], feed, atol=1e-6)
        np.testing.assert_allclose(attention[:, t], weights[:, 0], atol=1e-6)
    np.testing.assert_allclose(after["rows"]["feed"], feed, atol=1e-6)
    np.testing.assert_allclose(after["rows"]["hidden_0"], h, atol=1e-6)


def test_a_language_model_starts_from_zeros() -> None:
    config = LSTMDecoderConfig(layers=2)
    bridge, decoder = RecurrentBridge(config, 8, False), RecurrentDecoder(config, Embedding(9, 8), 0.5, False)
    state = bridge({"position": np.zeros(2, "int32")})
    assert bridge.weights == []
    assert state["memory"] == {}
    assert all(not np.asarray(value).any() for value in state["rows"].values())
    hidden, _ = decoder(IDS, state)
    x, _ = decoder.blocks[0](decoder.embedding(IDS))
    y, _ = decoder.blocks[1](x)
    np.testing.assert_allclose(hidden, x + y, atol=1e-6)

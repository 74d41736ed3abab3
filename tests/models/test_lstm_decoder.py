"""How the recurrent decoder puts its layers together."""

import numpy as np

from keras_s2s.layers import Embedding
from keras_s2s.models import LSTMDecoderConfig
from keras_s2s.models.lstm_decoder import LSTMBridge, LSTMDecoder

CONFIG = LSTMDecoderConfig(layers=2)
RNG = np.random.default_rng(1)
ENCODED = {
    "encoded": RNG.normal(size=(2, 4, 8)).astype("float32"),
    "mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
}


def test_the_first_state_comes_from_the_mean_of_real_places() -> None:
    bridge = LSTMBridge(CONFIG, 8)
    state = bridge(ENCODED)
    mean = np.stack([ENCODED["encoded"][0].mean(axis=0), ENCODED["encoded"][1, :2].mean(axis=0)])
    for i in range(2):
        np.testing.assert_allclose(state["rows"][f"hidden_{i}"], bridge.hidden[i](mean), atol=1e-6)
        assert np.asarray(state["rows"][f"cell_{i}"]).tolist() == [[0] * 8] * 2
    np.testing.assert_allclose(state["memory"]["keys"], bridge.keys(ENCODED["encoded"]), atol=1e-6)
    assert np.asarray(state["rows"]["position"]).tolist() == [0, 0]


def test_the_top_layer_attends_and_is_combined_with_the_context() -> None:
    decoder = LSTMDecoder(CONFIG, Embedding(9, 8), dropout=0.5)
    ids = np.array([[1, 4, 5], [1, 6, 7]])
    state = LSTMBridge(CONFIG, 8)(ENCODED)
    hidden, after = decoder(ids, state)
    memory, rows = state["memory"], state["rows"]
    x, first = decoder.blocks[0](decoder.embedding(ids), (rows["hidden_0"], rows["cell_0"]))
    y, second = decoder.blocks[1](x, (rows["hidden_1"], rows["cell_1"]))
    context, _ = decoder.attention(x + y, memory["keys"], memory["values"], memory["mask"])
    expected = decoder.combine(np.concatenate([x + y, context], axis=-1))
    np.testing.assert_allclose(hidden, expected, atol=1e-6)
    for i, (h, c) in enumerate((first, second)):
        np.testing.assert_allclose(after["rows"][f"hidden_{i}"], h, atol=1e-6)
        np.testing.assert_allclose(after["rows"][f"cell_{i}"], c, atol=1e-6)

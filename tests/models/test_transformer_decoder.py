"""How the Transformer decoder puts its layers together."""

import numpy as np

from keras_s2s.layers import Embedding, sinusoids
from keras_s2s.models import TransformerDecoderConfig
from keras_s2s.models.transformer_decoder import TransformerBridge, TransformerDecoder

CONFIG = TransformerDecoderConfig(layers=2, heads=2, feed_forward=12)
RNG = np.random.default_rng(1)
ENCODED = {
    "encoded": RNG.normal(size=(2, 4, 8)).astype("float32"),
    "mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
}


def test_the_first_state_holds_memory_and_empty_caches() -> None:
    bridge = TransformerBridge(CONFIG, 8)
    state = bridge(ENCODED)
    assert {name: tuple(value.shape) for name, value in state["rows"].items()} == {
        "position": (2,),
        **{f"{name}_{i}": (2, 2, 0, 4) for name in ("key", "value") for i in range(2)},
    }
    for i in range(2):
        key, value = bridge.keys_values[i](ENCODED["encoded"])
        np.testing.assert_allclose(state["memory"][f"key_{i}"], key, atol=1e-6)
        np.testing.assert_allclose(state["memory"][f"value_{i}"], value, atol=1e-6)


def test_blocks_normalise_before_each_part_and_at_the_end() -> None:
    decoder = TransformerDecoder(CONFIG, Embedding(9, 8), dropout=0.5)
    ids = np.array([[1, 4, 5], [1, 6, 7]])
    state = TransformerBridge(CONFIG, 8)(ENCODED)
    decoder(ids, state)
    rng = np.random.default_rng(1)
    decoder.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in decoder.get_weights()])
    memory, causal = state["memory"], np.tril(np.ones((1, 3, 3), bool))
    x = decoder.embedding(ids) * np.sqrt(8) + sinusoids(np.array([[0, 1, 2]]), 8)
    for i, block in enumerate(decoder.blocks):
        x = x + block.self_attention(block.self_norm(x), causal)[0]
        key, value = memory[f"key_{i}"], memory[f"value_{i}"]
        x = x + block.cross_attention(block.cross_norm(x), key, value, memory["mask"])
        x = x + block.feed_forward(block.feed_forward_norm(x))
    np.testing.assert_allclose(decoder(ids, state)[0], decoder.norm(x), atol=1e-5)

"""How the Transformer decoder and its bridge put their layers together."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import Embedding, sinusoids
from keras_s2s.models import SSRUDecoderConfig, TransformerDecoderConfig
from keras_s2s.models.transformer_bridge import TransformerBridge
from keras_s2s.models.transformer_decoder import TransformerDecoder

BLOCKS: dict[str, Any] = {"layers": 2, "heads": 2, "feed_forward": 12}
CONFIGS = {"transformer": TransformerDecoderConfig(**BLOCKS), "ssru": SSRUDecoderConfig(**BLOCKS)}
RNG = np.random.default_rng(1)
ENCODED = {
    "encoded": RNG.normal(size=(2, 4, 8)).astype("float32"),
    "mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
}
IDS = np.array([[1, 4, 5], [1, 6, 7]])
# The state of a block's mixer before the first token, and what it is told of the tokens.
GIVEN: dict[str, Any] = {
    "transformer": (None, {"mask": np.tril(np.ones((1, 3, 3), bool))}),
    "ssru": ((np.zeros((2, 8), "float32"),), None),
}


def make(config: Any, state: Any) -> TransformerDecoder:
    """With weights of any size, offsets and scales too."""
    decoder = TransformerDecoder(config, Embedding(9, 8), 0.5, reads_memory=bool(state["memory"]))
    decoder(IDS, state)
    rng = np.random.default_rng(1)
    decoder.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in decoder.get_weights()])
    return decoder


def embedded(decoder: TransformerDecoder) -> Any:
    return decoder.embedding(IDS) * np.sqrt(8) + sinusoids(np.array([[0, 1, 2]]), 8)


def test_the_first_state_holds_memory_and_empty_caches() -> None:
    bridge = TransformerBridge(CONFIGS["transformer"], 8, True)
    state = bridge(ENCODED)
    assert {name: tuple(value.shape) for name, value in state["rows"].items()} == {
        "position": (2,),
        **{f"{name}_{i}": (2, 2, 0, 4) for name in ("key", "value") for i in range(2)},
    }
    for i in range(2):
        key, value = bridge.keys_values[i](ENCODED["encoded"])
        np.testing.assert_allclose(state["memory"][f"key_{i}"], key, atol=1e-6)
        np.testing.assert_allclose(state["memory"][f"value_{i}"], value, atol=1e-6)


def test_an_ssru_remembers_one_cell_a_layer() -> None:
    state = TransformerBridge(CONFIGS["ssru"], 8, True)(ENCODED)
    shapes = {name: tuple(value.shape) for name, value in state["rows"].items()}
    assert shapes == {"position": (2,), "cell_0": (2, 8), "cell_1": (2, 8)}
    assert state["memory"].keys() == {"mask", "key_0", "value_0", "key_1", "value_1"}


@pytest.mark.parametrize("kind", CONFIGS)
def test_blocks_normalise_before_each_part_and_at_the_end(kind: str) -> None:
    state = TransformerBridge(CONFIGS[kind], 8, True)(ENCODED)
    decoder = make(CONFIGS[kind], state)
    memory = state["memory"]
    x = embedded(decoder)
    for i, block in enumerate(decoder.blocks):
        x = x + block.mixer(block.mixer_residual.norm(x), *GIVEN[kind])[0]
        key, value = memory[f"key_{i}"], memory[f"value_{i}"]
        x = x + block.cross_attention(block.cross_residual.norm(x), key, value, memory["mask"])
        x = x + block.feed_forward(block.feed_forward_residual.norm(x))
    assert decoder.norm is not None
    np.testing.assert_allclose(decoder(IDS, state)[0], decoder.norm(x), atol=1e-5)


def test_or_after_each_part_and_not_at_the_end() -> None:
    config = CONFIGS["transformer"].replace(norm_place="post")
    state = TransformerBridge(config, 8, True)(ENCODED)
    decoder = make(config, state)
    memory = state["memory"]
    x = embedded(decoder)
    for i, block in enumerate(decoder.blocks):
        x = block.mixer_residual.norm(x + block.mixer(x, *GIVEN["transformer"])[0])
        key, value = memory[f"key_{i}"], memory[f"value_{i}"]
        x = block.cross_residual.norm(x + block.cross_attention(x, key, value, memory["mask"]))
        x = block.feed_forward_residual.norm(x + block.feed_forward(x))
    assert decoder.norm is None
    np.testing.assert_allclose(decoder(IDS, state)[0], x, atol=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_language_models_blocks_attend_to_no_memory(kind: str) -> None:
    bridge = TransformerBridge(CONFIGS[kind], 8, False)
    state = bridge({"position": np.zeros(2, "int32")})
    assert bridge.weights == []
    assert state["memory"] == {}
    decoder = make(CONFIGS[kind], state)
    x = embedded(decoder)
    for block in decoder.blocks:
        x = x + block.mixer(block.mixer_residual.norm(x), *GIVEN[kind])[0]
        x = x + block.feed_forward(block.feed_forward_residual.norm(x))
    np.testing.assert_allclose(decoder(IDS, state)[0], decoder.norm(x), atol=1e-5)

"""How encoders put their layers together."""

import numpy as np

from keras_s2s.layers import Embedding, sinusoids
from keras_s2s.models import LSTMEncoderConfig, TransformerEncoderConfig
from keras_s2s.models.encoders import LSTMEncoder, TransformerEncoder

SOURCE_IDS = np.array([[4, 5, 6, 2], [7, 2, 0, 0]], "int32")
MASK = SOURCE_IDS > 0


def test_stacked_lstms_are_residual_from_the_second_on() -> None:
    encoder = LSTMEncoder(LSTMEncoderConfig(layers=3), Embedding(9, 8), dropout=0.5)
    got = encoder(SOURCE_IDS)["encoded"]
    x = encoder.blocks[0](encoder.embedding(SOURCE_IDS), MASK)
    x = x + encoder.blocks[1](x, MASK)
    x = x + encoder.blocks[2](x, MASK)
    np.testing.assert_allclose(got, x, atol=1e-6)


def test_transformer_blocks_normalise_before_and_at_the_end() -> None:
    config = TransformerEncoderConfig(layers=2, heads=2, feed_forward=12)
    encoder = TransformerEncoder(config, Embedding(9, 8), dropout=0.5)
    encoder(SOURCE_IDS)
    rng = np.random.default_rng(1)
    encoder.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in encoder.get_weights()])
    x = encoder.embedding(SOURCE_IDS) * np.sqrt(8) + sinusoids(np.array([[0, 1, 2, 3]]), 8)
    for block in encoder.blocks:
        x = x + block.attention(block.attention_norm(x), MASK[:, None, :])[0]
        x = x + block.feed_forward(block.feed_forward_norm(x))
    np.testing.assert_allclose(encoder(SOURCE_IDS)["encoded"], encoder.norm(x), atol=1e-5)

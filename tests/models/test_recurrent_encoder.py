"""How the recurrent encoder puts its layers together."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import Embedding
from keras_s2s.models import GRUEncoderConfig, LSTMEncoderConfig
from keras_s2s.models.recurrent_encoder import RecurrentEncoder
from keras_s2s.models.sources import TokenSource

SOURCE_IDS = np.array([[4, 5, 6, 2], [7, 2, 0, 0]], "int32")
MASK = SOURCE_IDS > 0


def make(config: Any) -> RecurrentEncoder:
    return RecurrentEncoder(config, TokenSource(Embedding(9, 8)), 8, dropout=0.5)


@pytest.mark.parametrize("config", [LSTMEncoderConfig(layers=3), GRUEncoderConfig(layers=3)], ids=lambda c: c.kind)
def test_layers_are_residual_from_the_second_on(config: Any) -> None:
    encoder = make(config)
    encoded = encoder({"source_ids": SOURCE_IDS})
    x = encoder.blocks[0](encoder.source.embedding(SOURCE_IDS), MASK)
    x = x + encoder.blocks[1](x, MASK)
    x = x + encoder.blocks[2](x, MASK)
    np.testing.assert_allclose(encoded["encoded"], x, atol=1e-6)
    assert np.asarray(encoded["mask"]).tolist() == MASK.tolist()


@pytest.mark.parametrize("forwards", [True, False])
@pytest.mark.parametrize("kind", [LSTMEncoderConfig, GRUEncoderConfig])
def test_an_encoder_forwards_sees_nothing_behind(kind: Any, forwards: bool) -> None:
    encoder = make(kind(bidirectional=not forwards))
    one = encoder({"source_ids": SOURCE_IDS})["encoded"]
    other = encoder({"source_ids": np.where(SOURCE_IDS == 6, 8, SOURCE_IDS)})["encoded"]
    assert one.shape == (2, 4, 8)
    assert np.allclose(one[0, :2], other[0, :2], atol=1e-6) == forwards
    assert not np.allclose(one[0, 2], other[0, 2], atol=1e-3)

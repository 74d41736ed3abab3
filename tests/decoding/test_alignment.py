"""Where a decoder looks while it writes a given target."""

import numpy as np

from keras_s2s.decoding import alignment, initial_state
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build


def test_there_is_a_distribution_for_each_token_and_for_eos() -> None:
    config = ModelConfig(
        source_vocabulary=9,
        target_vocabulary=9,
        width=8,
        encoder=LSTMEncoderConfig(),
        decoder=LSTMDecoderConfig(),
    )
    model = build(config)
    source_ids = np.array([[4, 5, 6, 2], [7, 2, 0, 0]], "int32")
    tokens = np.array([[4, 5, 6], [8, 7, 4]], "int32")
    attention = np.asarray(alignment(model, source_ids, tokens))
    assert attention.shape == (2, 4, 4)
    np.testing.assert_allclose(attention.sum(axis=-1), 1, rtol=1e-5)
    assert not attention[1, :, 2:].any()
    # Step by step: BOS writes the first token, the last token writes EOS.
    state = initial_state(model, source_ids)
    for t, ids in enumerate([[[1], [1]], [[4], [8]], [[5], [7]], [[6], [4]]]):
        _, state, expected = model.decoder(np.array(ids), state, return_attention=True)
        np.testing.assert_allclose(attention[:, t], expected[:, 0], atol=1e-5)

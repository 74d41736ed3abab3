"""From a source's tensors to vectors and their mask."""

import numpy as np

from keras_s2s.layers import Embedding
from keras_s2s.models import ConvolutionConfig
from keras_s2s.models.sources import FeatureSource, TokenSource


def test_tokens_are_embedded_and_scaled_and_padding_is_masked() -> None:
    source = TokenSource(Embedding(9, 4), scale=2.0)
    ids = np.array([[4, 2, 0]])
    x, mask = source({"source_ids": ids})
    np.testing.assert_allclose(x, 2 * np.asarray(source.embedding(ids)), atol=1e-6)
    assert np.asarray(mask).tolist() == [[True, True, False]]


def test_frames_are_projected() -> None:
    source = FeatureSource(4)
    frames = np.random.default_rng(1).normal(size=(2, 3, 5)).astype("float32")
    x, mask = source({"source_features": frames, "source_lengths": np.array([3, 1], "int32")})
    np.testing.assert_allclose(x, frames @ np.asarray(source.front.kernel), atol=1e-5)
    assert np.asarray(mask).tolist() == [[True, True, True], [True, False, False]]


def test_a_front_shortens_frames_and_their_mask() -> None:
    source = FeatureSource(4, ConvolutionConfig(layers=2, stride=2))
    x, mask = source({"source_features": np.ones((2, 9, 5), "float32"), "source_lengths": np.array([9, 4], "int32")})
    assert x.shape == (2, 3, 4)
    assert np.asarray(mask).tolist() == [[True, True, True], [True, False, False]]

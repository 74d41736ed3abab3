"""How the Transformer encoder puts its layers together."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import Embedding, RelativeBias, sinusoids
from keras_s2s.models import TransformerEncoderConfig
from keras_s2s.models.sources import TokenSource
from keras_s2s.models.transformer_encoder import TransformerEncoder

SOURCE_IDS = np.array([[4, 5, 6, 2], [7, 2, 0, 0]], "int32")
MASK = SOURCE_IDS > 0


def make(**options: Any) -> TransformerEncoder:
    """With weights of any size, offsets and scales too."""
    config = TransformerEncoderConfig(**{"layers": 2, "heads": 2, "feed_forward": 12, **options})
    encoder = TransformerEncoder(config, TokenSource(Embedding(9, 8), 8**0.5), 8, dropout=0.5)
    encoder({"source_ids": SOURCE_IDS})
    rng = np.random.default_rng(1)
    encoder.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in encoder.get_weights()])
    return encoder


def embedded(encoder: TransformerEncoder) -> Any:
    return encoder.source.embedding(SOURCE_IDS) * np.sqrt(8)


def test_blocks_normalise_before_each_part_and_at_the_end() -> None:
    encoder = make()
    x = embedded(encoder) + sinusoids(np.array([[0, 1, 2, 3]]), 8)
    for block in encoder.blocks:
        x = x + block.mixer(block.mixer_residual.norm(x), None, {"mask": MASK[:, None, :]})[0]
        x = x + block.feed_forward(block.feed_forward_residual.norm(x))
    assert encoder.norm is not None
    np.testing.assert_allclose(encoder({"source_ids": SOURCE_IDS})["encoded"], encoder.norm(x), atol=1e-5)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_or_after_each_part_and_not_at_the_end(norm: str) -> None:
    encoder = make(norm=norm, norm_place="post")
    x = embedded(encoder) + sinusoids(np.array([[0, 1, 2, 3]]), 8)
    for block in encoder.blocks:
        x = block.mixer_residual.norm(x + block.mixer(x, None, {"mask": MASK[:, None, :]})[0])
        x = block.feed_forward_residual.norm(x + block.feed_forward(x))
    assert encoder.norm is None
    np.testing.assert_allclose(encoder({"source_ids": SOURCE_IDS})["encoded"], x, atol=1e-5)


def test_an_encoder_forwards_sees_nothing_behind() -> None:
    encoder = make(bidirectional=False)
    one = encoder({"source_ids": SOURCE_IDS})["encoded"]
    other = encoder({"source_ids": np.where(SOURCE_IDS == 6, 8, SOURCE_IDS)})["encoded"]
    np.testing.assert_allclose(one[0, :2], other[0, :2], atol=1e-5)
    assert not np.allclose(one[0, 2:], other[0, 2:], atol=1e-3)


def test_learned_positions_are_added_and_the_last_one_goes_on() -> None:
    encoder = make(layers=1, positions="learned", maximum_length=2)
    table = np.asarray(encoder.positions.learned.table)
    x = np.asarray(embedded(encoder)) + table[[0, 1, 1, 1]]
    y, _, _ = encoder.blocks[0](x, given={"mask": MASK[:, None, :]})
    np.testing.assert_allclose(encoder({"source_ids": SOURCE_IDS})["encoded"], encoder.norm(y), atol=1e-5)


def test_a_relative_bias_is_one_for_all_blocks_and_replaces_positions() -> None:
    encoder = make(positions="relative")
    bias = encoder.positions.bias
    assert isinstance(bias, RelativeBias)
    x = embedded(encoder)
    for block in encoder.blocks:
        x, _, _ = block(x, given={"mask": MASK[:, None, :], "bias": bias(length=4, past=0)})
    np.testing.assert_allclose(encoder({"source_ids": SOURCE_IDS})["encoded"], encoder.norm(x), atol=1e-5)
    assert sum(layer is bias for layer in encoder._flatten_layers()) == 1


@pytest.mark.parametrize("kind", ["rotary", "relative", "alibi"])
def test_attention_to_distances_sees_no_absolute_position(kind: str) -> None:
    # The same tokens, one place later behind a token that they do not see.
    encoder = make(layers=1, positions=kind)
    mask = np.array([[[True, True, True]]])
    ids = np.array([[4, 5, 6]])
    x = encoder.source.embedding(ids)
    later = encoder.source.embedding(np.array([[8, 4, 5, 6]]))
    hidden = np.array([[[False, True, True, True]]])
    one, _, _ = encoder.blocks[0](
        x, given={"mask": mask, **encoder.positions.of_attention(np.array([[0, 1, 2]]), 3, 0)}
    )
    other, _, _ = encoder.blocks[0](
        later, given={"mask": hidden, **encoder.positions.of_attention(np.array([[0, 1, 2, 3]]), 4, 0)}
    )
    np.testing.assert_allclose(one[0], other[0, 1:], atol=1e-5)
    swapped = encoder.source.embedding(np.array([[5, 4, 6]]))
    swapped, _, _ = encoder.blocks[0](
        swapped, given={"mask": mask, **encoder.positions.of_attention(np.array([[0, 1, 2]]), 3, 0)}
    )
    assert not np.allclose(one[0, 2], swapped[0, 2], atol=1e-4)


def test_whole_blocks_are_left_out_in_training() -> None:
    encoder = make(layers=1, layer_drop=0.5)
    block = encoder.blocks[0]
    x = np.asarray(embedded(encoder))
    kept = [np.array_equal(block(x, given={"mask": MASK[:, None, :]}, training=True)[0], x) for _ in range(60)]
    assert 10 < sum(kept) < 50
    assert not np.array_equal(block(x, given={"mask": MASK[:, None, :]})[0], x)

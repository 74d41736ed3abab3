"""The smaller model says what the masked one says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s.compression import Kept, KeptBlock, prune
from keras_s2s.compression.kept import stacks_of
from keras_s2s.errors import UserError
from keras_s2s.layers import SelfAttention
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import (
    CTCHeadConfig,
    GRUDecoderConfig,
    GRUEncoderConfig,
    ModelConfig,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.training import load

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

BLOCKS: dict[str, Any] = {"layers": 2, "heads": 4, "feed_forward": 10}
INPUTS = {
    "source_ids": np.array([[4, 5, 6, 7, 8, 2], [9, 4, 4, 2, 0, 0]], "int32"),
    "target_ids": np.array([[1, 4, 5, 6, 7], [1, 9, 4, 8, 8]], "int32"),
}
NO_SOURCE: dict[str, Any] = {"source_vocabulary": None, "encoder": None}


def blocks(**options: Any) -> dict[str, Any]:
    options = {**BLOCKS, **options}
    return {"encoder": TransformerEncoderConfig(**options), "decoder": TransformerDecoderConfig(**options)}


MODELS: dict[str, dict[str, Any]] = {
    "pre": blocks(),
    "post, rms and swiglu": blocks(norm_place="post", norm="rms", activation="swiglu"),
    "pre rms and gelu, learned": blocks(norm="rms", activation="gelu", positions="learned"),
    "rotary": blocks(positions="rotary", activation="swiglu"),
    "relative": blocks(positions="relative"),
    "alibi": blocks(positions="alibi", norm_place="post"),
    "sizes of each layer": blocks(heads=[4, 8], feed_forward=[10, 7]),
    "heads of their own": {
        "encoder": TransformerEncoderConfig(**{**BLOCKS, "heads": [5, 3]}, head_width=[2, 6]),
        "decoder": TransformerDecoderConfig(**{**BLOCKS, "heads": 3}, head_width=6, memory_heads=[5, 3]),
    },
    "slopes": blocks(positions="alibi", heads=5, head_width=2, slopes=[1, 0.5, 0.3, 0.2, 0.1]),
    "ssru": {"encoder": GRUEncoderConfig(), "decoder": SSRUDecoderConfig(**BLOCKS, norm_place="post")},
    "encoder alone": {"encoder": TransformerEncoderConfig(**BLOCKS), "decoder": GRUDecoderConfig()},
    "shared, tied and ctc": {
        **blocks(layer_drop=0.2),
        "source_vocabulary": 12,
        "share_embeddings": True,
        "tie_output": True,
        "ctc": CTCHeadConfig(),
    },
    "labeller": {"encoder": TransformerEncoderConfig(**BLOCKS), "decoder": None, "ctc": CTCHeadConfig()},
    "language model": {**NO_SOURCE, "decoder": TransformerDecoderConfig(**BLOCKS)},
}


def make(name: str) -> Any:
    """A model whose weights are large, offsets and scales too, so that nothing stays unseen."""
    sizes: dict[str, Any] = {"source_vocabulary": 10, "target_vocabulary": 12, "width": 16, "dropout": 0.3}
    model = build(ModelConfig(**{**sizes, **MODELS[name]}))
    rng = np.random.default_rng(4)
    model.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in model.get_weights()])
    return model


def drawn(model: Any, seed: int) -> Kept:
    """Some of everything stays; the block of the seed's number goes."""
    rng = np.random.default_rng(seed)

    def some(places: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(rng.permutation(places)[: rng.integers(1, len(places) + 1)].tolist())) if places else ()

    kept: dict[str, dict[int, KeptBlock]] = {}
    for stack in stacks_of(model):
        whole = Kept.all_of(model).of(stack.name)
        shared = some(whole[0].heads)
        kept[stack.name] = {
            number: KeptBlock(
                shared if stack.shares_heads else some(block.heads), some(block.memory_heads), some(block.units)
            )
            for number, block in whole.items()
            if number != seed
        }
    return Kept(**kept)


def mask(model: Any, kept: Kept) -> None:
    """Puts zeros in the place of what the big model gives to products, and takes out whole blocks."""
    for stack in stacks_of(model):
        widths = stack.config.head_width_of_layers(model.config.width)
        for number, block in enumerate(stack.blocks):
            if (stays := kept.of(stack.name).get(number)) is None:
                block.call = lambda x, state=None, **_: (x, state, None)
                continue
            if isinstance(block.mixer, SelfAttention):
                zero_rows(block.mixer.output_projection.kernel, stays.heads, widths[number])
            if block.cross_attention is not None:
                zero_rows(block.cross_attention.output_projection.kernel, stays.memory_heads, widths[number])
            zero_rows(block.feed_forward.down.kernel, stays.units, 1)


def zero_rows(kernel: Any, kept: tuple[int, ...], size: int) -> None:
    """Zeros in a kernel, but for the rows of what stays, `size` rows each."""
    rows = np.repeat(np.isin(np.arange(kernel.shape[0] // size), kept), size)
    kernel.assign(kernel.numpy() * rows[:, None])


def outputs(model: Any) -> list[np.ndarray]:
    given = {name: INPUTS[name] for name in model.input}
    return [np.asarray(output) for output in keras.tree.flatten(model(given))]


@pytest.mark.parametrize(("seed", "name"), [(number % 3, name) for number, name in enumerate(MODELS)])
def test_the_smaller_model_says_what_the_masked_one_says(seed: int, name: str) -> None:
    model = make(name)
    kept = drawn(model, seed)
    small, whole = prune(model, kept), outputs(model)
    mask(model, kept)
    for ours, theirs, before in zip(outputs(small), outputs(model), whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert np.abs(theirs - before).max() > 1e-2
    assert small.count_params() < model.count_params()


@pytest.mark.parametrize("name", ["alibi", "heads of their own", "shared, tied and ctc", "language model"])
def test_if_all_stays_the_model_is_the_same(name: str) -> None:
    model = make(name)
    small = prune(model, Kept.all_of(model))
    assert small.config == model.config
    for ours, theirs in zip(small.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["alibi", "ssru"])
def test_it_is_saved_pruned_again_and_trained_like_any_other(name: str, tmp_path: Path) -> None:
    model = make(name)
    once = prune(model, drawn(model, 2))
    once.save(tmp_path / "small.keras")
    again = load(tmp_path / "small.keras")
    assert again.config == once.config
    np.testing.assert_array_equal(outputs(again)[0], outputs(once)[0])
    twice = prune(again, Kept.all_of(again).without_block("decoder", 1))
    assert (once.config.decoder.layers, twice.config.decoder.layers) == (2, 1)
    twice.compile(optimizer="adam", loss=CrossEntropy())
    before = twice.get_weights()
    twice.fit(INPUTS, np.array([[4, 5, 6, 7, 2], [9, 4, 8, 8, 2]]), verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, twice.get_weights(), strict=True) if a.any())


def test_sizes_stand_in_the_config() -> None:
    model = make("pre")
    kept = Kept.all_of(model)
    block = replace(kept.encoder[1], heads=(0, 2, 3), units=(1, 9))
    small = prune(model, replace(kept, encoder={0: kept.encoder[0], 1: block}))
    found = small.config.encoder
    assert (found.layers, found.heads, found.head_width, found.feed_forward) == (2, (4, 3), 4, (10, 2))
    assert small.config.decoder == model.config.decoder


def block_of(model: Any, **changes: Any) -> Kept:
    """All, but of the encoder's block 1."""
    kept = Kept.all_of(model)
    return replace(kept, encoder={**kept.encoder, 1: replace(kept.encoder[1], **changes)})


def test_what_cannot_stay_is_said_in_one_line() -> None:
    pre, relative = make("pre"), make("relative")
    all_of = Kept.all_of(pre)
    recurrent = build(
        ModelConfig(source_vocabulary=9, target_vocabulary=9, encoder=GRUEncoderConfig(), decoder=GRUDecoderConfig())
    )
    for model, kept, message in [
        (recurrent, Kept(), "prune: the model has no Transformer blocks, and nothing else can be pruned"),
        (pre, replace(all_of, decoder={}), "prune: no block of the decoder stays; keep one"),
        (pre, replace(all_of, encoder={2: all_of.encoder[0]}), "prune: encoder: there is no block 2; they are "),
        (pre, block_of(pre, heads=()), "prune: encoder, block 1: no head of self-attention stays; keep one, or leave "),
        (pre, block_of(pre, units=()), "prune: encoder, block 1: no unit of the feed-forward part stays; keep one, "),
        (pre, block_of(pre, heads=(1, 4)), "block 1: heads: expected numbers below 4 in their order, got [1, 4]"),
        (pre, block_of(pre, heads=(2, 1)), "block 1: heads: expected numbers below 4 in their order, got [2, 1]"),
        (pre, block_of(pre, memory_heads=(0,)), "block 1: memory_heads: expected numbers below 0 in their order"),
        (relative, block_of(relative, heads=(1, 2)), "prune: encoder: relative positions have a bias for each head, "),
    ]:
        with pytest.raises(UserError) as error:
            prune(model, kept)
        assert message in str(error.value)
        assert "\n" not in str(error.value)

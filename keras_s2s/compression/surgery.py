"""Surgery: of a model and what stays of it a smaller model that says the same as the masked one."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_s2s.compression.kept import Kept, KeptBlock, Stack, stacks_of
from keras_s2s.layers import Linear, SelfAttention, alibi_slopes
from keras_s2s.models import BlockDecoderConfig, Seq2Seq
from keras_s2s.models.transformer_block import TransformerBlock


def prune(model: Seq2Seq, kept: Kept) -> Seq2Seq:
    """Makes the smaller model that is left.

    It says what the model would say with zeros in the place of what heads and units that go give to the product behind
    them, and without the blocks that go. It is a model like any other; its config has the sizes of each layer.

    Args:
        model: stays as it is.
        kept: what stays of it.

    Raises:
        UserError: this cannot stay of it, see `Kept.check`.
    """
    kept.check(model)
    stacks = stacks_of(model)
    config = model.config.replace(**{stack.name: _config(stack, kept, model.config.width) for stack in stacks})
    small = type(model)(config)
    cuts = {id(cut.variable): cut for stack in stacks for cut in _cuts(stack, model, kept)}
    for own, there in _pairs(small, model, kept):
        cut = cuts.get(id(there))
        own.assign(there.numpy() if cut is None else np.take(there.numpy(), cut.places, axis=cut.axis))
    return small


class _Cut(NamedTuple):
    """The places along one axis that stay of a variable."""

    variable: keras.Variable
    axis: int
    places: np.ndarray


def _config(stack: Stack, kept: Kept, width: int) -> dict[str, Any]:
    """The config of the smaller stack."""
    config, blocks = stack.config, sorted(kept.of(stack.name).items())
    numbers = [number for number, _ in blocks]
    sizes = {name: [of_layers[i] for i in numbers] for name, of_layers in _sizes(stack, width).items()}
    sizes["feed_forward"] = [len(block.units) for _, block in blocks]
    if isinstance(stack.blocks[0].mixer, SelfAttention):
        sizes["heads"] = [len(block.heads) for _, block in blocks]
    if isinstance(config, BlockDecoderConfig):
        with_memory = stack.blocks[0].cross_attention is not None
        sizes["memory_heads"] = [len(block.memory_heads) for _, block in blocks] if with_memory else sizes["heads"]
    said: dict[str, Any] = {name: _in_short(numbers) for name, numbers in sizes.items()}
    fills = [heads * size == width for heads, size in zip(sizes["heads"], sizes["head_width"], strict=True)]
    if config.head_width is None and all(fills):
        said["head_width"] = None
    if said.get("memory_heads") == said["heads"]:
        said["memory_heads"] = None
    if config.positions == "alibi" and (config.slopes or not all(fills)):
        slopes = config.slopes or alibi_slopes(config.heads_of_layers()[0])
        said["slopes"] = [slopes[head] for head in blocks[0][1].heads]
    return {**config.model_dump(), **said, "layers": len(blocks)}


def _sizes(stack: Stack, width: int) -> dict[str, Sequence[int]]:
    return {"heads": stack.config.heads_of_layers(), "head_width": stack.config.head_width_of_layers(width)}


def _in_short(sizes: list[int]) -> int | list[int]:
    """One number for all layers if it is the same."""
    return sizes[0] if len({*sizes}) == 1 else sizes


def _cuts(stack: Stack, model: Seq2Seq, kept: Kept) -> Iterator[_Cut]:
    blocks, widths = kept.of(stack.name), stack.config.head_width_of_layers(model.config.width)
    for number, block in blocks.items():
        yield from _cuts_of_block(stack.blocks[number], block, widths[number])
        if block.memory_heads:
            places = _places(block.memory_heads, widths[number])
            yield from _columns(model.bridge.keys_values[number].key_value, places, parts=2)
    bias = getattr(model, stack.name).positions.bias
    if bias is not None and bias.weights:
        yield _Cut(bias.table, 1, np.array(next(iter(blocks.values())).heads))


def _cuts_of_block(block: TransformerBlock, kept: KeptBlock, head_width: int) -> Iterator[_Cut]:
    if isinstance(block.mixer, SelfAttention):
        places = _places(kept.heads, head_width)
        yield from _columns(block.mixer.query_key_value, places, parts=3)
        yield _Cut(block.mixer.output_projection.kernel, 0, places)
    if block.cross_attention is not None:
        places = _places(kept.memory_heads, head_width)
        yield from _columns(block.cross_attention.query, places)
        yield _Cut(block.cross_attention.output_projection.kernel, 0, places)
    units, forward = np.array(kept.units), block.feed_forward
    for product in (forward.up, forward.gate):
        if product is not None:
            yield from _columns(product, units)
    yield _Cut(forward.down.kernel, 0, units)


def _places(heads: Sequence[int], head_width: int) -> np.ndarray:
    """Where the numbers of some heads stand among those of all."""
    return (np.array(heads)[:, None] * head_width + np.arange(head_width)).ravel()


def _columns(product: Linear, places: np.ndarray, parts: int = 1) -> Iterator[_Cut]:
    """The columns at these places, in each of the parts that a product makes at once."""
    of_parts = np.concatenate([places + part * (product.units // parts) for part in range(parts)])
    yield _Cut(product.kernel, 1, of_parts)
    if product.bias is not None:
        yield _Cut(product.bias, 0, of_parts)


def _pairs(small: Seq2Seq, model: Seq2Seq, kept: Kept) -> Iterator[tuple[keras.Variable, keras.Variable]]:
    """Each weight of the smaller model and what it is made of."""
    own, there = _by_block(small), _by_block(model)
    new = Kept.all_of(small)
    for (stack, number, _), (_, before, _) in zip(new, kept, strict=True):
        yield from zip(own.pop((stack, number)), there[stack, before], strict=True)
    yield from zip(own[None], there[None], strict=True)


def _by_block(model: Seq2Seq) -> dict[Any, list[keras.Variable]]:
    """The weights of each block, those of its keys and values among them; at None all others."""
    found: dict[Any, list[keras.Variable]] = {}
    for stack in stacks_of(model):
        for number, block in enumerate(stack.blocks):
            found[stack.name, number] = list(block.weights)
            if block.cross_attention is not None:
                found[stack.name, number] += model.bridge.keys_values[number].weights
    of_blocks = {id(weight) for weights in found.values() for weight in weights}
    return {**found, None: [weight for weight in model.weights if id(weight) not in of_blocks]}

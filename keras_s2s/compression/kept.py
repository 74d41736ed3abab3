"""What stays of the Transformer blocks of a model: blocks, heads, feed-forward units."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Self

from keras_s2s.errors import UserError
from keras_s2s.layers import SelfAttention
from keras_s2s.models import BlockDecoderConfig, Seq2Seq
from keras_s2s.models.part_config import BlockConfig
from keras_s2s.models.transformer_block import TransformerBlock
from keras_s2s.models.transformer_decoder import TransformerDecoder
from keras_s2s.models.transformer_encoder import TransformerEncoder

StackName = Literal["encoder", "decoder"]
PartName = Literal["heads", "memory_heads", "units"]
IN_WORDS: dict[PartName, str] = {
    "heads": "head of self-attention",
    "memory_heads": "head of the attention to the encoder",
    "units": "unit of the feed-forward part",
}


class Stack(NamedTuple):
    """A stack of Transformer blocks.

    Attributes:
        name: its name in the model.
        config: its config.
        blocks: its blocks.
    """

    name: StackName
    config: BlockConfig
    blocks: list[TransformerBlock]

    @property
    def shares_heads(self) -> bool:
        """Whether a head of self-attention is the same in all blocks, since they share its bias."""
        return self.config.positions in ("relative", "alibi")


def stacks_of(model: Seq2Seq) -> list[Stack]:
    """The stacks of Transformer blocks of a model: its encoder, its decoder, both or none."""
    found = []
    if isinstance(model.encoder, TransformerEncoder) and isinstance(model.config.encoder, BlockConfig):
        found.append(Stack("encoder", model.config.encoder, model.encoder.blocks))
    if isinstance(model.decoder, TransformerDecoder) and isinstance(model.config.decoder, BlockDecoderConfig):
        found.append(Stack("decoder", model.config.decoder, model.decoder.blocks))
    return found


@dataclass(frozen=True)
class KeptBlock:
    """What stays of a block, as numbers from 0 in their order.

    Attributes:
        heads: of self-attention; none where something else mixes the tokens.
        memory_heads: of the attention to the encoder; none where there is none.
        units: of the feed-forward part.
    """

    heads: tuple[int, ...]
    memory_heads: tuple[int, ...]
    units: tuple[int, ...]


@dataclass(frozen=True)
class Kept:
    """What stays of a model: of each stack the blocks, by their number from 0, that stay, and what stays of each.

    A block that is not named goes as a whole: what came before it goes on to the one behind it. Of a block that stays,
    each part keeps something.

    Attributes:
        encoder: of the encoder's stack; empty where there is none.
        decoder: of the decoder's stack; empty where there is none.
    """

    encoder: Mapping[int, KeptBlock] = field(default_factory=lambda: MappingProxyType({}))
    decoder: Mapping[int, KeptBlock] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def all_of(cls, model: Seq2Seq) -> Self:
        """All that a model has."""
        return cls(**{s.name: {i: _whole(s, i) for i in range(len(s.blocks))} for s in stacks_of(model)})

    def of(self, stack: StackName) -> Mapping[int, KeptBlock]:
        """What stays of a stack."""
        return self.encoder if stack == "encoder" else self.decoder

    def without_block(self, stack: StackName, number: int) -> Self:
        """The same without a block."""
        return replace(self, **{stack: {i: block for i, block in self.of(stack).items() if i != number}})

    def count(self, part: PartName) -> int:
        """How many of a part stay in all blocks."""
        return sum(len(getattr(block, part)) for _, _, block in self)

    def __iter__(self) -> Iterator[tuple[StackName, int, KeptBlock]]:
        """Each block that stays, in order."""
        for name in ("encoder", "decoder"):
            for number, block in sorted(self.of(name).items()):
                yield name, number, block

    def check(self, model: Seq2Seq) -> None:
        """Makes sure that this can stay of a model.

        Raises:
            UserError: the model has no Transformer blocks; something that is named is not there; a stack keeps no
                block, or a block nothing of a part; or blocks that share biases of heads keep different ones.
        """
        stacks = stacks_of(model)
        if not stacks:
            raise UserError("prune: the model has no Transformer blocks, and nothing else can be pruned")
        for stack in stacks:
            blocks = self.of(stack.name)
            if not blocks:
                raise UserError(f"prune: no block of the {stack.name} stays; keep one")
            for number, block in blocks.items():
                _check_block(stack, number, block)
            if stack.shares_heads and len({block.heads for block in blocks.values()}) > 1:
                raise UserError(
                    f"prune: {stack.name}: {stack.config.positions} positions have a bias for each head, which all "
                    "blocks share; keep the same heads in all of them"
                )


def _whole(stack: Stack, number: int) -> KeptBlock:
    block, config = stack.blocks[number], stack.config
    heads = config.heads_of_layers()[number] if isinstance(block.mixer, SelfAttention) else 0
    memory_heads = 0
    if isinstance(config, BlockDecoderConfig) and block.cross_attention is not None:
        memory_heads = config.memory_heads_of_layers()[number]
    units = config.feed_forward_of_layers()[number]
    return KeptBlock(*(tuple(range(size)) for size in (heads, memory_heads, units)))


def _check_block(stack: Stack, number: int, block: KeptBlock) -> None:
    if not 0 <= number < len(stack.blocks):
        raise UserError(f"prune: {stack.name}: there is no block {number}; they are numbered from 0")
    whole, where = _whole(stack, number), f"prune: {stack.name}, block {number}"
    for part, words in IN_WORDS.items():
        here: Any = getattr(whole, part)
        kept: Any = getattr(block, part)
        if list(kept) != sorted({*kept} & {*here}):
            raise UserError(f"{where}: {part}: expected numbers below {len(here)} in their order, got {list(kept)}")
        if here and not kept:
            raise UserError(f"{where}: no {words} stays; keep one, or leave out the whole block")

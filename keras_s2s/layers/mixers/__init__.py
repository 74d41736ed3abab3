"""Mixers: the parts of a decoder's blocks that mix the tokens of a row, by name.

The name of a mixer is a `kind` of a decoder: Transformer blocks with that mixer in the place of self-attention.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from keras_s2s.layers.cells import CELLS
from keras_s2s.registry import Registry
from keras_s2s.typing import Tensor

ADDED = ("sinusoidal", "learned")  # positions that are added to a stack's input, and ask nothing of a mixer
OF_ATTENTION = ("rotary", "relative", "alibi")


@dataclass(frozen=True)
class Tokens:
    """The T new tokens of each row, as a mixer may know them.

    Attributes:
        seen: (R,) int32, the tokens that each row has read before.
        positions: (R, T) int32, the new tokens' own, from 0.
        length: T, a number where it is known and a tensor where it is not.
        of_attention: `of_attention(past)` gives the further arguments of a `SelfAttention` that looks at `past` cached
            tokens and the new ones, as the stack's kind of positions asks.
    """

    seen: Tensor
    positions: Tensor
    length: Any
    of_attention: Callable[[Any], dict[str, Tensor]]


class Mixer(Protocol):
    """A layer that mixes each token with those before it, over a sequence or a step. It is a Keras layer.

    `keras_s2s.testing.check_mixer` checks that a registered mixer does what is said here.

    Args:
        width: D.
        heads: H of this layer, a divisor of D. A subclass of `SelfAttention` is told `head_width`, too, here and in
            `first_state`, where heads have a size of their own; H may then be any number.
        positions: the stack's kind of positions, one of the mixer's own.
        options: of a Keras layer; `name` among them.

    Attributes:
        positions: the kinds of positions that it works with. Those of `ADDED` ask nothing of it; those of
            `OF_ATTENTION` come by `Tokens.of_attention`.
        state_names: a name for each part of its state.
    """

    positions: ClassVar[tuple[str, ...]]
    state_names: ClassVar[tuple[str, ...]]

    def __init__(self, width: int, heads: int, positions: str, **options: Any) -> None: ...

    @staticmethod
    def first_state(rows: Tensor, width: int, heads: int, dtype: str) -> tuple[Tensor, ...]:
        """The state before the first token, a tensor of `rows` rows for each name.

        A part may grow along one axis, which is empty at first: new tokens come before old ones, and whatever stands
        behind the tokens that a row has seen is padding, and to be masked.
        """

    def prepare(self, tokens: Tokens, state: tuple[Tensor, ...]) -> Any:
        """Computes, once a call of the decoder, whatever all of its blocks need: the first block's is asked.

        Args:
            tokens: the new ones.
            state: of the first block.

        Returns:
            A tensor, a dict of tensors, or None.
        """

    def __call__(self, x: Tensor, state: tuple[Tensor, ...], given: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Mixes T new tokens with each other and with what the state holds of those before.

        One call of all tokens gives the same as a call for each.

        Args:
            x: (R, T, D).
            state: before them.
            given: what `prepare` returned.

        Returns:
            (R, T, D), and the state after them.
        """


MixerType = TypeVar("MixerType", bound=type[Mixer])

MIXERS: Registry[type[Mixer]] = Registry("mixer", ["positions", "state_names", "first_state", "prepare"], apart=CELLS)
"""All mixers, by name."""


def register_mixer(name: str) -> Callable[[MixerType], MixerType]:
    """A decorator of a class that makes it a mixer.

    Args:
        name: a `kind` of decoders from now on.

    Raises:
        UserError: there is a mixer or a cell of this name, or the class lacks something that a `Mixer` has.
    """

    def register(mixer: MixerType) -> MixerType:
        MIXERS.add(name, mixer)
        return mixer

    return register

"""The entries of the registries of strategies and features."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from keras_s2s.decoding.inputs import tensor_specs
from keras_s2s.decoding.length_penalties import LengthNormalization
from keras_s2s.decoding.scoring import Scorer
from keras_s2s.decoding.search import Processor, Strategy
from keras_s2s.decoding.step import Step, reads_and_writes
from keras_s2s.option import InputSpec, OwnOption
from keras_s2s.search_options import FeatureSpec, StrategySpec, strategy_inputs
from keras_s2s.typing import Decodable, Source, Tensor

Given = Mapping[str, Any]
"""The inputs of a program by name, and `groups`, the number of groups of diverse beam search."""
Inputs = Mapping[str, tf.TensorSpec]


class Entry(Protocol):
    """A strategy in the registry."""

    @property
    def inputs(self) -> Inputs:
        """The inputs of its programs beside the source, by name."""

    def decodes(self, model: Decodable) -> bool:
        """Whether a model can be decoded by it."""


@dataclass(frozen=True)
class SearchEntry:
    """A strategy that writes a token at a time, and can have features.

    Attributes:
        spec: what one must know of it without this code.
        make: makes it of the inputs of a program and a scorer.
        processors: those that it always has.
        has_steps: whether it can be exported a step at a time.
        options: those that are not of this package.
    """

    spec: StrategySpec
    make: Callable[[Given, Scorer], Strategy]
    processors: tuple[Processor, ...] = ()
    has_steps: bool = False
    options: Mapping[str, OwnOption] = field(default_factory=dict)

    @property
    def inputs(self) -> Inputs:
        """See `Entry`."""
        return tensor_specs([*strategy_inputs(self.spec), *own_inputs(self.options)])

    def decodes(self, model: Decodable) -> bool:
        """Needs a decoder that has a source to read."""
        return reads_and_writes(model)


@dataclass(frozen=True)
class ProgramEntry:
    """A strategy that is one computation, and has no features.

    Attributes:
        made_of: its inputs beside the source.
        run: gives tensors by name, of a model, a source and the inputs.
        fits: whether a model can be decoded by it.
    """

    made_of: Sequence[InputSpec]
    run: Callable[[Any, Source, Given], dict[str, Tensor]]
    fits: Callable[[Decodable], bool]

    @property
    def inputs(self) -> Inputs:
        """See `Entry`."""
        return tensor_specs(self.made_of)

    def decodes(self, model: Decodable) -> bool:
        """See `Entry`."""
        return self.fits(model)


class Ends(NamedTuple):
    """Processors by where they stand: what is forced comes after all others."""

    processors: Sequence[Processor] = ()
    forced: Sequence[Processor] = ()


def _nothing(given: Given) -> Ends:
    return Ends()


def _same(step: Step, given: Given) -> Step:
    return step


def _usual(penalty: LengthNormalization, given: Given) -> LengthNormalization:
    return penalty


def _fits(model: Decodable, features: Collection[str]) -> None:
    return None


@dataclass(frozen=True)
class FeatureEntry:
    """A feature. Whatever it does not say is as without it.

    Attributes:
        spec: what one must know of it without this code.
        made_of: its inputs.
        processors: makes processors of the inputs of a program.
        step: makes a step around a step, of the inputs.
        length_penalty: makes a length penalty around one, of the inputs.
        problem: what speaks against it, of a model and the features of a program, or None.
        has_steps: whether a search can have it a step at a time.
        options: those that are not of this package.
    """

    spec: FeatureSpec
    made_of: Sequence[InputSpec]
    processors: Callable[[Given], Ends] = _nothing
    step: Callable[[Step, Given], Step] = _same
    length_penalty: Callable[[LengthNormalization, Given], LengthNormalization] = _usual
    problem: Callable[[Decodable, Collection[str]], str | None] = _fits
    has_steps: bool = True
    options: Mapping[str, OwnOption] = field(default_factory=dict)

    @property
    def inputs(self) -> Inputs:
        """Its inputs by name."""
        return tensor_specs(self.made_of)


def own_inputs(options: Mapping[str, OwnOption]) -> list[InputSpec]:
    """The inputs of options that are not of this package: scalars of their names."""
    return [one.fed(name) for name, one in options.items()]

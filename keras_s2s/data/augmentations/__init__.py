"""Augmentations and objectives: functions of seeded noise that make other examples of those that were read.

An augmentation changes one side, as in dropping words of the source. An objective makes the pair: denoising reads a
source that was changed and writes the one that was not, and span corruption makes both sides of one text. Both are an
`Augmentation`, so that they can follow each other.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, SerializeAsAny

from keras_s2s.config import Config
from keras_s2s.data.examples import Examples, encode, with_eos
from keras_s2s.data.pairs import Pairs
from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError
from keras_s2s.registry import ConfigRegistry


@dataclass(frozen=True)
class Noise:
    """Where the chance of an augmentation comes from. Equal noise makes equal examples.

    Attributes:
        seed: of the training, and the epoch.
        place: of the augmentation among those that follow each other.
        group: the number of the group of examples in the epoch.
        rows: (N,) the number of each example in the corpus.
        turns: (N,) how many times an example came before in the epoch, which is not 0 in mixtures alone.
    """

    seed: tuple[int, int]
    place: int
    group: int
    rows: np.ndarray
    turns: np.ndarray

    @property
    def of_group(self) -> tuple[int, ...]:
        """A seed of the group as a whole."""
        return (*self.seed, self.group)

    def of_examples(self) -> Iterator[np.random.Generator]:
        """A generator for each example. It is the same whichever examples are in the group."""
        for row, turn in zip(self.rows.tolist(), self.turns.tolist(), strict=True):
            yield np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.place, row, turn)))


class Augmentation(Config, ABC):
    """Makes other examples of some. A subclass's fields are the options that a recipe gives it.

    Most derive from `TextAugmentation` or `IdAugmentation`, which ask for a function of one pair.

    Args:
        kind: its name in a recipe.
    """

    kind: str

    @abstractmethod
    def __call__(self, examples: Examples, noise: Noise) -> Examples:
        """Makes as many examples in the same order.

        Args:
            examples: with EOS at the end of each row of ids, and with `texts` if these are what the ids were made of.
            noise: all the chance there is.

        Raises:
            UserError: there are no texts where they are needed.
        """


class TextAugmentation(Augmentation):
    """One that changes texts. They are encoded again afterwards."""

    @abstractmethod
    def pair(self, source: Any, target: str, random: np.random.Generator) -> tuple[Any, str]:
        """Makes source and target of a source and a target.

        Args:
            source: a text; features (S, F) of speech; empty in a language model.
            target: a text.
            random: the example's own generator.
        """

    def __call__(self, examples: Examples, noise: Noise) -> Examples:
        """Calls `pair` for each example."""
        texts = examples.known_texts(self.kind)
        rows = zip(texts.sources, texts.targets, noise.of_examples(), strict=True)
        sources, targets = zip(*(self.pair(*row) for row in rows), strict=True)
        made = encode(Pairs(sources, targets), texts.source_tokenizer, texts.target_tokenizer)
        return replace(made, weights=examples.weights)


class IdAugmentation(Augmentation):
    """One that changes ids. What works on texts must come before it."""

    @abstractmethod
    def pair(self, source: Any, target: Sequence[int], random: np.random.Generator) -> tuple[Any, Sequence[int]]:
        """Makes source and target of a source and a target.

        Args:
            source: ids without EOS; features (S, F) of speech; None in a language model.
            target: ids without EOS.
            random: the example's own generator.

        Returns:
            The same of each, with none of the ids of padding, BOS and EOS.
        """

    def __call__(self, examples: Examples, noise: Noise) -> Examples:
        """Calls `pair` for each example."""
        sources: Sequence[Any] = [None] * len(examples.labels)
        if examples.sources is not None:
            sources = examples.sources if examples.has_features else [row[:-1].tolist() for row in examples.sources]
        rows = zip(sources, examples.labels, noise.of_examples(), strict=True)
        made = [self.pair(source, label[:-1].tolist(), random) for source, label, random in rows]
        of_sources, labels = zip(*made, strict=True)
        if examples.sources is None:
            return Examples(None, with_eos(labels), examples.weights)
        made_sources = Ragged.of(of_sources) if examples.has_features else with_eos(of_sources)
        return Examples(made_sources, with_eos(labels), examples.weights)


AUGMENTATIONS: ConfigRegistry[Augmentation] = ConfigRegistry("augmentation", Augmentation)
"""All that a recipe may name in `training.augmentations`; `AUGMENTATIONS.register` adds one."""

NamedAugmentation = Annotated[SerializeAsAny[Augmentation], BeforeValidator(AUGMENTATIONS.parse)]
"""The type of a config's field that names one."""


def augmented(examples: Examples, augmentations: Sequence[Augmentation], noise: Noise) -> Examples:
    """Examples after all augmentations, one applied after the other.

    Raises:
        UserError: as they do; or one makes more or fewer examples than it was given.
    """
    for place, augmentation in enumerate(augmentations):
        made = augmentation(examples, replace(noise, place=place))
        if len(made.labels) != len(examples.labels):
            raise UserError(
                f"{augmentation.kind}: made {len(made.labels)} examples of {len(examples.labels)}; make one of each"
            )
        examples = made
    return examples

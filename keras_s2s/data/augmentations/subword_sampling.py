"""Sub-word sampling: a text is cut into other pieces each time (BPE-dropout, Provilkov et al. 2020; Kudo 2018)."""

from typing import Literal

from pydantic import Field

from keras_s2s.data.augmentations import AUGMENTATIONS, Augmentation, Noise
from keras_s2s.data.examples import Examples


@AUGMENTATIONS.register
class SubwordSampling(Augmentation):
    """Cuts texts into other pieces, see `Tokenizer.sample`. Characters, words and features stay.

    Args:
        kind: its name.
        rate: of BPE-dropout, or the smoothing of a unigram model.
    """

    kind: Literal["subword_sampling"] = "subword_sampling"
    rate: float = Field(default=0.1, gt=0, lt=1)

    def __call__(self, examples: Examples, noise: Noise) -> Examples:
        """Draws the pieces of a group together."""
        return examples.sampled(self.rate, noise.of_group)

"""Layouts: how the tensors of a search one step at a time are merged into one batch."""

from typing import Literal

from keras_s2s.config import Config

Axis = Literal["sentences", "rows", "time", "past", "source", "prefix", ""]


class Layout(Config):
    """How batches are merged along a tensor of a search.

    Attributes:
        axes: what each axis is: "sentences", B; "rows", R = B·K, the K of a sentence next to each other; "time", padded
            in front; "past", the tokens in a cache, "source" or "prefix", padded behind; "" has one size in all
            batches of the same options.
        padding: the neutral value.
    """

    axes: tuple[Axis, ...]
    padding: int

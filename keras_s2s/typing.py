"""Types that several packages share. This module imports neither Keras nor TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Tensor = Any
"""A tensor of the backend, symbolic or not. Keras has no type for it; docstrings give shapes."""

Source = Mapping[str, Tensor]
"""The inputs of a model: `source_ids` (B, S), or `source_features` (B, S, F) and `source_lengths` (B,)."""

State = dict[str, dict[str, Tensor]]
"""A decoder's state: `memory` has one row a sentence, `rows` one row a hypothesis. Tensors go by name."""


class Decodable(Protocol):
    """A model, an `Ensemble`, a `Fusion`, or a step of your own (see `decoding.step.Step`)."""

    def members(self) -> Sequence[Any]:
        """The models in it, of which the first one says what its sources are. A model is its own only one."""

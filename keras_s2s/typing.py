"""Types that several packages share. This module imports neither Keras nor TensorFlow."""

from collections.abc import Mapping
from typing import Any

Tensor = Any
"""A tensor of the backend, symbolic or not. Keras has no type for it; docstrings give shapes."""

Source = Mapping[str, Tensor]
"""What a model reads: `source_ids` (B, S), or `source_features` (B, S, F) and `source_lengths` (B,)."""

State = dict[str, dict[str, Tensor]]
"""A decoder's state: `memory` has one row a sentence, `rows` one row a hypothesis. Tensors go by name."""
